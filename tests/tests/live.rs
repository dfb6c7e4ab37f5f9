//! Subscriptions: clients that follow runs and lists of runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Statement, block, effect, gate};
use forge_tests::{Host, LiveSocket, Replica, Services};
use serde_json::{Value, json};

/// A run that does not exist.
const NOBODY: &str = "0190b5a4-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_gets_a_snapshot_then_deltas_then_the_end() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![effect("one"), gate("door"), effect("two")]).await;
    services.until_asked("door", 1).await;

    let mut socket = LiveSocket::connect(&host.url()).await;
    socket.follow(&run).await;
    let first = socket.frame().await.unwrap();
    assert_eq!((&first["type"], &first["id"]), (&json!("snapshot"), &json!(run)));
    assert!(first["position"].is_u64() && first["run"]["status"] == "running", "{first}");
    let mut replica = Replica::default();
    replica.add(&first);
    assert_eq!(socket.frame_within(Duration::from_millis(300)).await, None, "nothing changes");

    services.open("door");
    replica.until_end(&mut socket).await;
    assert_eq!(replica.types, ["snapshot", "delta", "end"]);
    assert_eq!(replica.run["status"], "completed");
    replica.is_complete(&api, &run).await;

    // A final run is a snapshot and an end, and from the end on there is nothing but the end.
    let mut late = Replica::default();
    socket.follow(&run).await;
    late.until_end(&mut socket).await;
    assert_eq!(late.types, ["snapshot", "end"]);
    late.is_complete(&api, &run).await;
    let since = json!({ "subscribe": { "run": run, "since": late.position }, "id": "again" });
    socket.send(&since).await.unwrap();
    let delta = socket.frame().await.unwrap();
    assert_eq!(delta["run"]["status"], "completed");
    assert_eq!(
        (&delta["type"], &delta["id"], &delta["steps"]),
        (&json!("delta"), &json!("again"), &Value::Null)
    );
    assert_eq!(socket.frame().await.unwrap()["type"], "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_many_subscriptions_and_errors_end_only_their_own() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![gate("door")]).await;
    let mut socket = LiveSocket::connect(&host.url()).await;
    socket.send(&json!({ "subscribe": { "run": run, "payloads": false }, "id": "a" })).await.unwrap();
    let frame = socket.frame().await.unwrap();
    assert_eq!((&frame["id"], &frame["run"]["input"]), (&json!("a"), &Value::Null));
    socket.send(&json!({ "subscribe": { "run": run }, "id": "a" })).await.unwrap();
    assert_eq!(socket.error().await, ("invalid_body".to_owned(), Some("a".to_owned())));
    socket.follow(NOBODY).await;
    assert_eq!(socket.error().await, ("unknown_run".to_owned(), Some(NOBODY.to_owned())));

    socket.send(&json!({ "unsubscribe": "a" })).await.unwrap();
    socket.follow(&run).await;
    services.open("door");
    let mut replica = Replica::default();
    replica.until_end(&mut socket).await;
    replica.is_complete(&api, &run).await;

    socket.send(&json!({ "subscribe": {} })).await.unwrap();
    assert_eq!(socket.error().await, ("invalid_body".to_owned(), None));
    assert_eq!(socket.frame().await, None, "the connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_presents_its_key_in_the_head_or_in_its_first_message() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![gate("door")]).await;
    let created = api.post_json("/_api/keys", &json!({ "name": "reader", "role": "read" })).await;
    let admin = created.refused(400).0;
    assert_eq!(admin, "invalid_key", "the first key is one of the host");
    let operator = json!({ "name": "operator", "role": "admin", "host": true });
    let operator = api.post_json("/_api/keys", &operator).await.ok();
    let key = operator["token"].as_str().unwrap();

    let mut socket = LiveSocket::try_connect(&host.url(), Some(key)).await.unwrap();
    socket.follow(&run).await;
    assert_eq!(socket.frame().await.unwrap()["type"], "snapshot");
    let mut socket = LiveSocket::connect(&host.url()).await;
    socket.send(&json!({ "token": key })).await.unwrap();
    socket.follow(&run).await;
    assert_eq!(socket.frame().await.unwrap()["type"], "snapshot");

    assert!(LiveSocket::try_connect(&host.url(), Some("forge_no_key")).await.is_err());
    for first in [json!({ "token": "forge_no_key" }), json!({ "subscribe": { "run": run } })] {
        let mut socket = LiveSocket::connect(&host.url()).await;
        socket.send(&first).await.unwrap();
        assert_eq!(socket.error().await, ("unauthorized".to_owned(), None));
        assert_eq!(socket.frame().await, None);
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_answered() {
    let host = Host::start().await;
    for first in [true, false] {
        let mut socket = LiveSocket::connect(&host.url()).await;
        if !first {
            socket.send(&json!({ "unsubscribe": "a" })).await.unwrap();
        }
        socket.send(&json!({ "unsubscribe": "a".repeat(20_000) })).await.unwrap();
        assert_eq!(socket.error().await, ("invalid_body".to_owned(), None));
        assert_eq!(socket.frame().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_token_follows_its_run_and_nothing_else() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![gate("door")]).await;
    let other = api.start_program(&services, block![gate("door")]).await;
    let operator = json!({ "name": "operator", "role": "admin", "host": true });
    let operator = api.post_json("/_api/keys", &operator).await.ok();
    let ops = api.with_token(operator["token"].as_str().unwrap());
    let token = async |body: Value| {
        let created = ops.post_json(&format!("/_api/runs/{run}/tokens"), &body).await.ok();
        created["token"].as_str().unwrap().to_owned()
    };

    let mut socket = LiveSocket::connect(&host.url()).await;
    socket.send(&json!({ "token": token(json!({ "payloads": false })).await })).await.unwrap();
    socket.follow(&run).await;
    let frame = socket.frame().await.unwrap();
    assert_eq!((&frame["type"], &frame["run"]["input"]), (&json!("snapshot"), &Value::Null));
    let foreign = [json!({ "run": other }), json!({ "runs": {} }), json!({ "run": run, "logs": true })];
    for subscribe in foreign {
        socket.send(&json!({ "subscribe": subscribe, "id": "x" })).await.unwrap();
        assert_eq!(socket.error().await, ("token_scope".to_owned(), Some("x".to_owned())));
    }

    // An `EventSource` has the token in its URL, where API keys are refused.
    let token = token(json!({})).await;
    let events = async |run: &str, token: &str| {
        api.get(&format!("/_api/runs/{run}/live?token={token}"))
            .await
            .refused(if run == other { 403 } else { 401 })
            .0
    };
    assert_eq!(events(&other, &token).await, "token_scope");
    assert_eq!(events(&run, operator["token"].as_str().unwrap()).await, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_asks_for_logs_gets_each_line_once() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let line = |text: &str| Statement::Log(text.to_owned());
    let body = block![line("one"), gate("door"), line("two"), effect("last"), line("three")];
    let run = api.start_program(&services, body).await;
    services.until_asked("door", 1).await;
    let mut socket = LiveSocket::connect(&host.url()).await;
    socket.send(&json!({ "subscribe": { "run": run, "logs": true } })).await.unwrap();
    let mut lines = Vec::new();
    let mut opened = false;
    loop {
        let frame = socket.frame().await.unwrap();
        lines.extend(frame["logs"].as_array().cloned().unwrap_or_default());
        if frame["type"] == "end" {
            break;
        }
        if !std::mem::replace(&mut opened, true) {
            assert_eq!(lines.len(), 1, "{lines:?}");
            services.open("door");
        }
    }
    let kept = api.get(&format!("/_api/runs/{run}/logs")).await.ok();
    assert_eq!((&json!(lines), lines.len()), (&kept["lines"], 3));
}
