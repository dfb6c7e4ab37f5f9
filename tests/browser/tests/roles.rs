//! Who logs in sees what their role may do, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::Browser;
use forge_tests::program::{block, gate, step};
use forge_tests::{Api, Host, Services, component};
use serde_json::json;

/// The buttons of the page of a run that executes, by the role of the one who looks.
const BUTTONS: [(&str, &[&str]); 4] = [
    ("read", &[]),
    ("start", &["Cancel", "Pause", "Send event", "Start again"]),
    ("deploy", &["Cancel", "Pause", "Send event", "Start again"]),
    ("admin", &["Cancel", "Pause", "Send event", "Start again", "Terminate"]),
];

/// The buttons of the same page that only change what is seen.
const TOOLS: [&str; 7] =
    ["Collapse all", "Copy", "Expand all", "Log out", "Whole run", "Zoom in", "Zoom out"];

async fn key(api: &Api, role: &str, of_host: bool) -> String {
    let body = json!({ "role": role, "name": format!("a {role}"), "host": of_host });
    let created = api.post_json("/_api/keys", &body).await.ok();
    created["token"].as_str().expect("a key has a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_logs_in_and_sees_what_it_may_do() {
    let (host, services) = (Host::start().await, Services::start().await);
    let anyone = host.api();
    let ops = anyone.with_token(&key(&anyone, "admin", true).await);
    ops.post_json("/_api/tenants", &json!({ "name": "acme", "egress": [services.url()] })).await.ok();
    let acme = ops.for_tenant("acme");
    acme.deploy(&component("interpreter")).await;
    let run = acme.start_program(&services, block![step("pay", block![gate("bank")])]).await;
    services.until_asked("bank", 1).await;

    let browser = Browser::start().await;
    for (role, allowed) in BUTTONS {
        let token = key(&acme, role, false).await;
        browser.open(&format!("{}/runs/{run}", host.url())).await;
        assert!(
            browser.address().await.starts_with("/login"),
            "without a session, every page leads to the login"
        );
        browser.fill("textbox", "API key", "forge_wrong").await;
        browser.press("button", "Log in").await;
        browser.shows("Not logged in").await;
        browser.fill("textbox", "API key", &token).await;
        browser.press("button", "Log in").await;
        browser.find("treegrid", "Calls").await;
        assert_eq!(
            browser.address().await,
            format!("/runs/{run}"),
            "the login leads to the page that was asked for"
        );

        let mut buttons: Vec<String> = browser.names("button").await;
        buttons.retain(|name| !TOOLS.contains(&name.as_str()));
        buttons.sort();
        assert_eq!(buttons, allowed, "the buttons of {role}");
        let links = browser.names("link").await;
        assert_eq!(
            links.iter().any(|link| link == "Audit"),
            role == "admin",
            "the links of {role}: {links:?}"
        );
        assert!(!links.iter().any(|link| link == "Nodes"), "the nodes are of the host");

        let session = browser.script("return document.cookie").await;
        assert_eq!(session, "", "no script of a page reads the session");
        browser.press("button", "Log out").await;
        browser.find("button", "Log in").await;
    }
    // The wrong keys were answered with 401, which the browser notes.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:?}");
    browser.close().await;
}
