//! What an operator takes back is taken back from what is running: suspensions, egress rules, secrets and API keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Block, Statement, block, effect, fail, gate, step};
use forge_tests::{Api, Cluster, Host, Services, component, eventually};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// A change reaches what is running within a second on the node that makes it, and within five seconds on other nodes. The
/// machine may be busy.
const HERE: Duration = Duration::from_secs(5);
const ELSEWHERE: Duration = Duration::from_secs(15);

const SECRET: &str = "value-of-the-key-0001";

/// A host with the tenant `acme`, which may reach the services, and its operator.
struct Stage {
    host: Host,
    services: Services,
    /// A key of the host, for the tenant.
    ops: Api,
    /// The same without a key.
    anyone: Api,
}

impl Stage {
    async fn start() -> Self {
        let keys = forge_tests::Cli::default().run(["secrets", "generate-key"]).await.ok();
        let host = Host::builder().variable("FORGE_SECRETS_KEY", keys.trim());
        let host = host.flag(["--compensation-backoff", "20ms"]).flag(["--fuel", "200G"]).start().await;
        let services = Services::start().await;
        let (anyone, ops) = (host.api(), operator(&host.api(), &services).await);
        Self { host, services, ops, anyone }
    }

    async fn set(&self, change: Value) {
        set(&self.ops, change).await;
    }

    async fn suspend(&self, suspended: bool) {
        self.set(json!({ "suspended": suspended })).await;
    }

    /// Starts a program and returns when its request at the gate `g` is under way.
    async fn start_to_gate(&self, body: Block) -> String {
        let run = self.ops.start_program(&self.services, body).await;
        self.services.until_asked("g", 1).await;
        run
    }

    async fn is_aborted(&self, times: usize) {
        assert!(self.services.are_aborted("/gate/g", times, HERE).await, "the request is still under way");
    }

    /// Waits until the guest has the answer of a gate. If it computes from then on, that is saved at a tick of the epoch.
    async fn until_answered(&self, run: &str, gate: &str) {
        let name = format!("POST {}/gate/{gate}", self.services.url());
        self.ops.until_step(run, "http", &name, "completed").await;
    }

    /// Waits until no run is in memory. Returns whether that was soon.
    async fn no_run_is_in_memory(&self) -> bool {
        let is_it = async || self.ops.health().await["runs_in_memory"] == 0;
        tokio::time::timeout(HERE, eventually("no run is in memory", is_it)).await.is_ok()
    }
}

async fn key(api: &Api, role: &str, host: bool) -> (Api, String) {
    let body = json!({ "role": role, "name": format!("a {role}"), "host": host });
    let created = api.post_json("/_api/keys", &body).await.ok();
    let id = created["id"].as_str().unwrap().to_owned();
    (api.with_token(created["token"].as_str().unwrap()), id)
}

/// Makes the tenant `acme` with the interpreter, and returns its operator.
async fn operator(api: &Api, services: &Services) -> Api {
    let ops = key(api, "admin", true).await.0;
    ops.post_json("/_api/tenants", &json!({ "name": "acme", "egress": [services.url()] })).await.ok();
    let ops = ops.for_tenant("acme");
    ops.deploy(&component("interpreter")).await;
    ops
}

async fn set(ops: &Api, change: Value) {
    ops.send(Method::PATCH, "/_api/tenants/acme", Some(&change)).await.ok();
}

fn keys(services: &Services, effect: &str) -> Vec<Option<String>> {
    services.asked(effect).iter().map(|entry| entry.key.clone()).collect()
}

#[tokio::test]
async fn a_suspension_aborts_the_requests_of_a_run_and_a_resumption_sends_them_again_with_their_keys() {
    let it = Stage::start().await;
    let run = it.start_to_gate(block![effect("before"), gate("g"), effect("after")]).await;
    it.suspend(true).await;
    it.is_aborted(1).await;
    assert!(it.no_run_is_in_memory().await);
    let record = it.ops.record(&run).await;
    assert_eq!((&record["status"], &record["error"]), (&json!("running"), &Value::Null));
    it.suspend(false).await;
    it.services.until_asked("g", 2).await;
    it.services.open("g");
    assert_eq!(it.ops.settled(&run).await["status"], "completed");
    assert_eq!(it.services.performed(), ["before", "g", "after"]);
    let keys = keys(&it.services, "g");
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_request_at_most_once_that_a_suspension_aborts_is_in_doubt() {
    let it = Stage::start().await;
    let run = it.start_to_gate(block![Statement::GateOnce("g".to_owned())]).await;
    it.suspend(true).await;
    it.is_aborted(1).await;
    it.suspend(false).await;
    let record = it.ops.settled(&run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("in_doubt")));
    assert_eq!(it.services.asked("g").len(), 1);
}

