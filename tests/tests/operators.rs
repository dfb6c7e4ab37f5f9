//! What an operator does with a run that its code cannot end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use forge_tests::program::{Block, Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Api, Cluster, Host, Services, component};
use serde_json::{Value, json};

/// A time that does not pass during a test.
const LONG: u64 = 3_600_000;

/// Fuel that is not used up during a test.
const MUCH_FUEL: [&str; 2] = ["--fuel", "1000000G"];

/// A lease that does not end during a test.
const LONG_LEASE: [&str; 2] = ["--lease", "10m"];

/// Changes a run in the database. The host must not be running.
async fn change_run(host: &Host, column: &str, value: String, run: &str) {
    let mut database = host.database().await;
    let sql = format!("UPDATE forge_runs SET {column} = ? WHERE id = ?");
    assert_eq!(database.change(&sql, &[value.into(), run.to_owned().into()]).await, 1);
    database.close().await;
}

/// A host with a run that has completed a step with a handler and is then changed while the host is down.
async fn with_changed_run(
    body: Block,
    column: &str,
    value: impl FnOnce(&Services) -> String,
) -> (Host, Services, String) {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host.api().start_program(&services, body).await;
    host.api().until_step(&run, "step", "tea", "completed").await;
    host.kill();
    change_run(&host, column, value(&services), &run).await;
    host.restart().await;
    (host, services, run)
}

fn terminated(record: &Value, not_compensated: &[&str]) {
    assert_eq!(
        (&record["status"], &record["error_kind"], &record["not_compensated"]),
        (&json!("failed"), &json!("terminated"), &json!(not_compensated)),
        "{record:#}"
    );
}

#[tokio::test]
async fn a_run_without_its_component_is_not_cancelled_and_can_be_terminated() {
    let body = block![reversible("tea"), Statement::Sleep(LONG)];
    let (host, _services, run) = with_changed_run(body, "digest", |_| "0".repeat(64)).await;
    let api = host.api();
    for _ in 0..2 {
        let (code, message) = api.cancel(&run).await.refused(409);
        assert_eq!(code, "cannot_roll_back");
        assert!(message.contains("cannot be loaded") && message.contains("terminate"), "{message}");
        let record = api.record(&run).await;
        assert_eq!(
            (&record["status"], &record["pause_reason"]),
            (&json!("paused"), &json!("missing_version"))
        );
        assert_eq!(record["error_kind"], Value::Null, "it is not being rolled back");
        let (code, message) = api.resume(&run).await.refused(409);
        assert_eq!(code, "cannot_resume");
        assert!(message.contains("missing_version") && message.contains("Deploy it again"), "{message}");
        assert_eq!(api.record(&run).await, record, "it stays as it is");
    }
    let shown = host.cli().run(["runs", "terminate", &run]).await.ok();
    assert!(shown.contains("not compensated:\n  tea"), "{shown}");
    terminated(&api.record(&run).await, &["tea"]);
    let shown = host.cli().run(["runs", "show", &run]).await.ok();
    assert!(shown.contains("failed (terminated)") && shown.contains("not compensated:\n  tea"), "{shown}");
    // It says what the run was doing.
    assert!(shown.contains("it was paused (missing_version)"), "{shown}");

    // Again is no error, and nothing starts it again.
    terminated(&api.terminate(&run).await.ok(), &["tea"]);
    assert_eq!(api.resume(&run).await.refused(409).0, "conflict");
    assert_eq!(api.cancel(&run).await.refused(409).0, "conflict");
    let audit = api.get("/_api/audit").await.ok().to_string();
    assert!(audit.contains("run.terminate"), "{audit}");

    // What a person undoes by hand is recorded.
    let record = api.resolve(&run, "tea", &json!({"completed": null})).await.ok();
    assert_eq!((&record["status"], &record["not_compensated"]), (&json!("compensated"), &json!([])));
    assert_eq!(api.step(&run, "step", "tea").await["status"], "compensated");
    assert_eq!(api.step(&run, "compensation", "tea").await["status"], "completed");
    assert_eq!(api.resolve(&run, "tea", &json!({"completed": null})).await.refused(409).0, "not_in_doubt");
}

