//! Subscriptions: clients that follow runs and lists of runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{block, effect, gate};
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
