//! What tenants write is shown, and never does anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::Browser;
use forge_tests::program::{Statement, block, fail_for_good, step};
use forge_tests::{Host, Services};
use serde_json::json;

/// Texts that would run, or deceive, where they are not shown as text.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=\"window.taken=1\">",
    "<script>window.taken=1</script>",
    "</textarea><svg onload=\"window.taken=1\">",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{202e}txt.exe\u{2066}",
];

#[tokio::test(flavor = "multi_thread")]
async fn html_scripts_and_deceiving_characters_are_text_on_every_page() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let browser = Browser::start().await;
    for text in HOSTILE {
        let body = block![
            Statement::Log(text.to_owned()),
            step(text, block![Statement::Log(text.to_owned())]),
            Statement::Try(block![step(format!("try {text}"), block![fail_for_good(text)])]),
            fail_for_good(text),
        ];
        let tags = if text.chars().any(char::is_control) { json!({}) } else { json!({ "note": text }) };
        let start = json!({ "input": services.program(body), "tags": tags });
        let run = api.try_start("program", &start).await.ok();
        let run = run["run_id"].as_str().expect("a start has a run").to_owned();
        api.settled(&run).await;
        for page in ["runs".to_owned(), format!("runs/{run}"), format!("workflows/program/start?from={run}")]
        {
            browser.open(&format!("{}/{page}", host.url())).await;
            // A module that shows what it has loaded has done so when nothing is loading any more.
            browser.idle().await;
            assert_eq!(browser.script("return window.taken ?? null").await, json!(null), "{page}: {text}");
            let shown = browser.text().await;
            let deceives = |c: char| {
                c.is_control() && c != '\n' && c != '\t'
                    || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(
                !shown.contains(deceives),
                "{page} shows {:?}",
                shown.chars().filter(|c| deceives(*c)).collect::<String>()
            );
        }
    }
    browser.close().await;
}
