//! Opening an account, version 2.
//!
//! Shows how to change a workflow while runs of the previous version are under way. Version 2 adds plans and
//! verifies the address. The new input field has a default, so the input of version 1 is valid for version 2.
//!
//! ```console
//! $ forge build examples/onboarding-v2
//! $ forge deploy examples/onboarding-v2        # runs of version 1 continue
//! $ forge start user_onboarding --input @examples/onboarding-v2/input.json --wait
//! $ forge start user_onboarding --input @examples/onboarding/input.json --version 1
//! ```

mod services;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

use services::{create_customer, create_user, delete_customer, delete_user, send_welcome_mail, verify_user};

/// The plan of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Without payment.
    #[default]
    Free,
    /// With a monthly payment.
    Pro,
}

/// The account to open.
#[derive(Debug, Deserialize, Serialize)]
pub struct OnboardingInputV2 {
    /// The caller's id of the user.
    pub user_id: String,
    /// The address for the welcome mail.
    pub email: String,
    /// The plan. New in version 2.
    #[serde(default)]
    pub plan: Plan,
    /// The base URL of the services.
    #[serde(default = "services::default_url")]
    pub services: String,
}

/// The result of opening an account.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub struct OnboardingOutputV2 {
    /// The id of the account with the shop.
    pub user_id: String,
    /// The id of the account with the payment provider. `None` for the free plan.
    pub customer_id: Option<String>,
    /// Whether the address is verified.
    pub verified: bool,
}

/// Opens an account, and one with the payment provider for a paid plan, then verifies the address.
#[forge::workflow]
#[version = 2]
pub async fn user_onboarding(ctx: &WorkflowContext, input: OnboardingInputV2) -> Result<OnboardingOutputV2> {
    services::set_url(&input.services);

    let user = ctx
        .step("create_user", || async { create_user(&input.user_id, &input.email).await })
        .compensate(|user| async move { delete_user(&user.user_id).await })
        .run()
        .await?;

    let mut customer_id = None;
    if input.plan == Plan::Pro {
        let customer = ctx
            .step("create_customer", || async { create_customer(&user.user_id, &input.email).await })
            .compensate(|customer| async move { delete_customer(&customer.customer_id).await })
            .run()
            .await?;
        customer_id = Some(customer.customer_id);
    }

    ctx.step("send_welcome_mail", || async { send_welcome_mail(&input.email).await }).run().await?;

    // The mail was accepted, so the address is valid.
    ctx.step("verify_user", || async { verify_user(&user.user_id).await }).run().await?;

    Ok(OnboardingOutputV2 { user_id: user.user_id, customer_id, verified: true })
}

forge::export!(UserOnboardingWorkflow);

#[cfg(test)]
mod tests {
    use forge::testing::{TestRequest, TestResponse, TestRun};

    use super::*;

    /// Services that accept every request.
    fn shop(request: &TestRequest) -> TestResponse {
        match request.url.as_str() {
            "http://shop/users" => TestResponse::json(201, json!({"user_id": "usr_1"})),
            "http://shop/customers" => TestResponse::json(201, json!({"customer_id": "cus_1"})),
            _ => TestResponse::status(200),
        }
    }

    #[test]
    fn a_paying_user_is_a_customer_and_verified() {
        let input = json!({
            "user_id": "ada", "email": "ada@example.com", "plan": "pro", "services": "http://shop",
        });
        let run = TestRun::new(UserOnboardingWorkflow).http(shop).run(input);
        let expected = OnboardingOutputV2 {
            user_id: "usr_1".to_owned(),
            customer_id: Some("cus_1".to_owned()),
            verified: true,
        };
        assert_eq!(run.output(), &expected);
    }

    #[test]
    fn the_input_of_version_1_is_accepted() {
        let input = json!({
            "user_id": "ada", "email": "ada@example.com", "welcome_after_seconds": 60,
            "services": "http://shop",
        });
        let run = TestRun::new(UserOnboardingWorkflow).http(shop).run(input);
        assert_eq!(run.output().customer_id, None);
        let steps: Vec<_> = run.steps.iter().map(|step| &*step.name).collect();
        assert_eq!(steps, ["create_user", "send_welcome_mail", "verify_user"]);
    }

    #[test]
    fn a_user_who_cannot_be_verified_is_deleted() {
        let input = json!({
            "user_id": "ada", "email": "ada@example.com", "plan": "pro", "services": "http://shop",
        });
        let run = TestRun::new(UserOnboardingWorkflow)
            .http(shop)
            .fail_step("verify_user", "the directory is read-only")
            .run(input);
        assert_eq!(run.failure().message, "the directory is read-only");
        assert_eq!(run.compensations, ["create_customer", "create_user"]);
    }
}
