//! A client for the services in `examples/services`.

use std::cell::RefCell;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

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

/// An account with the shop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// The id of the account.
    pub user_id: String,
}

/// An account with the payment provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Customer {
    /// The id of the customer.
    pub customer_id: String,
}

/// Opens an account. `reference` is the caller's id of the user.
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

/// Opens an account with the payment provider.
pub async fn create_customer(user_id: &str, email: &str) -> Result<Customer> {
    let customer = json!({"user_id": user_id, "email": email});
    let request = forge::http::post(url("/customers")).json(&customer);
    request.send().await?.error_for_status()?.json()
}

/// Closes an account with the payment provider.
pub async fn delete_customer(customer_id: &str) -> Result<()> {
    let path = format!("/customers/{customer_id}");
    forge::http::delete(url(&path)).send().await?.error_for_status()?;
    Ok(())
}

/// Sends the welcome mail.
pub async fn send_welcome_mail(email: &str) -> Result<()> {
    let mail = json!({
        "to": email,
        "subject": "Welcome to the coffee shop",
        "body": "Nice to have you here!",
    });
    forge::http::post(url("/mail")).json(&mail).send().await?.error_for_status()?;
    Ok(())
}

/// Marks the address of an account as verified.
pub async fn verify_user(user_id: &str) -> Result<()> {
    let path = format!("/users/{user_id}/verify");
    forge::http::post(url(&path)).send().await?.error_for_status()?;
    Ok(())
}