#[tokio::test]
async fn a_cancel_is_refused_if_the_code_differs_before_the_last_handler_and_changes_nothing() {
    let body = block![reversible("tea"), gate("wait")];
    let other = |services: &Services| services.program(block![reversible("milk"), gate("wait")]).to_string();
    let (mut host, services, run) = with_changed_run(body.clone(), "input", other).await;
    let api = host.api();
    api.until_status(&run, "paused").await;
    let (before, steps) = (api.record(&run).await, api.steps(&run).await);
    let cancels = (0..3).map(|_| api.cancel(&run));
    for cancel in futures::future::join_all(cancels).await {
        let (code, message) = cancel.refused(409);
        assert_eq!(code, "cannot_roll_back");
        assert!(message.contains("nondeterminism") && message.contains("step `milk`"), "{message}");
    }
    let resumes = (0..3).map(|_| api.resume(&run));
    for resume in futures::future::join_all(resumes).await {
        let (code, message) = resume.refused(409);
        assert_eq!(code, "cannot_resume");
        assert!(message.contains("nondeterminism") && message.contains("step `milk`"), "{message}");
    }
    assert_eq!((before, steps), (api.record(&run).await, api.steps(&run).await));

    // The right code can go on.
    host.kill();
    change_run(&host, "input", services.program(body).to_string(), &run).await;
    host.restart().await;
    services.open("wait");
    api.resume(&run).await.ok();
    assert_eq!(api.settled(&run).await["status"], "completed");
    assert_eq!(api.terminate(&run).await.refused(409).0, "conflict");
}

#[tokio::test]
async fn a_resume_is_refused_while_a_request_is_in_doubt_that_nobody_was_asked_about() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![Statement::GateOnce("charge".to_owned())]).await;
    services.until_asked("charge", 1).await;
    api.pause(&run).await.ok();
    assert_eq!(api.record(&run).await["pause_reason"], "operator");
    let (code, message) = api.resume(&run).await.refused(409);
    assert_eq!(code, "cannot_resume");
    assert!(message.contains("in_doubt") && message.contains("forge runs resolve"), "{message}");
    assert_eq!(api.record(&run).await["pause_reason"], "in_doubt");
    // Now the person knows, and has it sent again.
    api.resume(&run).await.ok();
    services.until_asked("charge", 2).await;
    services.open("charge");
    assert_eq!(api.settled(&run).await["status"], "completed");
}

#[tokio::test]
async fn a_run_that_timed_out_while_it_was_paused_is_rolled_back_when_it_is_resumed() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let run = host.api().start_program(&services, block![reversible("tea"), gate("wait")]).await;
    services.until_asked("wait", 1).await;
    host.api().pause(&run).await.ok();
    host.kill();
    change_run(&host, "deadline", "1".to_owned(), &run).await;
    host.restart().await;
    services.open("wait");
    host.api().resume(&run).await.ok();
    let record = host.api().settled(&run).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("compensated"), &json!("timeout")));
    // What was under way is finished first.
    assert_eq!(services.performed(), ["tea", "wait", "undo-tea"]);
}

#[tokio::test]
async fn a_run_with_nothing_to_compensate_is_cancelled_without_its_code() {
    let body = block![step("tea", block![]), Statement::Sleep(LONG)];
    let (host, _services, run) = with_changed_run(body, "digest", |_| "0".repeat(64)).await;
    host.api().cancel(&run).await.ok();
    assert_eq!(host.api().settled(&run).await["status"], "compensated");
}

#[tokio::test]
async fn a_run_whose_journal_cannot_be_read_can_be_terminated() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let run = api.start_program(&services, block![reversible("tea"), gate("wait")]).await;
    services.until_asked("wait", 1).await;
    host.kill();
    let mut database = host.database().await;
    database.change("UPDATE forge_steps SET attempt = 0", &[]).await;
    database.close().await;
    host.restart().await;
    let record = api.settled(&run).await;
    assert_eq!(record["pause_reason"], "corrupt_journal", "{record:#}");
    let (code, message) = api.cancel(&run).await.refused(409);
    assert!(code == "corrupt_journal" && message.contains("terminate"), "{code}: {message}");
    host.cli().run(["runs", "terminate", "--yes", &run]).await.ok();
    let record = api.record(&run).await;
    terminated(&record, &[]);
    assert!(record["error"].as_str().unwrap().contains("attempt is out of range"), "{record:#}");
}

