//! The tenant's store, from workflows, the API and the command line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Answer, Api, Cluster, Host, component, eventually};
use futures::future::join_all;
use reqwest::{Method, header};
use serde_json::{Value, json};

/// A host with the guest that makes calls of the store.
async fn host() -> Host {
    let host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
    host.api().deploy(&component("store")).await;
    host
}

/// Makes calls in a run, and returns what became of them.
async fn calls(api: &Api, calls: Value) -> Vec<Value> {
    let run = api.start("store", calls).await;
    let mut record = api.settled(&run).await;
    match record["output"].take() {
        Value::Array(outcomes) => outcomes,
        _ => panic!("{record:#}"),
    }
}

/// Makes one call, which fails, and returns the kind and the message of the failure.
async fn failed(api: &Api, call: Value) -> (String, String) {
    let failure = calls(api, json!([call])).await[0]["Err"].take();
    let text = |part: &str| failure[part].as_str().unwrap_or_else(|| panic!("{failure}")).to_owned();
    (text("kind"), text("message"))
}

/// Sends a request about a key, with a header.
async fn ask(
    api: &Api,
    method: Method,
    key: &str,
    with: Option<(&str, &str)>,
    value: Option<Value>,
) -> (Answer, String) {
    let request = api.request(method, &format!("/_api/db/{key}")).await;
    let request = with.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = value.iter().fold(request, |request, value| request.json(value));
    let response = request.send().await.unwrap();
    let tag = response.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (Answer { status, body, retry_after: None }, tag.unwrap_or_default())
}

async fn value(api: &Api, key: &str) -> Value {
    api.get(&format!("/_api/db/{key}")).await.ok()
}

#[tokio::test]
async fn a_workflow_uses_every_operation_and_clients_see_what_it_did() {
    let host = host().await;
    let api = host.api();
    let outcomes = calls(
        &api,
        json!([
            { "get": "tokens/ada" },
            { "put": ["tokens/ada", { "id": 1 }] },
            { "get": "tokens/ada" },
            { "increment": ["counters/signups", 3] },
            { "transaction": [{ "require": ["tokens/ada", 1] }, { "put": ["tokens/bob", 2] }, { "delete": "none" }] },
            { "transaction": [{ "require": ["tokens/ada", 7] }, { "put": ["tokens/bob", 3] }] },
            { "list": ["tokens/", null, 100] },
            { "list": ["tokens/", "tokens/ada", 100] },
            { "delete": "tokens/ada" },
            { "increment_at_once": ["counters/signups", 4] },
        ]),
    )
    .await;
    let conflict = outcomes[5]["Err"].clone();
    assert_eq!((&conflict["kind"], &conflict["retryable"]), (&json!("conflict"), &json!(true)));
    let message = conflict["message"].as_str().unwrap();
    assert!(
        message.contains("`tokens/ada` has version 1, and the transaction requires version 7"),
        "{message}"
    );
    let mut done: Vec<Value> = outcomes.into_iter().map(|mut outcome| outcome["Ok"].take()).collect();
    // Which of the concurrent increments is made first is not said.
    done[9].as_array_mut().unwrap().sort_by_key(|number| number.as_u64());
    assert_eq!(
        done,
        [
            json!(null),
            json!(1),
            json!([1, { "id": 1 }]),
            json!(3),
            json!([0, 5, 0]),
            json!(null),
            json!(["tokens/ada", "tokens/bob"]),
            json!(["tokens/bob"]),
            json!(null),
            json!([4, 5, 6, 7]),
        ]
    );
    assert_eq!(api.get("/_api/db/tokens/ada").await.refused(404).0, "unknown_entry");
    assert_eq!(value(&api, "tokens/bob").await, 2);
    assert_eq!(value(&api, "counters/signups").await, 7);
    let usage = api.get("/_api/usage").await.ok()["total"].take();
    assert!(usage["db_puts"].as_u64().unwrap() >= 10 && usage["db_bytes"].as_u64().unwrap() > 100, "{usage}");
}