#[tokio::test]
async fn a_suspension_stops_a_guest_that_computes_and_one_that_is_cancelled_meanwhile_is_rolled_back_later() {
    let it = Stage::start().await;
    let paid = step("pay", block![effect("pay")]).undo(block![effect("refund")]);
    let run = it.start_to_gate(block![paid, gate("g"), Statement::Spin]).await;
    it.services.open("g");
    it.until_answered(&run, "g").await;
    it.suspend(true).await;
    assert!(it.no_run_is_in_memory().await);
    assert_eq!(it.ops.record(&run).await["status"], "running");
    it.ops.cancel(&run).await.ok();
    assert!(it.services.asked("refund").is_empty());
    it.suspend(false).await;
    assert_eq!(it.ops.settled(&run).await["status"], "compensated");
    assert_eq!(it.services.performed(), ["pay", "g", "refund"]);
}

#[tokio::test]
async fn a_suspension_stops_a_rollback_and_its_handlers_which_go_on_later() {
    let it = Stage::start().await;
    let paid =
        |name: &str| step(name, block![effect(name)]).undo(block![gate("g"), effect(format!("undo-{name}"))]);
    let run = it.start_to_gate(block![paid("a"), paid("b"), fail("no")]).await;
    for round in 1..4 {
        it.suspend(true).await;
        it.is_aborted(round).await;
        assert!(it.no_run_is_in_memory().await);
        it.suspend(false).await;
        it.services.until_asked("g", round + 1).await;
    }
    it.services.open("g");
    let record = it.ops.settled(&run).await;
    assert_eq!((&record["status"], &record["error"]), (&json!("compensated"), &json!("no")), "{record:#}");
    let undone: Vec<String> =
        it.services.performed().into_iter().filter(|name| name.starts_with("undo")).collect();
    assert_eq!(undone, ["undo-b", "undo-a"]);
}

#[tokio::test]
async fn a_rollback_that_waits_for_a_request_goes_on_after_a_suspension() {
    let it = Stage::start().await;
    let packed = step("pack", block![gate("g")]).undo(block![effect("unpack")]);
    let run = it.start_to_gate(block![packed, effect("ship")]).await;
    it.ops.cancel(&run).await.ok();
    it.suspend(true).await;
    it.is_aborted(1).await;
    it.suspend(false).await;
    it.services.until_asked("g", 2).await;
    it.services.open("g");
    let record = it.ops.settled(&run).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert_eq!(it.services.performed(), ["g", "unpack"]);
    assert_eq!(record["in_doubt"].as_array().map_or(0, Vec::len), 0, "{record:#}");
}

#[tokio::test]
async fn a_request_of_a_trapped_guest_that_a_suspension_aborts_is_named_as_after_a_crash() {
    let it = Stage::start().await;
    let packed = step("pack", block![gate("g")]).undo(block![effect("unpack")]);
    let panics = block![gate("h"), Statement::Panic("no".to_owned())];
    let run = it.start_to_gate(block![Statement::Join(vec![block![packed], panics])]).await;
    it.services.until_asked("h", 1).await;
    it.services.open("h");
    // The guest has trapped, and its request is waited for.
    it.until_answered(&run, "h").await;
    it.suspend(true).await;
    it.is_aborted(1).await;
    it.suspend(false).await;
    let record = it.ops.settled(&run).await;
    assert_eq!(record["error_kind"], "panic", "{record:#}");
    let doubt = record["in_doubt"][0].as_str().unwrap();
    assert!(doubt.contains("`pack`"), "{doubt}");
}

