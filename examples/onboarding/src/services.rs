//! A client for the services in `examples/services`.

use std::cell::RefCell;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

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

/// An account with the shop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Names the account, to delete it.
    pub user_id: String,
}

/// An account with the payment provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// Names the customer, to delete them.
    pub customer_id: String,
}

/// Opens an account; `reference` is the caller's own name for the user.
pub async fn create_user(reference: &str, email: &str) -> Result<User> {
    let user = json!({"reference": reference, "email": email});
    let request = forge::http::post(url("/users")).json(&user);
    request.send().await?.error_for_status()?.json()
}

/// Closes an account.
pub async fn delete_user(user_id: &str) -> Result<()> {
    let path = format!("/users/{user_id}");
    forge::http::delete(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Tells the payment provider of a user.
pub async fn create_customer(user_id: &str, email: &str) -> Result<Customer> {
    let customer = json!({"user_id": user_id, "email": email});
    let request = forge::http::post(url("/customers")).json(&customer);
    request.send().await?.error_for_status()?.json()
}

/// Makes the payment provider forget a customer.
pub async fn delete_customer(customer_id: &str) -> Result<()> {
    let path = format!("/customers/{customer_id}");
    forge::http::delete(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Says hello and hands over the token that proves the address.
pub async fn send_welcome_mail(email: &str, token: &str) -> Result<()> {
    let mail = json!({
        "to": email,
        "subject": "Welcome to the coffee shop",
        "body": format!("Nice to have you here! Your token is {token}."),
    });
    forge::http::post(url("/mail")).json(&mail).send().await?.error_for_status()?;
    Ok(())
}
