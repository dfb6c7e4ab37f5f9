//! A run of 40,000 calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::{Browser, Key};
use forge_tests::program::{Statement, block};
use forge_tests::{Host, Services, component};

/// A draw asks the clock, which is a call.
const CALLS: u32 = 40_000;

#[tokio::test(flavor = "multi_thread")]
async fn forty_thousand_calls_are_scrolled_with_a_screen_of_rows() {
    // The output has what the run has drawn.
    let host = Host::builder().flag(["--fuel", "100G"]).flag(["--payload-size", "64MiB"]).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![Statement::Repeat(CALLS, block![Statement::Draw])]).await;
    api.until_status(&run, "completed").await;

    let browser = Browser::start().await;
    browser.open(&format!("{}/runs/{run}", host.url())).await;
    browser.idle().await;
    // The clock's calls are hidden at first.
    browser.press("checkbox", "Clock and timeouts").await;
    let rows = "return Number(document.querySelector('[role=treegrid]').getAttribute('aria-rowcount'))";
    forge_tests::eventually("all calls are in the tree", async || {
        browser.script(rows).await.as_u64() > Some(CALLS.into())
    })
    .await;

    browser.find("treegrid", "Calls").await.focus().await.expect("the calls can have the focus");
    browser.keys(Key::End + "").await;
    let last = "return [...document.querySelectorAll('[role=treegrid] [role=row]')].some(row => \
                Number(row.getAttribute('aria-rowindex')) === Number(row.closest('[role=treegrid]').getAttribute('aria-rowcount')))";
    forge_tests::eventually("the last call is shown", async || browser.script(last).await == true).await;
    let drawn = browser.script("return document.querySelectorAll('[role=treegrid] [role=row]').length").await;
    assert!(drawn.as_u64() < Some(200), "{drawn} rows are in the page");
    browser.picture("run-40000").await;
    browser.close().await;
}