#[tokio::test]
async fn suspensions_while_fifty_runs_send_lose_and_repeat_nothing() {
    let it = Stage::start().await;
    it.services.slow_down(2);
    let runs = (0..50).map(|number| {
        let body = (0..20).map(|effect_number| effect(format!("{number}-{effect_number}"))).collect();
        it.ops.start_program(&it.services, body)
    });
    let runs = join_all(runs).await;
    let secret = json!({ "value": SECRET, "servers": ["http://other.example"] });
    for round in 0..8 {
        it.services.next_request(HERE).await;
        it.suspend(true).await;
        it.ops.send(Method::PUT, "/_api/secrets/KEY", Some(&secret)).await.ok();
        // Also before the runs have left memory.
        if round % 2 == 0 {
            assert!(it.no_run_is_in_memory().await);
            assert!(!it.services.next_request(Duration::from_millis(100)).await, "a request was sent");
        }
        it.suspend(false).await;
        it.set(json!({ "limits": { "http_requests": 10 + round } })).await;
        it.ops.send(Method::DELETE, "/_api/secrets/KEY", None).await.ok();
    }
    for run in &runs {
        let record = it.ops.settled(run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
    }
    let mut performed = it.services.performed();
    performed.sort();
    let count = performed.len();
    performed.dedup();
    assert_eq!((count, performed.len()), (1_000, 1_000));
}

#[tokio::test]
async fn a_request_under_way_that_a_narrowed_rule_denies_is_aborted_and_named() {
    let it = Stage::start().await;
    let run = it.start_to_gate(block![step("pay", block![gate("g")]), effect("after")]).await;
    it.set(json!({ "egress": ["https://other.example"] })).await;
    it.is_aborted(1).await;
    let record = it.ops.settled(&run).await;
    assert_eq!(record["error_kind"], "revoked", "{record:#}");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("no longer allowed") && error.contains("may not be reached"), "{error}");
    let doubt = record["in_doubt"][0].as_str().unwrap();
    assert!(doubt.contains("`pay`") && doubt.contains("may have arrived"), "{doubt}");
}

#[tokio::test]
async fn a_request_under_way_is_also_aborted_while_its_guest_computes() {
    let it = Stage::start().await;
    let run = it
        .start_to_gate(block![Statement::Join(vec![block![gate("g")], block![gate("h"), Statement::Spin]])])
        .await;
    it.services.until_asked("h", 1).await;
    it.services.open("h");
    it.until_answered(&run, "h").await;
    it.set(json!({ "egress": [] })).await;
    it.is_aborted(1).await;
    it.ops.terminate(&run).await.ok();
}

#[tokio::test]
async fn a_secret_that_is_deleted_or_changed_is_sent_no_more_and_its_requests_are_aborted() {
    let it = Stage::start().await;
    let secret = |value: &str| json!({ "value": value, "servers": [it.services.url()] });
    it.ops.send(Method::PUT, "/_api/secrets/KEY", Some(&secret(SECRET))).await.ok();
    it.services.hold("/headers");
    let get = Statement::GetWith("/headers".to_owned(), ("x-test".to_owned(), "{{secret:KEY}}".to_owned()));
    let rotated = step("ask", block![get.clone()]).retry(3, 10);
    let run = it.ops.start_program(&it.services, block![rotated]).await;
    it.services.until_held("/headers").await;
    // The next attempt has the new value.
    it.ops.send(Method::PUT, "/_api/secrets/KEY", Some(&secret("value-of-the-key-0002"))).await.ok();
    eventually("the step fails", async || it.ops.step(&run, "step", "ask").await["attempt"] == 2).await;
    it.services.release("/headers");
    let record = it.ops.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");

    it.services.hold("/headers");
    let run = it.ops.start_program(&it.services, block![get]).await;
    it.services.until_held("/headers").await;
    it.ops.send(Method::DELETE, "/_api/secrets/KEY", None).await.ok();
    let record = it.ops.settled(&run).await;
    assert_eq!(
        (&record["status"], &record["error_kind"]),
        (&json!("failed"), &json!("revoked")),
        "{record:#}"
    );
    assert!(record["error"].as_str().unwrap().contains("there is no secret `KEY`"), "{record:#}");
    assert!(!json!(it.ops.steps(&run).await).to_string().contains("value-of-the-key"));
}

#[tokio::test]
async fn a_run_whose_tenant_is_suspended_while_its_component_is_compiled_waits() {
    let mut it = Stage::start().await;
    let run = it.start_to_gate(block![gate("g")]).await;
    it.host.kill();
    std::fs::remove_dir_all(it.host.component_cache()).unwrap();
    it.host.restart().await;
    it.suspend(true).await;
    assert!(it.no_run_is_in_memory().await);
    let asked = it.services.asked("g").len();
    assert!(!it.services.next_request(Duration::from_millis(200)).await);
    it.suspend(false).await;
    it.services.until_asked("g", asked + 1).await;
    it.services.open("g");
    assert_eq!(it.ops.settled(&run).await["status"], "completed");
}

