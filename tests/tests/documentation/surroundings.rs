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
