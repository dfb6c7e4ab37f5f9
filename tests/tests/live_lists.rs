//! Subscriptions to lists, and server-sent events.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{block, effect, gate};
use forge_tests::{Host, LiveSocket, Replica, Services, component, is_as_documented};
use reqwest::{Method, Response};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_a_snapshot_then_what_is_new_has_changed_or_is_gone() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let first = api.start_program(&services, block![gate("door")]).await;
    services.until_asked("door", 1).await;
    let mut socket = LiveSocket::connect(&host.url()).await;
    let running = json!({ "subscribe": { "runs": { "status": ["running", "created"], "limit": 2 } } });
    is_as_documented(&running);
    socket.send(&running).await.unwrap();
    let frame = socket.frame().await.unwrap();
    assert_eq!((&frame["type"], &frame["id"]), (&json!("snapshot"), &json!("runs")));
    assert_eq!(ids(&frame["runs"]), [&*first]);

    // Two newer runs fill the page.
    let second = api.start_program(&services, block![gate("exit")]).await;
    let mut known = vec![first.clone()];
    until(&mut socket, &mut known, |runs| runs.contains(&second)).await;
    let third = api.start_program(&services, block![gate("exit")]).await;
    until(&mut socket, &mut known, |runs| runs.contains(&third) && !runs.contains(&first)).await;
    assert_eq!(known.len(), 2);

    // Those that are no longer running leave it to others.
    services.open("exit");
    until(&mut socket, &mut known, |runs| *runs == [first.clone()]).await;

    let wrong = json!({ "subscribe": { "runs": { "status": "unheard-of" } }, "id": "wrong" });
    socket.send(&wrong).await.unwrap();
    assert_eq!(socket.error().await, ("invalid_parameter".to_owned(), Some("wrong".to_owned())));
    for list in 1..10 {
        socket.send(&json!({ "subscribe": { "runs": {} }, "id": format!("list {list}") })).await.unwrap();
        assert_eq!(socket.frame().await.unwrap()["type"], "snapshot");
    }
    socket.send(&json!({ "subscribe": { "runs": {} }, "id": "one more" })).await.unwrap();
    assert_eq!(socket.error().await, ("busy".to_owned(), Some("one more".to_owned())));
}

fn ids(runs: &Value) -> Vec<&str> {
    runs.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect()
}

/// Applies frames until the list is like this.
async fn until(socket: &mut LiveSocket, known: &mut Vec<String>, is_it: impl Fn(&Vec<String>) -> bool) {
    while !is_it(known) {
        let frame = socket.frame().await.unwrap();
        assert_eq!(frame["type"], "delta");
        known.retain(|run| !frame["gone"].as_array().unwrap().contains(&json!(run)));
        for run in ids(&frame["runs"]) {
            if !known.iter().any(|known| known == run) {
                known.push(run.to_owned());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_have_the_same_frames_and_go_on_from_the_last_one() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![effect("one"), gate("door"), effect("two")]).await;
    services.until_asked("door", 1).await;
    let path = format!("/_api/runs/{run}/live");
    let mut events = Events::of(api.request(Method::GET, &path).await.send().await.unwrap());
    let mut replica = Replica::default();
    let (kind, position, frame) = events.next().await.unwrap();
    assert_eq!((&*kind, &frame["type"]), ("snapshot", &json!("snapshot")));
    assert_eq!(frame["position"], json!(position.unwrap()));
    replica.add(&frame);
    services.open("door");
    let mut last = position;
    while let Some((kind, position, frame)) = events.next().await {
        assert_eq!(frame["type"], json!(kind));
        replica.add(&frame);
        last = position;
    }
    assert!(replica.ended);
    replica.is_complete(&api, &run).await;

    // A browser connects again when the response ends, and must not do so for ever.
    let again = async |id: u64| {
        let request = api.request(Method::GET, &path).await;
        request.header("last-event-id", id.to_string()).send().await.unwrap()
    };
    assert_eq!(again(last.unwrap()).await.status(), 204);
    let mut events = Events::of(again(last.unwrap() - 1).await);
    assert_eq!(events.next().await.unwrap().0, "delta");
    assert_eq!(events.next().await.unwrap().0, "end");
    assert!(events.next().await.is_none());
    // Another server had more of it.
    let mut events = Events::of(again(1 << 40).await);
    assert_eq!(events.next().await.unwrap().0, "snapshot");

    let bare = api.request(Method::GET, &format!("{path}?payloads=false")).await.send().await.unwrap();
    let (_, _, frame) = Events::of(bare).next().await.unwrap();
    assert!(frame["steps"].as_array().unwrap().iter().all(|step| step["result"].is_null()));
    let nobody = "/_api/runs/0190b5a4-0000-7000-8000-000000000000/live";
    assert_eq!(api.get(nobody).await.refused(404).0, "unknown_run");
}

/// Server-sent events, as they come.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// Returns the next event: its name, its id and its data.
    async fn next(&mut self) -> Option<(String, Option<u64>, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let Some(kind) = field("event: ") else { continue };
                let data = serde_json::from_str(field("data: ").unwrap()).unwrap();
                is_as_documented(&data);
                return Some((kind.to_owned(), field("id: ").map(|id| id.parse().unwrap()), data));
            }
            let bytes = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_keys_tells_a_page_of_another_site_nothing() {
    let host = Host::start().await;
    host.api().deploy(&component("interpreter")).await;
    let request = host.api().request(Method::GET, "/_api/live").await;
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let request = upgrade.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let foreign = request.header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let plain = host.api().get("/_api/live").await.refused(400).0;
    assert_eq!(plain, "invalid_parameter");
}
