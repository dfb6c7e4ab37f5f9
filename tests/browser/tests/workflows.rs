//! A component comes to the host, and a run is started from a form that its schema makes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::{Browser, By};
use forge_tests::{Host, component};
use tempfile::TempDir;

/// The files that a person uploads.
struct Files {
    folder: TempDir,
}

impl Files {
    /// Writes a file and returns its path.
    fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path.display().to_string()
    }
}

async fn upload(browser: &Browser, file: &str) {
    let field = browser.driver().find(By::Css("input[type=file]")).await.expect("there is a field for files");
    field.send_keys(file).await.expect("a file can be chosen");
}

/// Chooses an option of the list with this name.
async fn choose(browser: &Browser, list: &str, option: &str) {
    browser
        .find("combobox", list)
        .await
        .send_keys(option)
        .await
        .expect("an option can be chosen by its name");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_workflow_is_started_from_a_form_that_says_which_field_is_wrong() {
    let host = Host::start().await;
    let files = Files { folder: TempDir::new().expect("a temporary folder can be made") };
    let browser = Browser::start().await;

    browser.open(&format!("{}/workflows", host.url())).await;
    upload(&browser, &files.write("broken.wasm", b"this is no component")).await;
    browser.shows("this is no WebAssembly").await;
    upload(&browser, &files.write("checked.wasm", &component("checked"))).await;
    browser.find("link", "order").await;

    browser.open(&format!("{}/workflows/order/start", host.url())).await;
    browser.fill("textbox", "sku", "A-1041").await;
    choose(&browser, "Kind of payment", "card").await;
    browser.fill("textbox", "token", "tok_1").await;
    browser.fill("textbox", "count optional", "many").await;
    browser.press("button", "Start the run").await;
    browser.shows("whole number").await;
    let focused = browser.script("return document.activeElement.labels?.[0]?.textContent ?? ''").await;
    assert!(focused.as_str().is_some_and(|label| label.starts_with("count")), "the focus is at {focused}");

    // What the schema forbids is said by the host, at the same field.
    browser.fill("textbox", "count optional", "101").await;
    browser.press("button", "Start the run").await;
    browser.shows("Expected at most 100, found 101.").await;
    // The console says that the host has refused the start.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("status of 4")), "{complaints:?}");

    browser.fill("textbox", "count optional", "3").await;
    browser.press("button", "Start the run").await;
    browser.shows("Completed").await;
    assert!(browser.address().await.starts_with("/runs/"), "the page is that of the run");
    browser.close().await;
}
