//! Opening an account, version 1.
//!
//! Shows a saga over three services, a durable timer and a version. `examples/onboarding-v2` is version 2 of
//! this workflow. If it is deployed while runs of version 1 sleep, these runs finish with version 1, and new
//! runs use version 2.
//!
//! ```console
//! $ cargo run -p forge-example-services &      # the services that the workflow calls
//! $ forge serve &
//! $ forge build examples/onboarding
//! $ forge deploy examples/onboarding
//! $ forge start user_onboarding --input @examples/onboarding/input.json --wait
//! ```

mod services;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

use services::{create_customer, create_user, delete_customer, delete_user, send_welcome_mail};

/// The account to open.
#[derive(Debug, Deserialize, Serialize)]
pub struct OnboardingInput {
    /// The caller's id of the user.
    pub user_id: String,
    /// The address for the welcome mail.
    pub email: String,
    /// The delay of the welcome mail, in seconds.
    #[serde(default)]
    pub welcome_after_seconds: u64,
    /// The base URL of the services.
    #[serde(default = "services::default_url")]
    pub services: String,
}

/// The result of opening an account.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub struct OnboardingOutput {
    /// Whether the address is verified. Always `false` in version 1.
    pub verified: bool,
    /// The token in the welcome mail.
    pub token: String,
}

/// Opens an account with the shop and one with the payment provider, then sends a welcome mail.
#[forge::workflow]
#[version = 1]
#[timeout = "24h"]
pub async fn user_onboarding(ctx: &WorkflowContext, input: OnboardingInput) -> Result<OnboardingOutput> {
    services::set_url(&input.services);

    let user = ctx
        .step("create_user", || async { create_user(&input.user_id, &input.email).await })
        .compensate(|user| async move { delete_user(&user.user_id).await })
        .run()
        .await?;

    ctx.step("create_customer", || async { create_customer(&user.user_id, &input.email).await })
        .compensate(|customer| async move { delete_customer(&customer.customer_id).await })
        .run()
        .await?;

    // A durable timer: a restart of the host does not delay its end.
    ctx.sleep(Duration::from_secs(input.welcome_after_seconds)).await;

    // If the mail bounces, the customer is deleted, then the user.
    let token = format!("welcome_{}", ctx.run_id);
    ctx.step("send_welcome_mail", || async { send_welcome_mail(&input.email, &token).await }).run().await?;

    Ok(OnboardingOutput { verified: false, token })
}

forge::export!(UserOnboardingWorkflow);

#[cfg(test)]
mod tests {
    use forge::testing::{TestRequest, TestResponse, TestRun};

    use super::*;

    fn ada() -> OnboardingInput {
        OnboardingInput {
            user_id: "ada".to_owned(),
            email: "ada@example.com".to_owned(),
            welcome_after_seconds: 60,
            services: "http://shop".to_owned(),
        }
    }

    /// Services that accept every request.
    fn shop(request: &TestRequest) -> TestResponse {
        match request.url.as_str() {
            "http://shop/users" => TestResponse::json(201, json!({"user_id": "usr_1"})),
            "http://shop/customers" => TestResponse::json(201, json!({"customer_id": "cus_1"})),
            _ => TestResponse::status(200),
        }
    }

    #[test]
    fn a_user_is_a_customer_and_is_welcomed_after_a_while() {
        let run = TestRun::new(UserOnboardingWorkflow).http(shop).run(ada());
        let mail: serde_json::Value = run.requests[2].json();
        assert!(mail["body"].as_str().is_some_and(|body| body.contains(&run.output().token)));
        assert_eq!(run.elapsed, Duration::from_secs(60));
    }

    #[test]
    fn a_welcome_that_bounces_deletes_the_customer_then_the_user() {
        let no_mail = |request: &TestRequest| match request.url.as_str() {
            "http://shop/mail" => TestResponse::status(422),
            _ => shop(request),
        };
        let run = TestRun::new(UserOnboardingWorkflow).http(no_mail).run(ada());
        assert!(run.failure().message.contains("422"));
        assert_eq!(run.compensations, ["create_customer", "create_user"]);
        let deleted: Vec<_> = run.requests[3..].iter().map(|request| &*request.url).collect();
        assert_eq!(deleted, ["http://shop/customers/cus_1", "http://shop/users/usr_1"]);
    }

    #[test]
    fn a_run_that_is_cancelled_while_it_sleeps_is_rolled_back() {
        let run =
            TestRun::new(UserOnboardingWorkflow).http(shop).cancel_at(Duration::from_secs(30)).run(ada());
        assert_eq!(run.failure().kind, "cancelled");
        assert_eq!(run.compensations, ["create_customer", "create_user"]);
    }
}
