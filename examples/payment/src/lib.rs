//! A payment in three steps. If a step fails, the steps before it are compensated.
//!
//! Shows the fluent step API: recorded results, a timeout, compensations and an optional step. The crate has
//! two workflows, which differ in the third step:
//!
//! - `payment_workflow`: the mail is optional. If it bounces, the order remains.
//! - `payment_with_confirmation`: the mail is required. If it bounces, the charge is refunded, then the
//!   reservation is released.
//!
//! ```console
//! $ cargo run -p forge-example-services &      # the services that the workflow calls
//! $ forge serve &
//! $ forge build examples/payment
//! $ forge deploy examples/payment
//! $ forge start payment_workflow --input @examples/payment/input.json --wait
//! $ forge start payment_with_confirmation --input @examples/payment/bounce.json --wait
//! ```

mod services;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

pub use services::Item;
use services::{charge_credit_card, refund_charge, release_reservation, reserve_items, send_order_email};

/// An order to be paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PaymentInput {
    /// The items.
    pub items: Vec<Item>,
    /// The token of the card.
    pub card_token: String,
    /// The address for the confirmation.
    pub email: String,
    /// The base URL of the services.
    #[serde(default = "services::default_url")]
    pub services: String,
}

/// A paid order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentOutput {
    /// The id of the order.
    pub order_id: String,
    /// The id of the charge.
    pub charge_id: String,
}

/// Reserves the items, charges the card and sends a confirmation, which may fail.
#[forge::workflow]
pub async fn payment_workflow(ctx: &WorkflowContext, input: PaymentInput) -> Result<PaymentOutput> {
    services::set_url(&input.services);

    // Step 1: Reserve inventory (with compensation)
    let reservation = ctx
        .step("reserve_inventory", || async { reserve_items(&input.items).await })
        .compensate(|res| async move { release_reservation(&res.reservation_id).await })
        .run()
        .await?;

    // Step 2: Charge card (with timeout and compensation)
    let charge = ctx
        .step("charge_card", || async { charge_credit_card(&input.card_token).await })
        .timeout(Duration::from_secs(30))
        .compensate(|charge| async move { refund_charge(&charge.charge_id).await })
        .run()
        .await?;

    // Step 3: Send confirmation (optional - failure won't trigger compensation)
    ctx.step("send_confirmation", || async { send_order_email(&input.email).await }).optional().run().await?;

    Ok(PaymentOutput { order_id: reservation.order_id, charge_id: charge.charge_id })
}

/// Like [`payment_workflow`], but the confirmation is required.
#[forge::workflow]
pub async fn payment_with_confirmation(ctx: &WorkflowContext, input: PaymentInput) -> Result<PaymentOutput> {
    services::set_url(&input.services);

    let reservation = ctx
        .step("reserve_inventory", || async { reserve_items(&input.items).await })
        .compensate(|res| async move { release_reservation(&res.reservation_id).await })
        .run()
        .await?;

    let charge = ctx
        .step("charge_card", || async { charge_credit_card(&input.card_token).await })
        .timeout(Duration::from_secs(30))
        .compensate(|charge| async move { refund_charge(&charge.charge_id).await })
        .run()
        .await?;

    // Not optional: if it fails, the charge is refunded, then the reservation is released.
    ctx.step("send_confirmation", || async { send_order_email(&input.email).await }).run().await?;

    Ok(PaymentOutput { order_id: reservation.order_id, charge_id: charge.charge_id })
}

forge::export!(PaymentWorkflow, PaymentWithConfirmationWorkflow);

#[cfg(test)]
mod tests {
    use forge::testing::{StepStatus, TestReport, TestRequest, TestResponse, TestRun};

    use super::*;

    fn order() -> PaymentInput {
        PaymentInput {
            items: vec![Item { sku: "dripper-v60-02".to_owned(), quantity: 1 }],
            card_token: "tok_visa".to_owned(),
            email: "ada@example.com".to_owned(),
            services: "http://shop".to_owned(),
        }
    }

