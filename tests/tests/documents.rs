//! Documents are carried as they were sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Api, Host};
use reqwest::Method;
use serde_json::Value;

/// Starts a program with this text as its input, under the key `k`, and returns the status and the body.
async fn start(api: &Api, input: &str) -> (u16, Value) {
    let request = api.request(Method::POST, "/_api/workflows/program/start").await;
    let request = request.header("content-type", "application/json");
    let answer = request.body(format!("{{\"key\": \"k\", \"input\": {input}}}")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Returns a program that does nothing, with this number.
fn program(number: &str) -> String {
    format!(r#"{{ "services": "http://127.0.0.1:1", "body": [], "number": {number} }}"#)
}

#[tokio::test]
async fn numbers_stay_as_they_were_sent_and_keys_tell_them_apart() {
    let host = Host::with_interpreter().await;
    let api = host.api();
    let number = "[18446744073709551617, 9.104666611827653, 1.50]";
    let (status, started) = start(&api, &program(number)).await;
    assert_eq!(status, 202, "{started}");
    let run = started["run_id"].as_str().unwrap();
    api.settled(run).await;
    let shown = api
        .request(Method::GET, &format!("/_api/runs/{run}"))
        .await
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let sent = r#""number":[18446744073709551617,9.104666611827653,1.50]"#;
    assert!(shown.contains(sent), "{shown}");
    let (stored,): (String,) =
        host.database().await.row("SELECT input FROM forge_runs WHERE id = ?", &[run]).await;
    assert!(stored.contains(sent), "{stored}");

    let other_order = r#"{"number":[18446744073709551617,9.104666611827653,1.50],"body":[],"services":"http://127.0.0.1:1"}"#;
    let (status, again) = start(&api, other_order).await;
    assert_eq!((status, &again["run_id"]), (202, &started["run_id"]), "members have no order");
    let (status, other) = start(&api, &program("[18446744073709551618, 9.104666611827653, 1.50]")).await;
    assert_eq!((status, &other["error"]["code"]), (409, &"key_reused".into()));
}

#[tokio::test]
async fn a_document_that_no_guest_can_read_is_refused() {
    let host = Host::with_interpreter().await;
    let api = host.api();
    for input in ["[".repeat(400_000) + &"]".repeat(400_000), r#""\ud800""#.to_owned()] {
        let (status, refused) = start(&api, &input).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &"invalid_input".into()), "{refused}");
    }
}
