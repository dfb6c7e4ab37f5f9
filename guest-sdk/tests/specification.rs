//! The specification's examples, verbatim. (`verification_workflow` is in `low_level.rs`.)
#![allow(missing_docs, unused_variables)]

#[rustfmt::skip]
mod onboarding {
    use forge::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Deserialize, Serialize)]
    pub struct OnboardingInput {
        pub user_id: String,
        pub email: String,
    }

    #[derive(Debug, Serialize)]
    pub struct OnboardingOutput {
        pub verified: bool,
        pub token: String,
    }

    #[forge::workflow]
    #[version = 1]
    #[timeout = "24h"]
    pub async fn user_onboarding(
        ctx: &WorkflowContext,
        input: OnboardingInput,
    ) -> Result<OnboardingOutput> {
        // Workflow implementation
        Ok(OnboardingOutput {
            verified: true,
            token: "abc123".to_string(),
        })
    }
}

#[rustfmt::skip]
mod onboarding_v2 {
    use forge::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Deserialize, Serialize)]
    pub struct OnboardingInputV2 {
        pub user_id: String,
    }

    #[derive(Debug, Serialize)]
    pub struct OnboardingOutputV2 {
        pub seconds: u64,
    }

    #[forge::workflow]
    #[version = 2]
    pub async fn user_onboarding(
        ctx: &WorkflowContext,
        input: OnboardingInputV2,
    ) -> Result<OnboardingOutputV2> {
        // V2 implementation
        Ok(OnboardingOutputV2 { seconds: ctx.elapsed().as_secs() })
    }
}

mod onboarding_v1 {
    use forge::prelude::*;

    #[forge::workflow]
    #[version = 1]
    #[deprecated]
    pub async fn user_onboarding_v1(ctx: &WorkflowContext, input: ()) -> Result<()> {
        Ok(())
    }
}

#[rustfmt::skip]
mod payment {
    use forge::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Deserialize)]
    pub struct PaymentInput { items: Vec<String>, card_token: String, email: String }
    #[derive(Debug, Serialize)]
    pub struct PaymentOutput { pub order_id: String, pub charge_id: String }
    #[derive(Debug, Serialize, Deserialize)]
    pub struct Reservation { reservation_id: String, order_id: String }
    #[derive(Debug, Serialize, Deserialize)]
    pub struct Charge { charge_id: String }

    async fn reserve_items(items: &[String]) -> Result<Reservation> {
        forge::http::post("http://inv/reservations").json(items).send().await?.error_for_status()?.json()
    }
    async fn release_reservation(id: &str) -> Result<()> {
        forge::http::delete(format!("http://inv/reservations/{id}")).send().await?.error_for_status()?;
        Ok(())
    }
    async fn charge_credit_card(card: &str) -> Result<Charge> {
        forge::http::post("http://pay/charges").json(&json!({"card": card})).send().await?.error_for_status()?.json()
    }
    async fn refund_charge(id: &str) -> Result<()> {
        forge::http::post(format!("http://pay/charges/{id}/refund")).send().await?.error_for_status()?;
        Ok(())
    }
    async fn send_order_email(to: &str) -> Result<()> {
        forge::http::post("http://mail/send").json(&json!({"to": to})).send().await?.error_for_status()?;
        Ok(())
    }

    use std::time::Duration;

    #[forge::workflow]
    pub async fn payment_workflow(
        ctx: &WorkflowContext,
        input: PaymentInput,
    ) -> Result<PaymentOutput> {
        // Step 1: Reserve inventory (with compensation)
        let reservation = ctx.step("reserve_inventory", || async {
            reserve_items(&input.items).await
        })
        .compensate(|res| async move {
            release_reservation(&res.reservation_id).await
        })
        .run()
        .await?;

        // Step 2: Charge card (with timeout and compensation)
        let charge = ctx.step("charge_card", || async {
            charge_credit_card(&input.card_token).await
        })
        .timeout(Duration::from_secs(30))
        .compensate(|charge| async move {
            refund_charge(&charge.charge_id).await
        })
        .run()
        .await?;

        // Step 3: Send confirmation (optional - failure won't trigger compensation)
        ctx.step("send_confirmation", || async {
            send_order_email(&input.email).await
        })
        .optional()
        .run()
        .await?;

        Ok(PaymentOutput {
            order_id: reservation.order_id,
            charge_id: charge.charge_id,
        })
    }
}