#[tokio::test]
async fn an_upload_to_a_tenant_that_is_suspended_meanwhile_registers_nothing() {
    let it = Stage::start().await;
    it.suspend(true).await;
    let refused = it.ops.upload(&component("tally")).await.refused(403);
    assert_eq!(refused.0, "suspended");
    it.suspend(false).await;
    it.ops.deploy(&component("tally")).await;
}

#[tokio::test]
async fn a_revoked_key_closes_what_waits_with_it_and_can_revoke_itself() {
    let it = Stage::start().await;
    let run = it.start_to_gate(block![gate("g")]).await;
    let ((reader, reading), (starter, starting)) =
        (key(&it.ops, "read", false).await, key(&it.ops, "start", false).await);
    let (reader, starter) = (reader.for_tenant("acme"), starter.for_tenant("acme"));
    let path = format!("/_api/runs/{run}?wait=60");
    let polls = reader.get(&path);
    let body = json!({ "input": it.services.program(block![gate("s")]) });
    let waits = starter.post_json("/_api/workflows/program/start?wait=60", &body);
    let revoke = async {
        it.services.until_asked("s", 1).await;
        for id in [&reading, &starting] {
            it.ops.send(Method::DELETE, &format!("/_api/keys/{id}"), None).await.ok();
        }
        std::time::Instant::now()
    };
    let close = async {
        let (read, started) = tokio::join!(polls, waits);
        (read, started, std::time::Instant::now())
    };
    let ((read, started, closed), revoked) = tokio::join!(close, revoke);
    assert!(closed.duration_since(revoked) < HERE);
    for closed in [read, started] {
        let (code, message) = closed.refused(401);
        assert!(code == "unauthorized" && message.contains("while the request was under way"), "{message}");
    }
    let (own, id) = key(&it.ops, "admin", false).await;
    let revoked = own.send(Method::DELETE, &format!("/_api/keys/{id}"), None).await.ok();
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    own.get("/_api/caller").await.refused(401);
    it.anyone.get("/_api/caller").await.refused(401);
}

#[tokio::test]
async fn the_changes_of_a_tenant_s_admin_have_a_rate_and_those_of_operators_have_none() {
    let it = Stage::start().await;
    let (own, _) = key(&it.ops, "admin", false).await;
    it.set(json!({ "limits": { "directory_rate": 2 } })).await;
    let new = json!({ "role": "read", "name": "n" });
    let made = join_all((0..20).map(|_| own.post_json("/_api/keys", &new))).await;
    let refused: Vec<_> = made.into_iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty());
    assert_eq!(refused[0].retry_after.as_deref(), Some("1"));
    assert!(refused[0].clone().refused(429).1.contains("directory_rate = 2"));
    for answer in join_all((0..20).map(|_| it.ops.post_json("/_api/keys", &new))).await {
        answer.ok();
    }
    eventually("the rate allows another change", async || {
        own.post_json("/_api/keys", &new).await.status == 201
    })
    .await;
}

#[tokio::test]
async fn a_change_reaches_what_runs_and_waits_on_another_node() {
    let cluster = Cluster::start(["one", "two"]).await;
    let services = Services::start().await;
    let ops = operator(&cluster.api(0), &services).await;
    let elsewhere = cluster.api(1);
    let (reader, reading) = key(&ops, "read", false).await;
    let there = elsewhere.like(&reader);
    let there_ops = elsewhere.like(&ops);
    let run = there_ops.start_program(&services, block![gate("g"), gate("h")]).await;
    services.until_asked("g", 1).await;
    let path = format!("/_api/runs/{run}?wait=60");
    let poll = tokio::spawn(async move { there.get(&path).await });

    set(&ops, json!({ "suspended": true })).await;
    assert!(services.are_aborted("/gate/g", 1, ELSEWHERE).await);
    set(&ops, json!({ "suspended": false })).await;
    services.until_asked("g", 2).await;
    services.open("g");
    services.until_asked("h", 1).await;

    ops.send(Method::DELETE, &format!("/_api/keys/{reading}"), None).await.ok();
    tokio::time::timeout(ELSEWHERE, poll).await.unwrap().unwrap().refused(401);

    set(&ops, json!({ "egress": [] })).await;
    assert!(services.are_aborted("/gate/h", 1, ELSEWHERE).await);
    let record = there_ops.settled(&run).await;
    assert_eq!(record["error_kind"], "revoked", "{record:#}");
}
