//! Events over the API and the command line, and what records say of events and children.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_postgres::Server;
use forge_tests::program::{Block, Statement, block, effect, fail, gate};
use forge_tests::{
    Answer, Api, Cluster, Host, HostBuilder, Services, component, eventually, eventually_some,
};
use reqwest::Method;
use serde_json::{Value, json};

fn event(name: &str) -> Statement {
    Statement::Event(name.to_owned(), None)
}

fn all(name: &str) -> Statement {
    Statement::EventsThatAreThere(name.to_owned())
}

/// Starts a host on which waiting runs leave memory at once, with the interpreter.
async fn host() -> Host {
    let host = Host::builder().flag(["--evict-after", "1ms"]).start().await;
    host.api().deploy(&component("interpreter")).await;
    host
}

/// Creates a tenant with these limits that may reach the services and has the interpreter.
async fn tenant(host: &Host, services: &Services, name: &str, limits: Value) -> Api {
    let body = json!({ "name": name, "egress": [services.url()], "limits": limits });
    host.api().post_json("/_api/tenants", &body).await.ok();
    let api = host.api().for_tenant(name);
    api.deploy(&component("interpreter")).await;
    api
}

/// Creates an API key, and returns a client that uses it.
async fn with_key(api: &Api, role: &str, host: bool) -> Api {
    let body = json!({ "role": role, "name": role, "host": host });
    let created = api.post_json("/_api/keys", &body).await.ok();
    api.with_token(created["token"].as_str().unwrap())
}

async fn send(api: &Api, run: &str, name: &str, body: &Value) -> Answer {
    api.post_json(&format!("/_api/runs/{run}/events/{name}"), body).await
}

/// Sends an event with this header `Idempotency-Key`. Returns the status and the body.
async fn send_with_header(api: &Api, run: &str, key: &str, body: &Value) -> (u16, Value) {
    let request = api.request(Method::POST, &format!("/_api/runs/{run}/events/paid")).await;
    let answer = request.header("idempotency-key", key).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn start(api: &Api, services: &Services, body: Block, more: Value) -> Answer {
    let mut request = json!({ "input": services.program(body) });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.try_start("program", &request).await
}

/// Waits until a run has left memory, and returns its record.
async fn until_it_waits(api: &Api, run: &str) -> Value {
    eventually_some("the run waits", async || {
        Some(api.record(run).await).filter(|record| record["waits_for"].is_array())
    })
    .await
}

#[tokio::test]
async fn an_event_needs_the_role_start_and_reaches_no_other_tenant() {
    let (host, services) = (host().await, Services::start().await);
    let theirs = tenant(&host, &services, "umbrella", json!({})).await;
    tenant(&host, &services, "acme", json!({})).await;
    let run = start(&theirs, &services, block![event("go")], json!({"key": "k"})).await.ok();
    let run = run["run_id"].as_str().unwrap().to_owned();
    let operator = with_key(&host.api(), "admin", true).await;
    let foreign = with_key(&operator.for_tenant("acme"), "admin", false).await;
    let reader = with_key(&operator.for_tenant("umbrella"), "read", false).await;
    let starter = with_key(&operator.for_tenant("umbrella"), "start", false).await;
    let paths = [format!("/_api/runs/{run}/events/go"), "/_api/workflows/program/events/go".to_owned()];
    let bodies = [json!({"payload": 1}), json!({"payload": 2, "run_key": "k"})];
    for (path, body) in paths.iter().zip(&bodies) {
        assert_eq!(host.api().post_json(path, body).await.refused(401).0, "unauthorized");
        assert_eq!(reader.post_json(path, body).await.refused(403).0, "forbidden");
        assert_eq!(foreign.post_json(path, body).await.refused(404).0, "unknown_run");
    }
    let record = starter.record(&run).await;
    assert_eq!((record.get("events"), &record["status"]), (None, &json!("waiting")), "{record:#}");
    let sent = starter.post_json(&paths[1], &bodies[1]).await;
    assert_eq!((sent.status, &sent.body["run_id"]), (202, &json!(run)), "{}", sent.body);
    assert_eq!(starter.settled(&run).await["output"], json!([2]));
}

#[tokio::test]
async fn the_key_of_an_event_is_in_the_body_or_in_the_header() {
    let (mut host, services) = (host().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![event("end"), all("paid")]).await;
    let body = json!({ "payload": 1 });
    let first = (202, json!({ "seq": 1, "duplicate": false }));
    assert_eq!(send_with_header(&api, &run, "k", &body).await, first);
    host.kill();
    host.restart().await;
    let api = host.api();
    let again = (202, json!({ "seq": 1, "duplicate": true }));
    assert_eq!(send_with_header(&api, &run, "k", &json!({ "payload": 2 })).await, again);
    assert_eq!(send_with_header(&api, &run, "k", &json!({ "payload": 2, "key": "k" })).await, again);
    assert_eq!(send(&api, &run, "paid", &json!({ "payload": 3, "key": "k" })).await.ok(), again.1);
    let (status, refused) = send_with_header(&api, &run, "k", &json!({ "payload": 4, "key": "other" })).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("invalid_parameter")), "{refused}");
    send(&api, &run, "end", &json!({})).await.ok();
    assert_eq!(api.settled(&run).await["output"], json!([null, [1]]));
    // The key is known after the run has ended, too.
    assert_eq!(send_with_header(&api, &run, "k", &body).await, again);
    let (code, message) = send(&api, &run, "paid", &body).await.refused(409);
    assert!(code == "conflict" && message.contains("is completed"), "{message}");
}