mod compensation {
    use forge::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub enum OrderStatus {
        Draft,
        Processing,
        Shipped,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Order {
        id: u64,
        status: OrderStatus,
    }

    async fn create_order(status: OrderStatus) -> Result<Order> {
        Ok(Order { id: 7, status })
    }

    async fn delete_order(id: u64) -> Result<()> {
        forge::http::delete(format!("http://orders/{id}")).send().await?;
        Ok(())
    }

    async fn cancel_order(id: u64) -> Result<()> {
        forge::http::post(format!("http://orders/{id}/cancel")).send().await?;
        Ok(())
    }

    #[forge::workflow]
    pub async fn order(ctx: &WorkflowContext, status: OrderStatus) -> Result<()> {
        ctx.step("create_order", || async { create_order(status).await })
            .compensate(|order| async move {
                match order.status {
                    OrderStatus::Draft => delete_order(order.id).await,
                    OrderStatus::Processing => cancel_order(order.id).await,
                    OrderStatus::Shipped => {
                        // Can't undo - log for manual intervention
                        tracing::error!("Cannot compensate shipped order {}", order.id);
                        Ok(())
                    }
                }
            })
            .run()
            .await?;
        ctx.step("ship", || async { Ok(()) })
            .compensate(|step_result: ()| async move {
                // Rollback logic
                Ok(())
            })
            .run()
            .await?;
        bail!("no")
    }
}

use forge::prelude::*;
use forge::testing::{StepStatus, TestRequest, TestResponse, TestRun};

forge::export!(
    onboarding::UserOnboardingWorkflow,
    onboarding_v2::UserOnboardingWorkflow,
    onboarding_v1::UserOnboardingV1Workflow,
    payment::PaymentWorkflow,
    compensation::OrderWorkflow,
);

#[test]
fn onboarding_runs_in_both_versions() {
    let input = json!({"user_id": "123", "email": "user@example.com"});
    let run = TestRun::new(onboarding::UserOnboardingWorkflow).run(&input);
    assert_eq!((run.output().verified, run.output().token.as_str()), (true, "abc123"));
    assert_eq!(TestRun::new(onboarding_v2::UserOnboardingWorkflow).run(&input).output().seconds, 0);
    let message = TestRun::new(onboarding::UserOnboardingWorkflow)
        .run(json!({"user_id": "1"}))
        .failure()
        .message
        .clone();
    assert_eq!(
        message,
        "input of `user_onboarding` version 1 does not fit `OnboardingInput`: missing field `email`"
    );
}

fn services(request: &TestRequest) -> TestResponse {
    match (request.method.as_str(), request.url.as_str()) {
        ("POST", "http://inv/reservations") => {
            TestResponse::json(201, json!({"reservation_id": "r-1", "order_id": "o-1"}))
        }
        ("POST", "http://pay/charges") => TestResponse::json(201, json!({"charge_id": "c-1"})),
        _ => TestResponse::status(204),
    }
}

fn payment() -> serde_json::Value {
    json!({"items": ["chair"], "card_token": "tok_4242", "email": "mia@example.com"})
}

#[test]
fn a_payment_succeeds() {
    let run = TestRun::new(payment::PaymentWorkflow).http(services).run(payment());
    assert_eq!((run.output().order_id.as_str(), run.output().charge_id.as_str()), ("o-1", "c-1"));
    let urls: Vec<_> = run.requests.iter().map(|request| request.url.as_str()).collect();
    assert_eq!(urls, ["http://inv/reservations", "http://pay/charges", "http://mail/send"]);
}

#[test]
fn a_payment_survives_a_lost_mail() {
    let run = TestRun::new(payment::PaymentWorkflow)
        .http(services)
        .fail_step("send_confirmation", "no")
        .run(payment());
    assert!(run.result.is_ok());
    assert_eq!(run.step("send_confirmation").status, StepStatus::Failed);
}

#[test]
fn a_payment_whose_charge_fails_releases_the_reservation() {
    let run = TestRun::new(payment::PaymentWorkflow)
        .http(services)
        .fail_step("charge_card", "declined")
        .run(payment());
    assert_eq!((run.failure().message.as_str(), run.compensations.len()), ("declined", 1));
    assert_eq!(run.requests[1].url, "http://inv/reservations/r-1");
}

#[test]
fn a_payment_whose_charge_times_out_releases_the_reservation() {
    let run = TestRun::new(payment::PaymentWorkflow)
        .http(move |request| match request.url.as_str() {
            "http://pay/charges" => services(request).after(Duration::from_secs(31)),
            _ => services(request),
        })
        .run(payment());
    assert_eq!(run.failure().message, "step `charge_card` timed out after 30s");
    assert_eq!(run.compensations, ["reserve_inventory"]);
}

#[test]
fn a_handler_considers_the_state_of_the_order() {
    for (status, effect) in [("Draft", Some("DELETE")), ("Processing", Some("POST")), ("Shipped", None)] {
        let run = TestRun::new(compensation::OrderWorkflow).http(services).run(status);
        assert_eq!(run.requests.first().map(|request| request.method.as_str()), effect, "{status}");
        assert_eq!((run.compensations.len(), run.logs.len()), (2, usize::from(effect.is_none())));
    }
}
