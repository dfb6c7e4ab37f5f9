//! A client for the services in `examples/services`.
//!
//! The functions need no `ctx`: `forge::http` finds the step that it is called from, journals the request
//! there and sends it with an `Idempotency-Key`.

use std::cell::RefCell;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

/// The price of every order, in cents. With one price, a charge needs a card only.
const PRICE_CENTS: u64 = 4990;

thread_local! {
    /// The base URL of the services. Each run executes in an instance of its own, which has one thread.
    static BASE: RefCell<String> = RefCell::new(default_url());
}

/// Returns the base URL of the services on this machine.
pub fn default_url() -> String {
    "http://127.0.0.1:7080".to_owned()
}

/// Sets the base URL for all requests of this run.
pub fn set_url(base: &str) {
    BASE.set(base.to_owned());
}

fn url(path: &str) -> String {
    BASE.with_borrow(|base| format!("{base}{path}"))
}

/// An item of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    /// The stock keeping unit.
    pub sku: String,
    /// The number of units.
    pub quantity: u32,
}

/// Items that are reserved for an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reservation {
    /// The id of the reservation.
    pub reservation_id: String,
    /// The id of the order.
    pub order_id: String,
}

/// A charge to a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Charge {
    /// The id of the charge.
    pub charge_id: String,
}

/// Reserves all items or none.
pub async fn reserve_items(items: &[Item]) -> Result<Reservation> {
    let request = forge::http::post(url("/inventory/reservations")).json(&json!({"items": items}));
    request.send().await?.error_for_status()?.json()
}

/// Releases the items of a reservation.
pub async fn release_reservation(reservation_id: &str) -> Result<()> {
    let path = format!("/inventory/reservations/{reservation_id}");
    forge::http::delete(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Charges the price of an order to a card.
pub async fn charge_credit_card(card_token: &str) -> Result<Charge> {
    let charge = json!({"card_token": card_token, "amount_cents": PRICE_CENTS, "currency": "EUR"});
    let request = forge::http::post(url("/payments/charges")).json(&charge);
    request.send().await?.error_for_status()?.json()
}

/// Refunds a charge.
pub async fn refund_charge(charge_id: &str) -> Result<()> {
    let path = format!("/payments/charges/{charge_id}/refund");
    forge::http::post(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Sends the confirmation of an order.
pub async fn send_order_email(email: &str) -> Result<()> {
    let mail = json!({
        "to": email,
        "subject": "Your order",
        "body": "Thank you! Your order is paid and will be sent today.",
    });
    forge::http::post(url("/mail")).json(&mail).send().await?.error_for_status()?;
    Ok(())
}