#[tokio::test]
async fn names_keys_and_payloads_that_cannot_be_used_are_refused_by_name() {
    let (host, services) = (host().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![event("go")]).await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let long = "n".repeat(256);
    for (name, body, status, code, says) in [
        (&*long, "{}".to_owned(), 400, "invalid_event", "1 to 255 bytes, and has 256"),
        (&*"n".repeat(2_000), "{}".to_owned(), 400, "invalid_parameter", "2000 bytes"),
        ("a%00b", "{}".to_owned(), 400, "invalid_event", "control characters"),
        ("a%1bb", "{}".to_owned(), 400, "invalid_event", "control characters"),
        ("a%ffb", "{}".to_owned(), 400, "invalid_parameter", "UTF-8"),
        ("go", r#"{"key":""}"#.to_owned(), 400, "invalid_event", "key"),
        ("go", format!(r#"{{"key":"{long}"}}"#), 400, "invalid_event", "key"),
        ("go", r#"{"key":"a\u0000"}"#.to_owned(), 400, "invalid_event", "control characters"),
        ("go", r#"{"payload":"\ud800"}"#.to_owned(), 400, "invalid_event", "payload"),
        ("go", format!(r#"{{"payload":{deep}}}"#), 400, "invalid_event", "127 levels"),
        ("go", r#"{"paylaod":1}"#.to_owned(), 400, "invalid_body", "paylaod"),
        ("go", "[1]".to_owned(), 400, "invalid_body", "object"),
        ("go", "nonsense".to_owned(), 400, "invalid_body", "JSON"),
        (
            "go",
            format!(r#"{{"payload":"{}"}}"#, "x".repeat(1 << 20)),
            413,
            "payload_too_large",
            "payload_bytes",
        ),
        ("go", format!(r#"{{"payload":"{}"}}"#, "x".repeat(2 << 20)), 413, "body_too_large", "bytes"),
    ] {
        let request = api.request(Method::POST, &format!("/_api/runs/{run}/events/{name}")).await;
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        let (found, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        let message = body["error"]["message"].as_str().unwrap();
        assert_eq!((found, &body["error"]["code"]), (status, &json!(code)), "{body}");
        assert!(message.contains(says), "{says}: {message}");
    }
    let unknown = "0192f0c1-1111-7000-8000-000000000000";
    assert_eq!(send(&api, unknown, "go", &json!({})).await.refused(404).0, "unknown_run");
    assert_eq!(send(&api, "nonsense", "go", &json!({})).await.refused(400).0, "invalid_parameter");
    for (workflow, key) in [("program", "nobody"), ("nothing", "k")] {
        let path = format!("/_api/workflows/{workflow}/events/go");
        let (code, message) = api.post_json(&path, &json!({ "run_key": key })).await.refused(404);
        assert!(code == "unknown_run" && message.contains(key) && message.contains(workflow), "{message}");
    }
    let (code, message) = api.post("/_api/workflows/program/events/go").await.refused(400);
    assert!(code == "invalid_body" && message.contains("run_key"), "{message}");

    // What has a form is kept as it is, and a name may have any other character.
    let text = r#"{"payload":{"n":1.50,"big":123456789012345678901234567890}}"#;
    let request = api.request(Method::POST, &format!("/_api/runs/{run}/events/order%2F7%20%C3%BC")).await;
    let answer = request.header("content-type", "application/json").body(text).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(api.record(&run).await["events"]["first"][0]["name"], "order/7 ü");
    // A payload that is absent is null.
    let (code, message) = api.post(&format!("/_api/runs/{run}/events/go")).await.refused(400);
    assert!(code == "invalid_body" && message.contains("at least `{}`"), "{message}");
    send(&api, &run, "go", &json!({})).await.ok();
    assert_eq!(api.settled(&run).await["output"], json!([null]));
}

/// Fills the inbox of a run, and returns what the run has taken in the end.
async fn fill(api: &Api, run: &str, payload: &Value, limit: &str) -> usize {
    let mut acknowledged = 0;
    let refused = loop {
        let answer =
            send(api, run, "line", &json!({ "payload": payload, "key": format!("k{acknowledged}") })).await;
        if answer.status != 202 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 50, "no event is refused");
    };
    assert!(refused.retry_after.is_some());
    let (code, message) = refused.refused(429);
    assert!(code == "inbox_full" && message.contains(limit), "{message}");
    // What was acknowledged is known, also if the inbox is full.
    let again = send(api, run, "line", &json!({ "payload": payload, "key": "k0" })).await.ok();
    assert_eq!(again["duplicate"], true);
    acknowledged
}

async fn a_full_inbox_loses_nothing(host: HostBuilder) {
    let services = Services::start().await;
    let mut host = host.start().await;
    let by_number = tenant(&host, &services, "by-number", json!({ "inbox_events": 7 })).await;
    let by_bytes = tenant(&host, &services, "by-bytes", json!({ "inbox_bytes": 1_000 })).await;
    let cases = [
        (by_number, json!("small"), "inbox_events", 7),
        (by_bytes, json!("x".repeat(98)), "inbox_bytes", 10),
    ];
    for (api, payload, limit, most) in &cases {
        let run = api.start_program(&services, block![gate(*limit), all("line")]).await;
        assert_eq!(fill(api, &run, payload, limit).await, *most);
        let events = api.record(&run).await["events"].take();
        let bytes = payload.to_string().len() * most;
        assert_eq!((&events["count"], &events["bytes"]), (&json!(most), &json!(bytes)), "{events}");
        assert_eq!(events["first"][0]["key"], "k0");
        host.kill();
        host.restart().await;
        let api = host.api().like(api);
        services.until_asked(limit, 1).await;
        services.open(limit);
        let record = api.settled(&run).await;
        assert_eq!(record["output"][1].as_array().unwrap().len(), *most, "{record:#}");
        assert_eq!(record.get("events"), None);
        services.open(limit);
    }
}

#[tokio::test]
async fn a_full_inbox_refuses_events_and_loses_none_that_it_has_acknowledged() {
    a_full_inbox_loses_nothing(Host::builder()).await;
}

#[tokio::test]
async fn a_full_inbox_refuses_events_and_loses_none_that_it_has_acknowledged_with_postgresql() {
    let url =
        tokio::task::spawn_blocking(|| Server::shared().unwrap().create_database().unwrap()).await.unwrap();
    a_full_inbox_loses_nothing(Host::builder().database(url).flag(["--node", "a"])).await;
}

#[tokio::test]
async fn a_tenant_without_room_in_the_database_sends_no_events() {
    let (host, services) = (host().await, Services::start().await);
    let api = tenant(&host, &services, "acme", json!({ "storage_bytes": 100_000 })).await;
    let run = api.start_program(&services, block![event("go")]).await;
    let payload = json!({ "payload": "x".repeat(50_000) });
    let refused = eventually_some("an event is refused", async || {
        Some(send(&api, &run, "large", &payload).await).filter(|answer| answer.status != 202)
    })
    .await;
    let (code, message) = refused.refused(403);
    assert!(code == "limit" && message.contains("storage_bytes"), "{message}");
}

#[tokio::test]
async fn a_start_with_an_event_starts_the_run_or_sends_the_event() {
    let (host, services) = (host().await, Services::start().await);
    let api = host.api();
    let body = || block![event("line"), event("line"), event("end")];
    let line = |number: u64, key: &str| json!({"key": "o-1", "event": {"name": "line", "payload": number, "key": key}});
    let first = start(&api, &services, body(), line(1, "l-1")).await.ok();
    assert_eq!(first["event"], json!({ "seq": 1, "duplicate": false }), "{first}");
    assert_eq!(first.get("existing"), None);
    let again = start(&api, &services, body(), line(1, "l-1")).await.ok();
    assert_eq!((&again["run_id"], &again["event"]["duplicate"]), (&first["run_id"], &json!(true)));
    // The input of a start that only sends may be another.
    let second = start(&api, &services, block![], line(2, "l-2")).await.ok();
    assert_eq!((&second["run_id"], &second["event"]["seq"]), (&first["run_id"], &json!(2)), "{second}");
    assert!(second["existing"]["status"].is_string());
    let end = json!({"run_key": "o-1"});
    api.post_json("/_api/workflows/program/events/end", &end).await.ok();
    let run = first["run_id"].as_str().unwrap();
    assert_eq!(api.settled(run).await["output"], json!([1, 2, null]));
    let (code, message) = start(&api, &services, body(), line(3, "l-3")).await.refused(409);
    assert!(code == "conflict" && message.contains("is completed"), "{message}");

    // Without a key, and with a wait for the end.
    let path = "/_api/workflows/program/start?wait=30";
    let request =
        json!({ "input": services.program(block![event("a")]), "event": { "name": "a", "payload": "x" } });
    let ended = api.post_json(path, &request).await;
    assert_eq!((ended.status, &ended.body["output"]), (200, &json!(["x"])), "{}", ended.body);
    assert_eq!(ended.body["event"]["seq"], 1);
    for (event, status) in [
        (json!({ "payload": 1 }), 400),
        (json!({ "name": "" }), 400),
        (json!({ "name": "a", "extra": 1 }), 400),
        (json!({ "name": "a", "payload": "x".repeat(1 << 20) }), 413),
    ] {
        let refused = start(&api, &services, body(), json!({ "key": "never", "event": event })).await;
        assert_eq!(refused.status, status, "{}", refused.body);
    }
    let none = api.get("/_api/runs?key=never").await.ok();
    assert_eq!(none["runs"], json!([]), "nothing was started");
}

#[tokio::test]
async fn many_starts_with_an_event_and_one_key_are_one_run_with_each_event_once() {
    const CLIENTS: u64 = 20;
    let (host, services) = (host().await, Services::start().await);
    let api = host.api();
    let body = || block![Statement::Repeat(20, block![event("line")])];
    let starts = (0..CLIENTS).map(|client| {
        let event =
            json!({"key": "one", "event": {"name": "line", "payload": client, "key": format!("c{client}")}});
        let (api, services) = (&api, &services);
        async move { start(api, services, body(), event).await.ok() }
    });
    let started = futures::future::join_all(starts).await;
    let run = started[0]["run_id"].as_str().unwrap();
    assert!(started.iter().all(|started| started["run_id"] == run));
    assert_eq!(started.iter().filter(|started| started.get("existing").is_none()).count(), 1);
    let record = api.settled(run).await;
    let mut lines: Vec<u64> = record["output"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line[0].as_u64().unwrap_or_else(|| line.as_u64().unwrap()))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..CLIENTS).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_and_lists_say_what_a_run_waits_for_and_who_its_relatives_are() {
    let (host, services) = (host().await, Services::start().await);
    let (api, cli) = (host.api(), host.cli());
    let approval = Statement::Event("approval".to_owned(), Some(86_400_000));
    let parent = api.start_program(&services, block![Statement::Child(block![approval])]).await;
    let record = until_it_waits(&api, &parent).await;
    let child = record["waits_for"][0]["run"].as_str().unwrap().to_owned();
    assert_eq!(record["waits_for"], json!([{ "kind": "child", "name": "program", "run": child }]));
    assert_eq!(record.get("parent"), None);
    let call = api.step(&parent, "child", "program").await;
    assert_eq!(call["child_run"], json!(child));
    let record = until_it_waits(&api, &child).await;
    assert_eq!(
        (&record["waits_for"][0]["kind"], &record["waits_for"][0]["name"]),
        (&json!("event"), &json!("approval"))
    );
    assert!(record["waits_for"][0]["until"].as_str().unwrap() > record["started_at"].as_str().unwrap());
    let lineage = json!({ "run_id": parent, "call": call["seq"], "depth": 1, "attached": true });
    assert_eq!(record["parent"], lineage);
    let listed = api.get("/_api/runs?status=waiting").await.ok();
    let of = |id: &str| {
        let runs = listed["runs"].as_array().unwrap();
        runs.iter().find(|run| run["id"] == id).unwrap()["waits_for"].clone()
    };
    assert_eq!(
        (of(&child)[0]["name"].clone(), of(&parent)[0]["run"].clone()),
        (json!("approval"), json!(child))
    );

    let shown = cli.run(["runs"]).await.ok();
    assert!(shown.contains("waiting for event approval until 20"), "{shown}");
    assert!(shown.contains(&format!("waiting for child program (run {child})")), "{shown}");
    let shown = cli.run(["runs", "show", &parent]).await.ok();
    assert!(shown.contains(&format!("run {child}  waiting")), "{shown}");
    assert!(!shown.contains("event approval"), "{shown}");
    assert!(shown.ends_with(&format!("the run waits for child program (run {child})\n")), "{shown}");
    let shown = cli.run(["runs", "show", &parent, "--deep"]).await.ok();
    assert!(shown.contains("event approval"), "{shown}");
    let deep = cli.run(["runs", "show", &parent, "--deep", "--json"]).await.json();
    assert_eq!(deep["children"][0]["run"]["id"], json!(child));
    assert_eq!(deep["children"][0]["steps"][0]["step_name"], "approval");
    let shown = cli.run(["runs", "show", &child]).await.ok();
    assert!(shown.contains(&format!("child of run {parent}, call 1")), "{shown}");
    let waited = cli
        .run(["start", "program", "--wait=0.1", "--input", &services.program(block![event("x")]).to_string()])
        .await;
    let said = waited.failed(7);
    assert!(
        said.contains("is still waiting for event x and continues") || said.contains("is still running"),
        "{said}"
    );

    // What the run does not take is shown, also when it has ended.
    for _ in 0..2 {
        cli.run(["send", &child, "other", "--payload", "[1]"]).await.ok();
    }
    api.send_event(&child, "approval", &json!("yes"), None).await;
    assert_eq!(api.settled(&parent).await["output"], json!([["yes"]]));
    let record = api.record(&child).await;
    assert_eq!(
        (&record["events"]["count"], &record["events"]["bytes"]),
        (&json!(2), &json!(6)),
        "{record:#}"
    );
    assert_eq!(record.get("waits_for"), None);
    let shown = cli.run(["runs", "show", &child]).await.ok();
    assert!(shown.contains("2 events are not taken, 6 B:\n  1. other, 3 B, sent 20"), "{shown}");
    let shown = cli.run(["runs", "show", &parent]).await.ok();
    assert!(shown.contains(&format!("✔ run {child}  completed")), "{shown}");
    api.delete(&child).await.ok();
    let shown = cli.run(["runs", "show", &parent, "--deep"]).await.ok();
    assert!(shown.contains(&format!("– run {child}  deleted")), "{shown}");
}

#[tokio::test]
async fn events_are_sent_from_the_command_line() {
    let (host, services) = (host().await, Services::start().await);
    let (api, cli) = (host.api(), host.cli());
    let program = services.program(block![event("a"), event("b"), event("c"), event("d")]).to_string();
    let started = cli
        .run([
            "start",
            "program",
            "--input",
            &program,
            "--key",
            "k",
            "--event",
            "a",
            "--event-payload",
            "1",
            "--event-key",
            "e",
        ])
        .await;
    let run = started.ok().trim().to_owned();
    let sent = cli.run(["send", "last", "b", "--payload", "{\"n\": 1.50}", "--key", "x"]).await.ok();
    assert_eq!(sent, format!("sent to run {run} as event 2\n"));
    let again = cli.run(["send", &run[..13], "b", "--payload", "2", "--key", "x"]).await.ok();
    assert_eq!(again, format!("sent before to run {run} as event 2\n"));
    let by_key = ["send", "--workflow", "program", "--run-key", "k", "c", "--payload", "-", "--json"];
    let sent = host.cli().stdin("[\"from\", \"stdin\"]").run(by_key).await.json();
    assert_eq!(sent, json!({ "run_id": run, "seq": 3, "duplicate": false }));
    cli.run(["send", &run, "d"]).await.ok();
    let record = api.settled(&run).await;
    assert_eq!(record["output"], json!([1, { "n": 1.5 }, ["from", "stdin"], null]));
    let said = cli.run(["send", &run, "d"]).await.failed(6);
    assert!(said.contains("is completed, so it takes no more events"), "{said}");
    let said = cli.run(["send", "last", "d", "--payload", "yes"]).await.failed(2);
    assert!(said.contains("A string needs quotes: --payload '\"yes\"'"), "{said}");
    cli.run(["send", "--workflow", "program", "--run-key", "nobody", "d"]).await.failed(4);
    cli.run(["send", "d"]).await.failed(2);
    cli.run(["send", "last", ".."]).await.failed(2);
}

async fn unfinished_runs_are_bounded(host: HostBuilder) {
    let services = Services::start().await;
    let mut host = host.start().await;
    let api = tenant(&host, &services, "acme", json!({ "unfinished_runs": 3 })).await;
    let other = tenant(&host, &services, "umbrella", json!({})).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(api.start_program(&services, block![event("end")]).await);
    }
    // A run that ends makes room.
    let short = api.start_program(&services, block![effect("quick")]).await;
    api.settled(&short).await;
    let starting = block![event("go"), Statement::Try(block![Statement::Child(block![])]), event("end")];
    runs.push(
        start(&api, &services, starting, json!({ "key": "k" })).await.ok()["run_id"]
            .as_str()
            .unwrap()
            .to_owned(),
    );
    host.kill();
    host.restart().await;
    let (api, other) = (host.api().like(&api), host.api().like(&other));
    eventually("the host knows what is stored", async || {
        let info = host.api().get("/_api/tenants/acme").await.ok();
        info["limits"].as_array().unwrap().iter().any(|it| it["name"] == "unfinished_runs" && it["used"] == 3)
    })
    .await;
    let refused = api.try_start("program", &json!({ "input": services.program(block![]) })).await;
    assert!(refused.retry_after.is_some());
    let (code, message) = refused.refused(429);
    assert!(code == "busy" && message.contains("unfinished_runs") && message.contains('3'), "{message}");
    // The run of a key is found, and paused runs count.
    let found = start(&api, &services, block![], json!({ "key": "k", "event": { "name": "go" } })).await.ok();
    assert_eq!(found["run_id"], json!(runs[2]));
    api.until_step(&runs[2], "child", "program", "failed").await;
    let failed = api.step(&runs[2], "child", "program").await;
    assert_eq!(failed["error_kind"], "limit", "{failed:#}");
    assert!(failed["error"].as_str().unwrap().contains("unfinished_runs"), "{failed:#}");
    api.pause(&runs[0]).await.ok();
    api.try_start("program", &json!({ "input": services.program(block![]) })).await.refused(429);
    let free = other.start_program(&services, block![effect("free")]).await;
    assert_eq!(other.settled(&free).await["status"], "completed");
    api.cancel(&runs[0]).await.ok();
    api.settled(&runs[0]).await;
    eventually_some("there is room again", async || {
        let started =
            api.try_start("program", &json!({ "input": services.program(block![fail("no")]) })).await;
        (started.status == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_runs_of_a_tenant_that_are_not_final_are_bounded() {
    unfinished_runs_are_bounded(Host::builder()).await;
}

#[tokio::test]
async fn the_runs_of_a_tenant_that_are_not_final_are_bounded_with_postgresql() {
    let url =
        tokio::task::spawn_blocking(|| Server::shared().unwrap().create_database().unwrap()).await.unwrap();
    unfinished_runs_are_bounded(Host::builder().database(url).flag(["--node", "a"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_sent_through_any_node_and_a_key_is_one_event_on_all() {
    const LINES: u64 = 20;
    let cluster = Cluster::builder().flag(["--lease", "10m"]).flag(["--evict-after", "1ms"]);
    let cluster = cluster.start(["a", "b"]).await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    a.deploy(&component("interpreter")).await;
    let body = block![event("first"), event("end"), all("line")];
    let run = start(&a, &services, body, json!({ "key": "k" })).await.ok();
    let run = run["run_id"].as_str().unwrap().to_owned();
    until_it_waits(&b, &run).await;
    let sent = b.send_event(&run, "first", &json!("from b"), None).await;
    assert_eq!(sent, json!({ "seq": 1, "duplicate": false }));
    a.until_step(&run, "event", "first", "completed").await;
    // Each line goes through both nodes at the same time.
    let lines = (0..LINES).flat_map(|line| [(&a, line), (&b, line)]).map(|(api, line)| {
        let run = &run;
        async move { api.send_event(run, "line", &json!(line), Some(&format!("l-{line}"))).await }
    });
    let lines = futures::future::join_all(lines).await;
    for both in lines.chunks(2) {
        assert_eq!(both[0]["seq"], both[1]["seq"], "{both:?}");
        assert_ne!(both[0]["duplicate"], both[1]["duplicate"], "{both:?}");
    }
    let events = b.record(&run).await["events"].take();
    assert_eq!(
        (&events["count"], events["first"].as_array().unwrap().len()),
        (&json!(LINES), 20),
        "{events}"
    );
    let end = json!({ "run_key": "k" });
    b.post_json("/_api/workflows/program/events/end", &end).await.ok();
    let record = b.settled(&run).await;
    let mut taken: Vec<u64> =
        record["output"][2].as_array().unwrap().iter().map(|line| line.as_u64().unwrap()).collect();
    taken.sort_unstable();
    assert_eq!((&record["output"][0], taken), (&json!("from b"), (0..LINES).collect()), "{record:#}");
    let again = b.send_event(&run, "line", &json!(0), Some("l-0")).await;
    assert_eq!(again["duplicate"], true, "the key is known after the end");
}