#[tokio::test]
async fn a_compensation_that_never_ends_can_be_resolved_or_terminated() {
    let host = Host::builder().flag(["--evict-after", "100ms"]).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let stuck = |undo: Statement| {
        block![reversible("tea"), step("seat", block![effect("seat")]).undo(block![undo]), fail("as planned")]
    };
    // One is in memory, one sleeps.
    for undo in [Statement::Never(None), Statement::Sleep(LONG)] {
        let [resolved, terminated_run, failed] = [
            api.start_program(&services, stuck(undo.clone())).await,
            api.start_program(&services, stuck(undo.clone())).await,
            api.start_program(&services, stuck(undo)).await,
        ];
        for run in [&resolved, &terminated_run, &failed] {
            api.until_step(run, "compensation", "seat", "running").await;
            // Cancelling what is rolled back already changes nothing.
            let record = api.cancel(run).await.ok();
            assert_eq!(record["status"], "compensating");
        }
        host.cli().run(["runs", "resolve", &resolved, "seat", "--completed"]).await.ok();
        assert_eq!(api.settled(&resolved).await["status"], "compensated");

        let ended = api.terminate(&terminated_run).await.ok();
        terminated(&ended, &["tea", "seat"]);
        let error = ended["error"].as_str().unwrap();
        for said in ["the run was terminated;", "it was being rolled back", "as planned"] {
            assert_eq!(error.matches(said).count(), 1, "`{said}`: {error}");
        }
        assert!(error.contains("`seat` is not compensated: it was under way"), "{error}");
        assert_eq!(api.step(&terminated_run, "compensation", "seat").await["error_kind"], "terminated");

        host.cli().run(["runs", "resolve", &failed, "seat", "--failed", "the hotel is closed"]).await.ok();
        let record = api.settled(&failed).await;
        assert_eq!((&record["status"], &record["not_compensated"]), (&json!("failed"), &json!(["seat"])));
        assert!(record["error"].as_str().unwrap().contains("the hotel is closed"), "{record:#}");
        assert_eq!(api.step(&failed, "step", "tea").await["status"], "compensated");
    }
    let audit = api.get("/_api/audit").await.ok().to_string();
    assert!(audit.contains("run.resolve") && audit.contains("the hotel is closed"), "{audit}");
}

