//! Payments: charges to cards, and refunds.
//!
//! - `POST /payments/charges` `{"card_token", "amount_cents", "currency", "order_id"?}`
//! - `POST /payments/charges/{charge_id}/refund`
//!
//! `tok_visa` and `tok_mastercard` succeed, `tok_declined` gets 402. `tok_slow` succeeds
//! after `?delay_ms=` milliseconds, or after three seconds.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Json, Problem};
use crate::idempotency::keyed;
use crate::{Services, lock};

/// The default delay of `tok_slow`, in milliseconds.
const SLOW: u64 = 3_000;

/// Charges by id.
#[derive(Default)]
pub struct Payments(Mutex<BTreeMap<String, Charge>>);

#[derive(Deserialize)]
struct NewCharge {
    card_token: String,
    amount_cents: u64,
    currency: String,
    order_id: Option<String>,
}

#[derive(Deserialize)]
struct Slowness {
    delay_ms: Option<u64>,
}

#[derive(Clone, Serialize)]
struct Charge {
    charge_id: String,
    card_token: String,
    amount_cents: u64,
    currency: String,
    order_id: Option<String>,
    refunded: bool,
}

/// `/payments`.
pub fn router(services: &Services) -> Router<Services> {
    Router::new()
        .route("/payments/charges", keyed(services, "charge_card", post(charge)))
        .route("/payments/charges/{id}/refund", keyed(services, "refund_charge", post(refund)))
}

async fn charge(
    State(services): State<Services>,
    Query(slowness): Query<Slowness>,
    Json(new): Json<NewCharge>,
) -> Result<Answer<Charge>, Problem> {
    match new.card_token.as_str() {
        "tok_visa" | "tok_mastercard" => {}
        "tok_slow" => tokio::time::sleep(Duration::from_millis(slowness.delay_ms.unwrap_or(SLOW))).await,
        "tok_declined" => {
            return Err(Problem::new(
                StatusCode::PAYMENT_REQUIRED,
                "card_declined",
                "the bank declined the card",
            ));
        }
        other => {
            let message = format!("{other} is no card token");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_card", message));
        }
    }
    let mut charges = lock(&services.payments.0);
    let charge = Charge {
        charge_id: format!("ch_{:06}", charges.len() + 1),
        card_token: new.card_token,
        amount_cents: new.amount_cents,
        currency: new.currency,
        order_id: new.order_id,
        refunded: false,
    };
    charges.insert(charge.charge_id.clone(), charge.clone());
    Ok(Answer::created(charge))
}

async fn refund(State(services): State<Services>, Path(id): Path<String>) -> Result<Answer<Charge>, Problem> {
    let mut charges = lock(&services.payments.0);
    let charge = charges.get_mut(&id).ok_or_else(|| Problem::not_found("charge", &id))?;
    if charge.refunded {
        return Ok(Answer::unchanged(charge.clone()));
    }
    charge.refunded = true;
    Ok(Answer::ok(charge.clone()))
}
