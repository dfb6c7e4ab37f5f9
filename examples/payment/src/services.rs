//! A client for the services in `examples/services`.
//!
//! Its functions take no `ctx`: `forge::http` knows which step it is called from, journals the
//! request there and gives it an `Idempotency-Key`.

use std::cell::RefCell;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

/// What every order costs. The shop has one price, so that a charge needs no more than a card.
const PRICE_CENTS: u64 = 4990;

thread_local! {
    /// Where the services are. A workflow instance runs on one thread and has this to itself.
    static BASE: RefCell<String> = RefCell::new(local());
}

/// Where the services are if the input does not say.
pub fn local() -> String {
    "http://127.0.0.1:7080".to_owned()
}

/// Sends all requests of this run to the services at `base`.
pub fn at(base: &str) {
    BASE.set(base.to_owned());
}

fn url(path: &str) -> String {
    BASE.with_borrow(|base| format!("{base}{path}"))
}

/// Something to buy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub sku: String,
    /// How many of it.
    pub quantity: u32,
}

/// Items that are held for an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reservation {
    /// Names the reservation, to release it.
    pub reservation_id: String,
    /// The order that the items are held for.
    pub order_id: String,
}

/// Money taken from a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Charge {
    /// Names the charge, to refund it.
    pub charge_id: String,
}

/// Takes the items from stock, all or none.
pub async fn reserve_items(items: &[Item]) -> Result<Reservation> {
    let request = forge::http::post(url("/inventory/reservations")).json(&json!({"items": items}));
    request.send().await?.error_for_status()?.json()
}

/// Puts the items of a reservation back.
pub async fn release_reservation(reservation_id: &str) -> Result<()> {
    let path = format!("/inventory/reservations/{reservation_id}");
    forge::http::delete(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Takes the price of an order from a card.
pub async fn charge_credit_card(card_token: &str) -> Result<Charge> {
    let charge = json!({"card_token": card_token, "amount_cents": PRICE_CENTS, "currency": "EUR"});
    let request = forge::http::post(url("/payments/charges")).json(&charge);
    request.send().await?.error_for_status()?.json()
}

/// Gives the money back.
pub async fn refund_charge(charge_id: &str) -> Result<()> {
    let path = format!("/payments/charges/{charge_id}/refund");
    forge::http::post(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Tells the buyer that the order is on its way.
pub async fn send_order_email(email: &str) -> Result<()> {
    let mail = json!({
        "to": email,
        "subject": "Your order",
        "body": "Thank you! Your order is paid and will be sent today.",
    });
    forge::http::post(url("/mail")).json(&mail).send().await?.error_for_status()?;
    Ok(())
}
