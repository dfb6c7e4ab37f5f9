//! The list of runs: it follows the host, is filtered in place, and acts on several runs at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::{Browser, Key};
use forge_tests::program::{Statement, block, effect, fail_for_good, step};
use forge_tests::{Api, Host, Services, eventually};

/// Starts a run that waits for an event.
async fn waiting(api: &Api, services: &Services) -> String {
    let run = api.start_program(services, block![Statement::Event("approval".to_owned(), None)]).await;
    api.until_status(&run, "waiting").await;
    run
}

/// Returns the ids of the rows.
const ROWS: &str =
    "return [...document.querySelectorAll('tr[data-run]')].map(row => row.dataset.run).join(' ')";

async fn until_rows(browser: &Browser, expected: &[&String]) {
    let expected: Vec<&str> = expected.iter().map(|run| run.as_str()).collect();
    let expected = expected.join(" ");
    eventually(&format!("the rows are {expected}"), async || browser.script(ROWS).await == *expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_follows_the_host_and_holds_still_while_somebody_works_with_it() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let first = waiting(&api, &services).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/runs", host.url())).await;
    until_rows(&browser, &[&first]).await;

    let second = waiting(&api, &services).await;
    until_rows(&browser, &[&second, &first]).await;
    api.send_event(&second, "approval", &serde_json::json!(true), None).await;
    browser.shows("completed").await;

    browser.press("checkbox", &format!("Select run {first}")).await;
    browser.shows("1 run is selected.").await;
    let third = waiting(&api, &services).await;
    browser.find("button", "1 new run: show it").await;
    until_rows(&browser, &[&second, &first]).await;
    browser.press("button", "1 new run: show it").await;
    until_rows(&browser, &[&third, &second, &first]).await;
    browser.shows("1 run is selected.").await;

    // Paused, nothing comes.
    browser.press("button", "Clear the selection").await;
    browser.press("button", "Live").await;
    let fourth = waiting(&api, &services).await;
    browser.press("button", "Live").await;
    until_rows(&browser, &[&fourth, &third, &second, &first]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_change_the_address_and_leave_the_focus() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let waits = waiting(&api, &services).await;
    let failed = api.start_program(&services, block![fail_for_good("no")]).await;
    api.settled(&failed).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/runs", host.url())).await;
    browser.script("window.stays = true").await;
    browser.press("checkbox", "failed 1").await;
    until_rows(&browser, &[&failed]).await;
    assert_eq!(browser.address().await, "/runs?status=failed");
    assert_eq!(browser.script("return document.activeElement.value").await, "failed");
    browser.press("checkbox", "waiting 1").await;
    until_rows(&browser, &[&failed, &waits]).await;
    assert_eq!(browser.address().await, "/runs?status=waiting%2Cfailed");
    assert_eq!(browser.script("return window.stays").await, true, "the page stays");

    browser.fill("combobox", "Started since", "soon").await;
    browser.keys(Key::Enter + "").await;
    browser.find("alert", "").await;
    browser.shows("`soon` is neither a duration").await;
    browser.driver().back().await.expect("there is a page before");
    browser.driver().back().await.expect("there is a page before");
    until_rows(&browser, &[&failed]).await;
    // The browser itself says that a filter could not be read.
    browser.complaints().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_selected_by_keyboard_and_cancelled_and_what_was_refused_is_said() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let done = api.start_program(&services, block![step("a", block![effect("a")])]).await;
    api.settled(&done).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(waiting(&api, &services).await);
    }
    let browser = Browser::start().await;
    browser.open(&format!("{}/runs", host.url())).await;
    browser.press("checkbox", &format!("Select run {}", runs[2])).await;
    for _ in 0..3 {
        let keys =
            browser.driver().action_chain().key_down(Key::Shift).send_keys(Key::Down).key_up(Key::Shift);
        keys.perform().await.expect("keys can be pressed");
    }
    browser.shows("4 runs are selected.").await;
    browser.press("button", "Cancel").await;
    browser.shows("Cancel 3 runs?").await;
    browser.shows("1 run of the selection is over").await;
    // The harmless answer has the focus.
    browser.keys(Key::Enter + "").await;
    assert_eq!(api.record(&runs[0]).await["status"], "waiting");

    // One of them ends before the answer.
    browser.press("button", "Cancel").await;
    browser.shows("Cancel 3 runs?").await;
    api.send_event(&runs[0], "approval", &serde_json::json!(true), None).await;
    api.settled(&runs[0]).await;
    browser.press("button", "Cancel 3 runs").await;
    browser.shows("2 of 3 runs were cancelled.").await;
    browser.find("link", &runs[0]).await;
    for run in &runs[1..] {
        assert_ne!(api.settled(run).await["status"], "completed");
    }
    // The browser itself says that a command was refused.
    browser.complaints().await;
    browser.close().await;
}
