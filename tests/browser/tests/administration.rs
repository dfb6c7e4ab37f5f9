//! What an admin does in the dashboard: logs in, makes and revokes keys, suspends a tenant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::Browser;
use forge_tests::{Api, Host, eventually};
use serde_json::json;

/// Makes an API key of the host. Returns its text.
async fn ops_key(api: &Api) -> String {
    let created =
        api.post_json("/_api/keys", &json!({ "role": "admin", "name": "ops", "host": true })).await.ok();
    created["token"].as_str().expect("a key has a text").to_owned()
}

/// Opens the dashboard of a host with keys and logs in.
async fn log_in(browser: &Browser, host: &Host, page: &str, key: &str) {
    browser.open(&format!("{}{page}", host.url())).await;
    browser.find("heading", "Log in").await;
    browser.fill("textbox", "API key", key).await;
    browser.press("button", "Log in").await;
}

async fn is_at(browser: &Browser, address: &str) {
    eventually(&format!("the browser is at {address}"), async || browser.address().await == address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_logs_in_makes_a_key_revokes_it_and_logs_out() {
    let host = Host::start().await;
    let key = ops_key(&host.api()).await;
    let ops = host.api().with_token(&key);
    ops.post_json("/_api/tenants", &json!({ "name": "acme", "egress": ["https://api.acme.example"] }))
        .await
        .ok();
    let browser = Browser::start().await;

    browser.open(&format!("{}/audit", host.url())).await;
    is_at(&browser, "/login?next=audit").await;
    browser.picture("login").await;
    log_in(&browser, &host, "/audit", "forge_0123456789ab_wrong").await;
    browser.shows("Not logged in: this API key is unknown, revoked or expired.").await;
    browser.picture("login-refused").await;
    // The browser notes that the login was answered with 401.
    let refusals = browser.complaints().await;
    assert!(refusals.iter().all(|line| line.contains("401")), "{refusals:?}");
    browser.fill("textbox", "API key", &key).await;
    browser.press("button", "Log in").await;
    is_at(&browser, "/audit").await;
    browser.press("link", "All tenants and the host").await;
    browser.shows("tenant.create").await;
    browser.picture("audit").await;
    for (page, heading) in [("nodes", "Nodes"), ("tenants", "Tenants")] {
        browser.open(&format!("{}/{page}", host.url())).await;
        browser.find("heading", heading).await;
        browser.picture(page).await;
    }

    browser.press("link", "acme").await;
    is_at(&browser, "/tenants/acme?tenant=acme").await;
    browser.fill("textbox", "Name", "continuous deployment").await;
    browser.press("button", "Create a key").await;
    browser.find("heading", "The new API key").await;
    browser.picture("tenant-new-key").await;
    let shown = browser.script("return document.querySelector('dialog input').value").await;
    let made = host.api().with_token(shown.as_str().expect("the key is a text"));
    assert_eq!(made.get("/_api/caller").await.ok()["tenant"], "acme");
    browser.press("button", "Done").await;
    browser.press("button", "Revoke continuous deployment").await;
    browser.find("heading", "Revoke the API key continuous deployment?").await;
    browser.press("button", "Revoke").await;
    browser.shows("revoked").await;
    assert_eq!(made.get("/_api/caller").await.status, 401);
    browser.picture("tenant").await;

    browser.press("button", "Log out").await;
    is_at(&browser, "/login").await;
    browser.open(&format!("{}/tenants", host.url())).await;
    is_at(&browser, "/login?next=tenants").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_suspended_and_resumed_after_a_question() {
    let host = Host::start().await;
    let key = ops_key(&host.api()).await;
    let ops = host.api().with_token(&key);
    ops.post_json("/_api/tenants", &json!({ "name": "acme" })).await.ok();
    let is_suspended = async || ops.get("/_api/tenants/acme").await.ok()["settings"]["suspended"] == true;
    let browser = Browser::start().await;
    let page = format!("{}/tenants/acme?tenant=acme", host.url());
    log_in(&browser, &host, "/tenants/acme?tenant=acme", &key).await;
    browser.press("button", "Suspend").await;
    browser.find("heading", "Suspend the tenant acme?").await;
    browser.picture("tenant-suspend").await;
    browser.press("button", "Back").await;
    assert!(!is_suspended().await, "nothing happens without the answer");
    browser.press("button", "Suspend").await;
    browser.find("button", "Back").await;
    // The page behind the question is inert, so this is the button of the answer.
    browser.press("button", "Suspend").await;
    eventually("the tenant is suspended", is_suspended).await;
    browser.open(&page).await;
    browser.press("button", "Resume").await;
    browser.find("heading", "Resume the tenant acme?").await;
    browser.press("button", "Resume").await;
    eventually("the tenant is active", async || !is_suspended().await).await;
    browser.open(&page).await;
    browser.find("button", "Suspend").await;

    // A link in a chat leads to the page, not to the login.
    browser.open(&format!("data:text/html,<a href='{}/tenants'>a link</a>", host.url())).await;
    browser.press("link", "a link").await;
    is_at(&browser, "/tenants").await;
    browser.find("heading", "Tenants").await;
    browser.close().await;
}