#[tokio::test]
async fn a_run_is_terminated_at_once_while_its_guest_computes_or_waits_for_a_request() {
    let host = Host::builder().flag(MUCH_FUEL).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run =
        api.start_program(&services, block![reversible("tea"), step("spin", block![Statement::Spin])]).await;
    api.until_step(&run, "step", "spin", "running").await;
    let begun = Instant::now();
    terminated(&api.terminate(&run).await.ok(), &["tea"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    assert_eq!(api.step(&run, "step", "spin").await["status"], "failed");

    let run = api.start_program(&services, block![gate("door")]).await;
    services.until_asked("door", 1).await;
    let record = api.terminate(&run).await.ok();
    terminated(&record, &[]);
    assert!(record["in_doubt"].to_string().contains("/gate/door may have arrived"), "{record:#}");

    // The person finds out what became of the request.
    let record = api.resolve(&run, "1", &json!({"failed": "the door was shut"})).await.ok();
    let settled = &record["settled"][0];
    assert_eq!(
        (&record["in_doubt"], &settled["seq"], &settled["outcome"]),
        (&Value::Null, &json!(1), &json!("failed: the door was shut")),
        "{record:#}"
    );
    assert!(settled["effect"].as_str().unwrap().contains("/gate/door may have arrived"), "{record:#}");
    assert!(settled["by"].is_string() && settled["at"].is_string(), "{record:#}");
    assert!(!record["error"].as_str().unwrap().contains("may have arrived"), "{record:#}");
    let shown = host.cli().run(["runs", "show", &run]).await.ok();
    assert!(shown.contains("settled by") && shown.contains("failed: the door was shut"), "{shown}");
    assert_eq!(api.resolve(&run, "1", &json!({"completed": null})).await.refused(409).0, "not_in_doubt");

    // A paused run, and one that has not begun.
    let run = api.start_program(&services, block![reversible("tea"), gate("door")]).await;
    services.until_asked("door", 2).await;
    api.pause(&run).await.ok();
    terminated(&api.terminate(&run).await.ok(), &["tea"]);
    assert_eq!(api.health().await["active_runs"], 0);
}

/// Starts a run that is paused because a request in step `charge` is in doubt.
async fn in_doubt(host: &mut Host, services: &Services, body: Block) -> String {
    let api = host.api();
    let run = api.start_program(services, body).await;
    services.until_asked("charge", 1).await;
    host.kill();
    host.restart().await;
    let record = api.settled(&run).await;
    assert_eq!(record["pause_reason"], "in_doubt", "{record:#}");
    assert!(record["error"].as_str().unwrap().contains("forge runs resolve"), "{record:#}");
    run
}

#[tokio::test]
async fn a_step_in_doubt_gets_the_outcome_that_a_person_found() {
    let charge = || step("charge", block![Statement::Draw, Statement::GateOnce("charge".to_owned())]);
    let undone = || charge().undo(block![effect("refund")]);
    let cases: [(Block, Value, &str, &[&str]); 3] = [
        (block![undone(), effect("thanks")], json!({"completed": ["paid"]}), "completed", &["thanks"]),
        (block![undone(), fail("no")], json!({"completed": ["paid"]}), "compensated", &["refund"]),
        (
            block![reversible("tea"), charge(), effect("thanks")],
            json!({"failed": "no such payment"}),
            "compensated",
            &["tea", "undo-tea"],
        ),
    ];
    for (body, outcome, status, performed) in cases {
        let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
        let run = in_doubt(&mut host, &services, body).await;
        let api = host.api();
        assert_eq!(api.resolve(&run, "nothing", &outcome).await.refused(404).0, "unknown_step");
        assert_eq!(api.resolve(&run, "charge", &json!({})).await.refused(400).0, "invalid_body");
        api.resolve(&run, "charge", &outcome).await.ok();
        let record = api.settled(&run).await;
        assert_eq!(record["status"], status, "{record:#}");
        assert_eq!(services.performed(), performed);
        assert_eq!(services.asked("charge").len(), 1, "it is not sent again");
        let step = api.step(&run, "step", "charge").await;
        if let Some(result) = outcome.get("completed") {
            assert_eq!(&step["result"], result);
        } else {
            assert_eq!((&step["status"], &step["error"]), (&json!("failed"), &json!("no such payment")));
            assert!(record["error"].as_str().unwrap().contains("no such payment"), "{record:#}");
        }
        // A replay sees the same.
        host.kill();
        host.restart().await;
        assert_eq!(host.api().record(&run).await, record);
    }
}

#[tokio::test]
async fn a_request_in_doubt_gets_the_response_that_a_person_found() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let run =
        in_doubt(&mut host, &services, block![Statement::GateOnce("charge".to_owned()), gate("wait")]).await;
    let api = host.api();
    let (code, message) = api.resolve(&run, "1", &json!({"completed": "paid"})).await.refused(400);
    assert!(code == "invalid_result" && message.contains("it is not a response"), "{code}: {message}");
    for (wrong, field) in [
        (json!({"status": 42}), "`status`"),
        (json!({"status": 200, "headers": [["a b", "c"]]}), "`headers[0]`"),
    ] {
        let (code, message) = api.resolve(&run, "1", &json!({"completed": wrong})).await.refused(400);
        assert!(code == "invalid_result" && message.contains(field), "{code}: {message}");
    }
    let response = json!({"status": 200, "headers": [], "body": "{\"paid\":true}"});
    api.resolve(&run, "1", &json!({"completed": response})).await.ok();
    services.until_asked("wait", 1).await;
    host.kill();
    host.restart().await;
    services.open("wait");
    let record = host.api().settled(&run).await;
    assert_eq!(
        (&record["status"], &record["output"][0]),
        (&json!("completed"), &json!({"paid": true})),
        "{record:#}"
    );
    assert_eq!(services.asked("charge").len(), 1);
}

#[tokio::test]
async fn only_what_is_in_doubt_is_resolved() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let run = api.start_program(&services, block![reversible("tea"), step("ask", block![gate("ask")])]).await;
    services.until_asked("ask", 1).await;
    for step in ["tea", "ask"] {
        let (code, message) = api.resolve(&run, step, &json!({"completed": 1})).await.refused(409);
        assert!(code == "not_in_doubt" && message.contains(step), "{code}: {message}");
    }
    services.open("ask");
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed");
    assert_eq!(services.asked("ask").len(), 1, "the run was not disturbed");
    assert_eq!(api.resolve(&run, "tea", &json!({"completed": 1})).await.refused(409).0, "not_in_doubt");
}

