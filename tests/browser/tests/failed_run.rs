//! The way of a person from "something has failed" to a run that has succeeded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::{Browser, Key};
use forge_tests::program::{block, effect, fail_for_good, gate, step};
use forge_tests::{Host, Services, eventually};
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

    // The same order, with a program that waits for the bank and succeeds.
    browser.press("button", "Start again").await;
    let fixed = block![step("charge", block![gate("bank")])];
    let input = services.program(fixed).to_string();
    browser.fill("textbox", "Input, JSON", &input).await;
    browser.press("button", "Start").await;
    services.until_asked("bank", 1).await;
    browser.shows("It executes step").await;
    assert!(!browser.address().await.contains(failed), "the page is that of the new run");
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
