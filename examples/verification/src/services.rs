//! A client for the services in `examples/services`.

use std::cell::RefCell;

use forge::prelude::*;

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

/// Stores a token in the tenant's store. The service that checks the link reads it there:
/// `GET /_api/db/tokens/{token}`.
pub async fn store_token_in_db(db: &Db, token: &str) -> Result<()> {
    db.put(format!("tokens/{token}"), &json!({ "verified": false })).await?;
    Ok(())
}

/// Sends the mail with the link.
pub async fn send_verification_email(email: &str, token: &str) -> Result<()> {
    let mail = json!({
        "to": email,
        "subject": "Is this your address?",
        "body": format!("If so, follow https://shop.example.com/verify?token={token}."),
    });
    forge::http::post(url("/mail")).json(&mail).send().await?.error_for_status()?;
    Ok(())
}