#[tokio::test]
async fn a_final_run_can_be_deleted_and_its_key_is_free_again() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let start = json!({"input": services.program(block![effect("tea")]), "key": "order-1041"});
    let run = api.start_acknowledged("program", &start).await;
    api.settled(&run).await;
    let other = api.start_program(&services, block![gate("wait")]).await;
    services.until_asked("wait", 1).await;
    assert_eq!(api.delete(&other).await.refused(409).0, "conflict");
    assert_eq!(api.for_tenant("default").delete(&run).await.status, 204);
    assert_eq!(api.delete(&run).await.refused(404).0, "unknown_run");
    assert_eq!(api.get(&format!("/_api/runs/{run}/steps")).await.refused(404).0, "unknown_run");
    let mut database = host.database().await;
    let (rows,): (i64,) =
        database.row("SELECT count(*) FROM forge_steps WHERE kind = 'http' AND name LIKE '%/tea'", &[]).await;
    assert_eq!(rows, 0, "its journal is deleted, too");
    database.close().await;
    let again = api.start_acknowledged("program", &start).await;
    assert_ne!(again, run);
    assert_eq!(api.settled(&again).await["status"], "completed");
    // The other run was not disturbed.
    services.open("wait");
    assert_eq!(api.settled(&other).await["status"], "completed");
    host.cli().run(["runs", "delete", &other]).await.ok();
    let audit = api.get("/_api/audit").await.ok().to_string();
    assert!(audit.contains("run.delete") && audit.contains("order-1041"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_terminated_and_resolved_through_any_node() {
    let mut cluster = Cluster::builder().flag(LONG_LEASE).flag(MUCH_FUEL).start(["a", "b"]).await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    a.deploy(&component("interpreter")).await;
    let start = async |api: &Api, body| {
        let run = api.start_program(&services, body).await;
        api.until_step(&run, "step", "tea", "completed").await;
        run
    };
    let spin = step("spin", block![Statement::Spin]);
    let asking = start(&a, block![reversible("tea"), gate("door")]).await;
    let computing = start(&a, block![reversible("tea"), spin]).await;
    let sleeping = start(&a, block![reversible("tea"), Statement::Sleep(LONG)]).await;
    a.until_status(&sleeping, "waiting").await;
    for run in [&asking, &computing, &sleeping] {
        terminated(&b.terminate(run).await.ok(), &["tea"]);
        assert_eq!(a.record(run).await, b.record(run).await);
    }
    let body =
        block![step("tea", block![effect("tea")]).undo(block![Statement::Never(None)]), fail("as planned")];
    let undoing = a.start_program(&services, body).await;
    a.until_step(&undoing, "compensation", "tea", "running").await;
    assert_eq!(b.resolve(&undoing, "nothing", &json!({"failed": null})).await.refused(404).0, "unknown_step");
    b.resolve(&undoing, "tea", &json!({"completed": null})).await.ok();
    assert_eq!(b.settled(&undoing).await["status"], "compensated");
    assert_eq!(b.delete(&undoing).await.status, 204);
    assert_eq!(a.delete(&undoing).await.refused(404).0, "unknown_run");
    let rows = cluster.rows(&format!("SELECT seq FROM forge_steps WHERE run_id = '{undoing}'"));
    assert!(rows.is_empty(), "{rows:?}");

    // One whose component is gone is refused with the same words by each node.
    let gone = start(&a, block![reversible("tea"), gate("door")]).await;
    a.pause(&gone).await.ok();
    cluster.rows(&format!("UPDATE forge_runs SET digest = repeat('0', 64) WHERE id = '{gone}'"));
    let refused = b.cancel(&gone).await.refused(409);
    assert_eq!(refused, a.cancel(&gone).await.refused(409));
    assert_eq!(refused.0, "cannot_roll_back");
    cluster.host(0).kill();
    cluster.host(0).restart().await;
    terminated(&b.terminate(&gone).await.ok(), &["tea"]);
}