#[tokio::test]
async fn a_replay_reads_the_journal_and_not_the_store() {
    let mut host = host().await;
    let api = host.api();
    ask(&api, Method::PUT, "a", None, Some(json!("before"))).await.0.ok();
    let steps = json!([{ "get": "a" }, { "list": ["", null, 9] }, { "increment": ["n", 1] }, { "event": "go" }, { "get": "a" }]);
    let run = api.start("store", steps).await;
    api.until_status(&run, "waiting").await;
    host.kill();
    host.restart().await;
    let api = host.api();
    for (key, value) in [("a", "after"), ("b", "new"), ("n", "replaced")] {
        ask(&api, Method::PUT, key, None, Some(json!(value))).await.0.ok();
    }
    api.send_event(&run, "go", &json!(null), None).await;
    let output = api.settled(&run).await["output"].take();
    let done: Vec<&Value> = output.as_array().unwrap().iter().map(|outcome| &outcome["Ok"]).collect();
    assert_eq!(done[..3], [&json!([1, "before"]), &json!(["a"]), &json!(1)], "{output}");
    assert_eq!(done[4][1], "after", "what is read for the first time is read now");
    assert_eq!(value(&api, "n").await, "replaced", "the increment was made once");
}

#[tokio::test]
async fn increments_of_runs_that_are_killed_are_made_exactly_once() {
    const RUNS: usize = 8;
    const INCREMENTS: usize = 25;
    let mut host = host().await;
    let start = async |api: &Api, run: usize| {
        let body = json!({ "input": [{ "increment": ["n", INCREMENTS] }, { "increment": [format!("own/{run}"), INCREMENTS] }], "key": format!("run-{run}") });
        api.start_acknowledged("store", &body).await
    };
    let api = host.api();
    let runs = join_all((0..RUNS).map(|run| start(&api, run))).await;
    for part in [1, 30, 80, 130, 199] {
        eventually("some more increments are made", async || {
            api.get("/_api/db/n").await.body.as_u64().is_some_and(|made| made >= part)
        })
        .await;
        host.kill();
        host.restart().await;
    }
    for (number, run) in runs.iter().enumerate() {
        let record = api.settled(run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(value(&api, &format!("own/{number}")).await, INCREMENTS);
    }
    assert_eq!(value(&api, "n").await, RUNS * INCREMENTS);
}

#[tokio::test]
async fn a_rollback_undoes_what_handlers_undo() {
    let host = host().await;
    let api = host.api();
    let run = api
        .start(
            "store",
            json!([
                { "put": ["kept", 1] },
                { "reversible": [{ "put": ["taken-back", 1] }, { "delete": "taken-back" }] },
                "fail",
            ]),
        )
        .await;
    assert_eq!(api.settled(&run).await["status"], "compensated");
    assert_eq!(value(&api, "kept").await, 1);
    assert_eq!(api.get("/_api/db/taken-back").await.refused(404).0, "unknown_entry");
}

#[tokio::test]
async fn what_a_hostile_workflow_asks_of_the_store_fails_with_the_name_of_the_limit() {
    let host = host().await;
    let ops = host.api();
    let acme = ops.for_tenant("acme");
    let limits = json!({ "db_bytes": 1 << 20, "db_entries": 60 });
    ops.post_json("/_api/tenants", &json!({ "name": "acme", "limits": limits })).await.ok();
    acme.deploy(&component("store")).await;
    for (call, kind, message) in [
        (json!({ "get": "k".repeat(10 << 10) }), "limit", "has 10240 bytes; the most is 512 (db_key_bytes)"),
        (json!({ "put": ["", 1] }), "invalid-input", "a key of the store cannot be empty"),
        (json!({ "put": ["a\0b", 1] }), "invalid-input", "`a\\0b` has the control character U+0000"),
        (json!({ "list": ["a\n", null, 1] }), "invalid-input", "control character U+000A"),
        (json!({ "put_bytes": ["a", 300 << 10] }), "limit", "the most is 262144 (db_value_bytes)"),
        (json!({ "put_bytes": ["a", 2 << 20] }), "limit", "(db_value_bytes)"),
        (json!({ "flood": ["flood/", 200 << 10, 50_000] }), "limit", "(db_bytes)"),
        (json!({ "flood": ["many/", 1, 10_000] }), "limit", "the most is 60 (db_entries)"),
        (
            json!({ "transaction": (0..300).map(|n| json!({ "delete": format!("{n}") })).collect::<Vec<_>>() }),
            "limit",
            "has 300 operations; the most is 256 (db_operations)",
        ),
        (json!({ "put_bytes_at_once": ["b", 200 << 10, 8] }), "limit", "(payload_bytes)"),
    ] {
        let short: String = call.to_string().chars().take(60).collect();
        let (found, said) = failed(&acme, call).await;
        assert_eq!(found, kind, "{short}: {said}");
        assert!(said.contains(message), "{short}: {said}");
    }
    // A transaction may delete where it may not put.
    let freed = calls(
        &acme,
        json!([{ "delete": "flood/000000" }, { "put_bytes": ["..", 100] }, { "get": "../../etc" }]),
    )
    .await;
    assert_eq!(freed, [json!({ "Ok": null }), json!({ "Ok": freed[1]["Ok"] }), json!({ "Ok": null })]);
    let others = calls(&ops, json!([{ "list": ["", null, 10] }])).await;
    assert_eq!(others, [json!({ "Ok": [] })], "another tenant has a store of its own");
}

#[tokio::test]
async fn a_million_keys_are_listed_in_pages() {
    let mut host = host().await;
    host.terminate().await;
    let mut database = host.database().await;
    database
        .change(
            "INSERT INTO forge_db (tenant, key, version, value, updated_at) \
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) \
             SELECT 'default', printf('k%06d', i), 1, '1', 0 FROM n",
            &[],
        )
        .await;
    database.close().await;
    host.restart().await;
    let api = host.api();
    let page =
        calls(&api, json!([{ "list": ["", null, 4_000_000_000_u32] }, { "list": ["k999", "k999998", 10] }]))
            .await;
    assert_eq!(page[0]["Ok"].as_array().unwrap().len(), 1_000);
    assert_eq!(page[1]["Ok"], json!(["k999999"]));
    let page = api.get("/_api/db?limit=500&cursor=k999000").await.ok();
    assert_eq!((page["entries"].as_array().unwrap().len(), &page["next_cursor"]), (500, &json!("k999500")));
    let last = api.get("/_api/db?prefix=k9999&limit=500").await.ok();
    assert_eq!((last["entries"].as_array().unwrap().len(), &last["next_cursor"]), (100, &json!(null)));
    assert_eq!(api.get("/_api/db?limit=501").await.refused(400).0, "invalid_parameter");
}

#[tokio::test]
async fn clients_change_entries_only_as_they_read_them() {
    let host = host().await;
    let api = host.api();
    let if_match = |version: &'static str| Some(("if-match", version));
    let absent = Some(("if-none-match", "*"));
    let (stored, tag) = ask(&api, Method::PUT, "stock/tea", absent, Some(json!(5))).await;
    assert_eq!((stored.ok(), &*tag), (json!({ "key": "stock/tea", "version": 1 }), "\"1\""));
    let (again, _) = ask(&api, Method::PUT, "stock/tea", absent, Some(json!(6))).await;
    assert_eq!(again.refused(412).0, "version_conflict");
    let (read, tag) = ask(&api, Method::GET, "stock/tea", None, None).await;
    assert_eq!((read.ok(), &*tag), (json!(5), "\"1\""));
    let (unchanged, _) = ask(&api, Method::GET, "stock/tea", Some(("if-none-match", "\"1\"")), None).await;
    assert_eq!(unchanged.status, 304);
    let (stored, _) = ask(&api, Method::PUT, "stock/tea", if_match("\"1\""), Some(json!([null, 4.0]))).await;
    assert_eq!(stored.ok()["version"], 2);
    let (stale, _) = ask(&api, Method::DELETE, "stock/tea", if_match("\"1\""), None).await;
    let (code, message) = stale.refused(412);
    assert!(code == "version_conflict" && message.contains("has version 2"), "{message}");
    assert_eq!(value(&api, "stock%2Ftea").await.to_string(), "[null,4.0]", "a value is as it was sent");
    let (deleted, _) = ask(&api, Method::DELETE, "stock/tea", if_match("\"2\""), None).await;
    assert_eq!(deleted.status, 204);
    let (again, _) = ask(&api, Method::DELETE, "stock/tea", None, None).await;
    assert_eq!(again.status, 204);

    for (method, key, with, value, status, code) in [
        (Method::GET, "a%00b", None, None, 400, "invalid_key"),
        (Method::GET, "a%ffb", None, None, 400, "invalid_parameter"),
        (Method::GET, &"k".repeat(10 << 10), None, None, 400, "invalid_key"),
        (Method::PUT, "a%0Ab", None, Some(json!(1)), 400, "invalid_key"),
        (Method::PUT, "a", if_match("*"), Some(json!(1)), 400, "invalid_parameter"),
        (Method::PUT, "a", if_match("W/\"1\""), Some(json!(1)), 400, "invalid_parameter"),
        (Method::PUT, "a", if_match("\"9\""), Some(json!(1)), 412, "version_conflict"),
        (Method::PUT, "a", None, Some(json!("x".repeat(300 << 10))), 413, "body_too_large"),
        (Method::PUT, "a", None, None, 400, "invalid_body"),
        (Method::GET, "a", None, None, 404, "unknown_entry"),
    ] {
        let (answer, _) = ask(&api, method, key, with, value).await;
        let (found, message) = answer.refused(status);
        assert_eq!(found, code, "{message}");
        assert!(message.len() < 300, "{message}");
    }
    let (dots, _) = ask(&api, Method::PUT, "a%2F..%2Fb", None, Some(json!(1))).await;
    assert_eq!(dots.ok()["key"], "a/../b");
}

#[tokio::test]
async fn tenants_and_roles_are_kept_apart() {
    let host = host().await;
    let key = async |api: &Api, role: &str| {
        let created = api
            .post_json("/_api/keys", &json!({ "role": role, "name": role, "host": role == "host" }))
            .await
            .ok();
        api.with_token(created["token"].as_str().unwrap())
    };
    let body = json!({ "role": "admin", "name": "ops", "host": true });
    let token = host.api().post_json("/_api/keys", &body).await.ok()["token"].as_str().unwrap().to_owned();
    let ops = host.api().with_token(&token);
    for tenant in ["acme", "umbrella"] {
        ops.post_json("/_api/tenants", &json!({ "name": tenant })).await.ok();
    }
    let umbrella = key(&ops.for_tenant("umbrella"), "start").await;
    ask(&umbrella, Method::PUT, "secret", None, Some(json!("theirs"))).await.0.ok();
    for (place, role) in ["read", "start", "deploy", "admin"].into_iter().enumerate() {
        let acme = key(&ops.for_tenant("acme"), role).await;
        assert_eq!(ask(&acme, Method::GET, "secret", None, None).await.0.refused(404).0, "unknown_entry");
        assert_eq!(acme.get("/_api/db").await.ok()["entries"], json!([]));
        let (put, _) = ask(&acme, Method::PUT, "secret", None, Some(json!(role))).await;
        let (delete, _) = ask(&acme, Method::DELETE, "secret", None, None).await;
        let wanted = if place == 0 { (403, 403) } else { (200, 204) };
        assert_eq!((put.status, delete.status), wanted, "{role}: {}", put.body);
    }
    assert_eq!(value(&umbrella, "secret").await, "theirs");
    let audit = ops.for_tenant("umbrella").get("/_api/audit?limit=100").await.ok().to_string();
    assert!(!audit.contains("db."), "changes of the store are no lines of the audit log");
    ops.send(Method::PATCH, "/_api/tenants/umbrella", Some(&json!({ "suspended": true }))).await.ok();
    assert_eq!(value(&umbrella, "secret").await, "theirs", "a suspended tenant is read-only");
    let (put, _) = ask(&umbrella, Method::PUT, "secret", None, Some(json!(1))).await;
    assert_eq!(put.refused(403).0, "suspended");
}

#[tokio::test]
async fn the_command_line_reads_and_changes_the_store() {
    let host = host().await;
    let db = async |arguments: &[&str]| host.cli().run(&[&["db"], arguments].concat()).await;
    assert_eq!(
        db(&["put", "stock/tea", "{\"left\": 5}", "--if-absent"]).await.ok(),
        "stock/tea has version 1\n"
    );
    assert_eq!(db(&["get", "stock/tea"]).await.ok(), "{\"left\":5}\n");
    assert_eq!(
        db(&["get", "stock/tea", "--json"]).await.json(),
        json!({ "key": "stock/tea", "version": 1, "value": { "left": 5 } })
    );
    let refused = db(&["put", "stock/tea", "4", "--if-version", "7"]).await.failed(6);
    assert!(refused.contains("has version 1"), "{refused}");
    db(&["put", "stock/coffee", "-1"]).await.ok();
    let list = db(&["list", "stock/"]).await.ok();
    assert!(list.contains("stock/coffee") && list.contains("VERSION"), "{list}");
    db(&["delete", "stock/tea", "--if-version", "1"]).await.ok();
    db(&["get", "stock/tea"]).await.failed(4);
    db(&["get", ".."]).await.failed(2);
}

#[tokio::test]
async fn runs_of_several_nodes_change_one_key() {
    const RUNS: usize = 12;
    const INCREMENTS: usize = 10;
    let cluster = Cluster::start(["a", "b", "c"]).await;
    cluster.api(0).deploy(&component("store")).await;
    let runs = join_all((0..RUNS).map(|run| {
        let api = cluster.api(run % 3);
        async move { api.start("store", json!([{ "increment": ["n", INCREMENTS] }])).await }
    }))
    .await;
    for run in &runs {
        let record = cluster.api(0).settled(run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
    }
    eventually("the counter has all increments", async || {
        value(&cluster.api(1), "n").await == RUNS * INCREMENTS
    })
    .await;
}
