//! The database: readable with plain SQL, and what happens when it cannot be written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Host, Services, eventually, eventually_some};
use serde_json::{Value, json};

#[tokio::test]
async fn the_journal_can_be_read_with_plain_sql() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let body = block![reversible("reserve"), step("mail", block![]), fail("sold out")];
    let run = host.api().start_program(&services, body).await;
    host.api().settled(&run).await;

    type Run = (String, String, i64, String, Option<String>, String, Option<String>, String, String);
    let mut database = host.database().await;
    let found: Run = database
        .row(
            "SELECT id, workflow_name, version, input, output, status, current_step, step_results, started_at
               FROM forge_workflow_runs WHERE id = ?",
            &[&run],
        )
        .await;
    let (id, workflow, version, input, output, status, current_step, step_results, _) = found;
    assert_eq!((&*id, &*workflow, version, &*status), (&*run, "program", 1, "compensated"));
    assert_eq!((output, current_step.as_deref()), (None, Some("mail")));
    let input: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(input["services"], services.url());
    let results: Value = serde_json::from_str(&step_results).unwrap();
    assert_eq!(results["mail"], json!([]));
    assert_eq!(results["reserve"][0]["effect"], "reserve");

    type End = (Option<String>, Option<String>, Option<String>);
    let sql = "SELECT completed_at, error, trace_id FROM forge_workflow_runs WHERE id = ?";
    let (completed_at, error, trace_id): End = database.row(sql, &[&run]).await;
    assert!(completed_at.is_some_and(|time| time.ends_with('Z')));
    assert_eq!((error.as_deref(), trace_id), (Some("sold out"), None));

    type Step =
        (String, String, String, String, Option<String>, Option<String>, String, String, Option<String>);
    let steps: Vec<Step> = database
        .rows(
            "SELECT id, workflow_run_id, step_name, status, input, result, started_at, completed_at, error
               FROM forge_workflow_steps WHERE workflow_run_id = ? AND kind = 'step' ORDER BY id",
            &[&run],
        )
        .await;
    let steps: Vec<_> = steps.iter().map(|(_, _, name, status, ..)| (&**name, &**status)).collect();
    assert_eq!(steps, [("reserve", "compensated"), ("mail", "completed")]);
}

#[tokio::test]
async fn what_is_readable_is_what_was_committed_while_the_run_goes_on() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host.api().start_program(&services, block![step("pack", block![gate("pack")])]).await;
    services.until_asked("pack", 1).await;
    let mut database = host.database().await;
    let sql = "SELECT kind, status FROM forge_workflow_steps WHERE workflow_run_id = ? ORDER BY seq";
    let rows: Vec<(String, String)> = database.rows(sql, &[&run]).await;
    let rows: Vec<_> = rows.iter().map(|(kind, status)| (&**kind, &**status)).collect();
    assert_eq!(rows, [("step", "running"), ("http", "running")], "a request leaves after its row is durable");
    services.open("pack");
    host.api().settled(&run).await;
}

#[tokio::test]
async fn a_name_that_is_used_again_gets_a_number() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host
        .api()
        .start_program(&services, block![Statement::Repeat(3, block![step("knock", block![])])])
        .await;
    host.api().settled(&run).await;
    let mut database = host.database().await;
    let sql = "SELECT step_name FROM forge_workflow_steps WHERE workflow_run_id = ? ORDER BY seq";
    let names: Vec<(String,)> = database.rows(sql, &[&run]).await;
    assert_eq!(names, [("knock".to_owned(),), ("knock#2".to_owned(),), ("knock#3".to_owned(),)]);
}

#[tokio::test]
async fn a_full_disk_stops_runs_loses_nothing_and_is_said_and_when_there_is_room_they_go_on() {
    let builder = Host::builder().disk_may_be_full().flag(["--store-retry", "50ms"]);
    let mut host = builder.flag(["--compensation-backoff", "20ms"]).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&forge_tests::component("interpreter")).await;
    let ended = api.start_program(&services, block![effect("before")]).await;
    api.settled(&ended).await;
    let body = block![reversible("a"), gate("wait"), reversible("b"), effect("c")];
    let halted = api.start_program(&services, body).await;
    services.until_asked("wait", 1).await;

    // Nothing can be written any more, not even the beginning of a file.
    host.limit_files(Some(0));
    services.open("wait");
    eventually("the host says that it is degraded", async || api.health().await["status"] == "degraded")
        .await;
    let health = api.get("/_api/health").await;
    assert_eq!(health.status, 503);
    assert!(health.body["error"].as_str().is_some_and(|why| why.contains("database")), "{}", health.body);
    assert!(host.log().contains("commits fail"), "the log says it, too");

    let start = json!({"input": services.program(block![effect("refused")])});
    let (code, message) = api.try_start("program", &start).await.refused(503);
    assert_eq!(code, "store_unavailable");
    assert!(message.contains("not available"), "{message}");
    assert!(services.asked("b").is_empty(), "no effect leaves the host that is not durable");
    assert_eq!(api.record(&ended).await["status"], "completed", "what is there can be read");

    host.limit_files(None);
    assert_eq!(api.settled(&halted).await["status"], "completed");
    eventually("the host is well again", async || api.health().await["status"] == "ok").await;
    assert_eq!(services.performed(), ["before", "a", "wait", "b", "c"]);
    assert_eq!(services.asked("a").len(), 1);
    let run = eventually_some("starts are taken again", async || {
        let answer = api.try_start("program", &start).await;
        (answer.status == 202).then(|| answer.body["run_id"].as_str().unwrap().to_owned())
    })
    .await;
    assert_eq!(api.settled(&run).await["status"], "completed");
    assert_eq!(services.asked("refused").len(), 1);

    // The disk was full, and then the power failed: what is on it is whole.
    host.limit_files(Some(0));
    let start = json!({"input": services.program(block![effect("lost")])});
    api.try_start("program", &start).await.refused(503);
    host.kill();
    host.restart().await;
    for run in [&ended, &halted, &run] {
        assert_eq!(api.record(run).await["status"], "completed");
    }
    assert!(services.asked("lost").is_empty(), "what was refused was not started");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_host_is_well_again_when_the_disk_has_room_although_nobody_writes() {
    let host = Host::builder().disk_may_be_full().start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&forge_tests::component("interpreter")).await;
    host.limit_files(Some(0));
    let start = json!({"input": services.program(block![effect("refused")])});
    api.try_start("program", &start).await.refused(503);
    assert_eq!(api.get("/_api/health").await.status, 503);
    assert!(!services.next_request(Duration::from_secs(3)).await);
    assert_eq!(api.get("/_api/health").await.status, 503, "as long as the disk is full");
    host.limit_files(None);
    eventually("the host is well again", async || api.get("/_api/health").await.status == 200).await;
}
