//! A client for the services in `examples/services`.

use std::cell::RefCell;

use forge::prelude::*;

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

/// Keeps a token, so that the link in the mail can be recognised.
///
/// `_db` is what the specification's workflow hands over. The tokens are behind HTTP here.
pub async fn store_token_in_db(_db: &Db, token: &str) -> Result<()> {
    let request = forge::http::put(url(&format!("/tokens/{token}"))).json(&json!({}));
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Sends the link.
pub async fn send_verification_email(email: &str, token: &str) -> Result<()> {
    let mail = json!({
        "to": email,
        "subject": "Is this your address?",
        "body": format!("If so, follow https://shop.example.com/verify?token={token}."),
    });
    forge::http::post(url("/mail")).json(&mail).send().await?.error_for_status()?;
    Ok(())
}