    /// Services that accept every request.
    fn shop(request: &TestRequest) -> TestResponse {
        match request.url.as_str() {
            "http://shop/inventory/reservations" => {
                TestResponse::json(201, json!({"reservation_id": "res_1", "order_id": "ord_1"}))
            }
            "http://shop/payments/charges" => TestResponse::json(201, json!({"charge_id": "ch_1"})),
            _ => TestResponse::status(200),
        }
    }

    /// Services that reject mail.
    fn shop_without_mail(request: &TestRequest) -> TestResponse {
        match request.url.as_str() {
            "http://shop/mail" => TestResponse::status(422),
            _ => shop(request),
        }
    }

    fn sent<T>(run: &TestReport<T>) -> Vec<String> {
        let line = |request: &TestRequest| format!("{} {}", request.method, request.url);
        run.requests.iter().map(line).collect()
    }

    #[test]
    fn an_order_is_reserved_charged_and_confirmed() {
        let run = TestRun::new(PaymentWorkflow).http(shop).run(order());
        let expected = PaymentOutput { order_id: "ord_1".to_owned(), charge_id: "ch_1".to_owned() };
        assert_eq!(run.output(), &expected);
        assert_eq!(
            sent(&run),
            [
                "POST http://shop/inventory/reservations",
                "POST http://shop/payments/charges",
                "POST http://shop/mail",
            ]
        );
        let items: serde_json::Value = run.requests[0].json();
        assert_eq!(items, json!({"items": [{"sku": "dripper-v60-02", "quantity": 1}]}));
    }

    #[test]
    fn an_optional_confirmation_may_bounce() {
        let run = TestRun::new(PaymentWorkflow).http(shop_without_mail).run(order());
        assert_eq!(run.output().order_id, "ord_1");
        assert_eq!(run.step("send_confirmation").status, StepStatus::Failed);
        assert!(run.compensations.is_empty());
    }

    #[test]
    fn a_required_confirmation_that_bounces_compensates_both_steps_in_reverse_order() {
        let run = TestRun::new(PaymentWithConfirmationWorkflow).http(shop_without_mail).run(order());
        assert!(run.failure().message.contains("422"));
        assert_eq!(run.compensations, ["charge_card", "reserve_inventory"]);
        assert_eq!(
            sent(&run)[3..],
            [
                "POST http://shop/payments/charges/ch_1/refund",
                "DELETE http://shop/inventory/reservations/res_1",
            ]
        );
    }

    #[test]
    fn a_declined_card_releases_the_reservation() {
        let declined = |request: &TestRequest| match request.url.as_str() {
            "http://shop/payments/charges" => TestResponse::status(402),
            _ => shop(request),
        };
        let run = TestRun::new(PaymentWorkflow).http(declined).run(order());
        assert!(run.failure().message.contains("402"));
        assert_eq!(run.compensations, ["reserve_inventory"]);
    }

    #[test]
    fn a_charge_that_takes_too_long_times_out() {
        let slow = |request: &TestRequest| match request.url.as_str() {
            "http://shop/payments/charges" => shop(request).after(Duration::from_secs(31)),
            _ => shop(request),
        };
        let run = TestRun::new(PaymentWorkflow).http(slow).run(order());
        assert!(run.failure().is_timeout());
        assert_eq!(run.elapsed, Duration::from_secs(30));
        assert_eq!(run.compensations, ["reserve_inventory"]);
    }

    #[test]
    fn a_completed_step_sends_no_request() {
        let reservation = json!({"reservation_id": "res_1", "order_id": "ord_1"});
        let run = TestRun::new(PaymentWorkflow)
            .http(shop)
            .complete_step("reserve_inventory", reservation)
            .run(order());
        assert_eq!(run.output().order_id, "ord_1");
        assert_eq!(sent(&run), ["POST http://shop/payments/charges", "POST http://shop/mail"]);
    }
}
