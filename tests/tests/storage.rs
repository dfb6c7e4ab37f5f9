//! The database: plain SQL under the spec's names, and a disk that is full for a while.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Host, Services, component, eventually, example};
use serde_json::json;

/// Run, name, status, beginning, end and error.
type StepRow = (String, String, String, Option<String>, Option<String>, Option<String>);

#[tokio::test]
async fn the_journal_is_read_with_plain_sql_under_the_specs_names() {
    let host = Host::start().await;
    let services = Services::start().await;
    host.api().deploy(&example("payment")).await;
    let input = json!({
        "services": services.url(), "card_token": "tok_visa", "email": "ada@example.com",
        "items": [{"sku": "dripper-v60-02", "quantity": 1}],
    });
    let run = host.api().start("payment_workflow", input).await;
    host.api().settled(&run).await;
    let mut database = host.database().await;
    let steps: Vec<StepRow> = database
        .rows(
            "SELECT workflow_run_id, step_name, status, started_at, completed_at, error FROM forge_workflow_steps \
             WHERE workflow_run_id = ? AND kind = 'step' ORDER BY seq",
            &[&run],
        )
        .await;
    let names: Vec<&str> = steps.iter().map(|step| step.1.as_str()).collect();
    assert_eq!(names, ["reserve_inventory", "charge_card", "send_confirmation"]);
    assert!(steps.iter().all(|step| step.2 == "completed" && step.3 <= step.4 && step.5.is_none()));

    let (name, status, output, results): (String, String, String, String) = database
        .row(
            "SELECT workflow_name, status, output, step_results FROM forge_workflow_runs \
             WHERE id = ? AND input IS NOT NULL AND version = 1 AND completed_at >= started_at \
             AND error IS NULL AND trace_id IS NULL",
            &[&run],
        )
        .await;
    assert_eq!((name.as_str(), status.as_str()), ("payment_workflow", "completed"));
    assert!(output.contains("ord_000001") && results.contains("\"charge_card\":{"), "{output} {results}");
    let (result, input): (i64, String) = database
        .row(
            "SELECT json_extract(result, '$.status'), json_extract(input, '$.url') FROM forge_workflow_steps \
             WHERE workflow_run_id = ? AND kind = 'http' ORDER BY seq LIMIT 1",
            &[&run],
        )
        .await;
    assert!(result == 201 && input.ends_with("/inventory/reservations"), "{result} {input}");
}

#[tokio::test]
async fn a_full_disk_stops_runs_loses_nothing_acknowledged_and_goes_on_when_there_is_room() {
    let services = Services::start().await;
    let host = Host::builder().disk_may_be_full().flag(["--store-retry", "100ms"]).start().await;
    let api = host.api();
    api.deploy(&component("greeting")).await;
    api.deploy(&component("tally")).await;
    let waiting = api.start("tally", json!(services.url())).await;
    api.until_step(&waiting, "step", "count_cups", "completed").await;

    // The write-ahead log cannot grow any more, from here on.
    host.limit_files(Some(16 << 10));
    let mut acknowledged = Vec::new();
    let large = "x".repeat(50_000);
    let refused = loop {
        let answer = api.try_start("greeting", &json!({ "input": large })).await;
        match answer.status {
            202 => acknowledged.push(answer.body["run_id"].as_str().unwrap().to_owned()),
            _ => break answer,
        }
        assert!(acknowledged.len() < 100, "the disk is never full");
    };
    let (code, _) = refused.refused(503);
    assert_eq!(code, "store_unavailable");
    let health = api.health().await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["error"].as_str().is_some_and(|error| !error.is_empty()), "{health}");
    services.open("tally");

    host.limit_files(None);
    eventually("the host takes starts again", async || {
        api.try_start("greeting", &json!({"input": "Ada"})).await.status == 202
    })
    .await;
    eventually("the host is well", async || api.health().await["status"] == "ok").await;
    assert_eq!(api.settled(&waiting).await["status"], "completed");
    for run in acknowledged {
        assert_eq!(api.settled(&run).await["status"], "completed");
    }
    assert_eq!(services.performed(), ["cups", "tally", "saucers"]);
}
