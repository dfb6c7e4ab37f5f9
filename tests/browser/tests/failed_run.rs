//! The way of a person from "something has failed" to a run that has succeeded, and what the page of a run says when the run,
//! the session or the connection has changed behind its back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::TcpListener;

use forge_browser_tests::{Browser, Key};
use forge_tests::program::{Statement, block, effect, fail_for_good, gate, step};
use forge_tests::{Host, Services, component, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_found_by_its_tag_understood_and_started_again_until_it_succeeds() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let pays = |order: &str, body| json!({ "input": services.program(body), "tags": { "order": order } });
    api.try_start("program", &pays("1040", block![step("charge", block![effect("charge")])])).await.ok();
    let failing = block![
        step("reserve", block![effect("reserve")]).undo(block![effect("release")]),
        step("charge", block![fail_for_good("the card has expired")]),
    ];
    let failed = api.try_start("program", &pays("1041", failing)).await.ok();
    let failed = failed["run_id"].as_str().expect("a start has a run");
    api.settled(failed).await;

    let browser = Browser::start().await;
    browser.open(&host.url()).await;
    browser.press("DisclosureTriangle", "More filters").await;
    browser.fill("textbox", "Tags", "order=1041").await;
    browser.press("button", "Filter").await;
    browser.shows("the card has expired").await;
    assert!(browser.address().await.contains("tag.order=1041"), "the filter is in the URL");
    assert_eq!(browser.names("row").await.len(), 2, "the heading of the table and one run");

    browser.press("link", failed).await;
    browser.shows("It failed, and is rolled back.").await;
    browser.shows("the card has expired").await;
    browser.shows("charge").await;

    // The tag is kept. The same order, with a program that waits for the bank and succeeds.
    browser.press("button", "Start again").await;
    let fixed = block![step("charge", block![gate("bank")])];
    let input = services.program(fixed).to_string();
    browser.fill("textbox", "Input, JSON", &input).await;
    browser.press("button", "Start").await;
    services.until_asked("bank", 1).await;
    browser.shows("It executes step").await;
    assert!(!browser.address().await.contains(failed), "the page is that of the new run");
    browser.find("link", "order=1041").await;
    services.open("bank");
    browser.shows("Completed").await;

    // What was done is reached by the keyboard alone.
    browser.find("treegrid", "Calls").await.focus().await.expect("the calls can have the focus");
    browser.keys(Key::Enter + "").await;
    eventually("the details of the call are shown", async || {
        browser.names("complementary").await.iter().any(|name| name.contains("charge"))
    })
    .await;
    browser.close().await;
}

/// Starts the module of the page, which was kept from the browser. The address differs, because a browser does not ask for a
/// module again that it could not load.
const START: &str = "const module = document.createElement('script'); \
     module.type = 'module'; \
     module.src = `${document.querySelector('main script[type=module]').src}?late`; \
     document.body.append(module);";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_older_than_the_first_live_state_is_brought_up_to_date() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let body = block![step("reserve", block![gate("stock")]), Statement::Event("approval".to_owned(), None)];
    let run = api.start_program(&services, body).await;
    services.until_asked("stock", 1).await;

    let browser = Browser::start().await;
    let cdp = browser.driver().cdp();
    cdp.send_raw("Network.enable", json!({})).await.expect("requests can be watched");
    let block_module = async |urls: &[&str]| {
        cdp.send_raw("Network.setBlockedURLs", json!({ "urls": urls }))
            .await
            .expect("a module can be kept away");
    };
    block_module(&["*/run.js"]).await;
    browser.open(&format!("{}/runs/{run}", host.url())).await;
    browser.shows("It executes step").await;
    // The run goes on after the server has rendered the page and before the module subscribes. Nothing changes afterwards.
    services.open("stock");
    api.until_status(&run, "waiting").await;
    browser.shows("It executes step").await;
    block_module(&[]).await;
    browser.complaints().await;
    browser.script(START).await;
    browser.shows("It waits for the event approval").await;
    browser.find("button", "Send it").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_forgotten_when_it_is_back_and_an_ended_session_leads_to_the_login() {
    let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = free.local_addr().expect("it has an address").to_string();
    drop(free);
    let mut host = Host::builder().flag(["--listen", &address]).start().await;
    let (anyone, services) = (host.api(), Services::start().await);
    let key = json!({ "role": "admin", "name": "operations", "host": true });
    let ops = anyone.post_json("/_api/keys", &key).await.ok();
    let ops = anyone.with_token(ops["token"].as_str().expect("a key has a token"));
    ops.deploy(&component("interpreter")).await;
    let key = ops.post_json("/_api/keys", &json!({ "role": "start", "name": "shop" })).await.ok();
    let run = ops.start_program(&services, block![Statement::Event("approval".to_owned(), None)]).await;
    ops.until_status(&run, "waiting").await;

    let browser = Browser::start().await;
    browser.open(&format!("{}/runs/{run}", host.url())).await;
    browser.fill("textbox", "API key", key["token"].as_str().expect("a key has a token")).await;
    browser.press("button", "Log in").await;
    browser.find("button", "Send it").await;

    let lost = "The host cannot be reached. Check the connection, and try again.";
    host.kill();
    browser.press("button", "Pause").await;
    browser.shows(lost).await;
    host.restart().await;
    eventually("the page is quiet", async || !browser.text().await.contains("cannot be reached")).await;

    browser.press("button", "Send it").await;
    browser.driver().delete_all_cookies().await.expect("a session can be lost");
    browser.press("button", "Send").await;
    browser.shows("The session has ended. Log in again.").await;
    browser.press("link", "Log in again").await;
    browser.find("textbox", "API key").await;
    assert_eq!(browser.address().await, format!("/login?next=runs%2F{run}"));
    // The browser itself notes what could not be reached and what was refused.
    browser.complaints().await;
    browser.close().await;
}
