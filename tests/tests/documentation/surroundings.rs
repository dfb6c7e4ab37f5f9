//! What the code of the pages leaves out. It is a file of the crate that the test makes of that code.

use forge::prelude::*;
use serde::Deserialize;

/// The input of the workflows whose bodies are on the pages.
pub struct Input {
    pub card_token: String,
    pub sku: String,
    pub token: String,
}

pub fn input() -> Input {
    Input { card_token: "tok_visa".into(), sku: "mug".into(), token: "t_1".into() }
}

/// The types of documents whose form does not matter.
pub type Approval = serde_json::Value;
pub type Line = serde_json::Value;
pub type Report = serde_json::Value;
pub type Shipment = serde_json::Value;

pub type Token = String;

/// The variables of code that is not run: a run, an order, a month, an entry, a time, a token, a key, a version and a number.
pub fn values() -> (Uuid, String, String, String, Duration, Token, String, u64, u64) {
    let text = || "text".to_owned();
    (Uuid::nil(), text(), text(), text(), Duration::from_secs(60), text(), text(), 1, 1)
}

pub async fn recall(shipment: &Shipment) -> Result<()> {
    send(shipment).await.map(drop)
}

pub async fn take(_db: &forge::Db, what: &str, _number: u64) -> Result<String> {
    send(&json!({"take": what})).await
}

pub async fn put_back(_db: &forge::Db, what: &str, _number: u64) -> Result<()> {
    send(&json!({"put back": what})).await.map(drop)
}

#[derive(serde::Serialize, Deserialize)]
pub struct Charge {
    pub charge_id: String,
}

/// The answer of the services of the test.
#[derive(Deserialize)]
pub struct Reservation(pub String);

pub async fn create_user(email: &str) -> Result<String> {
    send(&json!({"email": email})).await
}

pub async fn charge_credit_card(card_token: &str) -> Result<Charge> {
    Ok(Charge { charge_id: send(&json!({"card": card_token})).await? })
}

pub async fn refund_charge(charge_id: &str) -> Result<()> {
    send(&json!({"refund": charge_id})).await.map(drop)
}

pub async fn store_token(token: &str) -> Result<String> {
    send(&json!({"token": token})).await
}

pub async fn ask_for_price(city: &str) -> Result<u64> {
    send(&json!({"city": city})).await.map(|answer| answer.len() as u64)
}

pub async fn send(body: &serde_json::Value) -> Result<String> {
    forge::http::post("https://shop.example/orders").json(body).send().await?.error_for_status()?.json()
}
