//! A module changed under a run: the run stops and says why, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Database, Host, Services, component};
use serde_json::{Value, json};

/// The journal as it is on disk.
async fn journal(host: &Host) -> Vec<(i64, String, String, Option<String>)> {
    let mut database = host.database().await;
    let rows = database
        .rows("SELECT seq, step_name, status, result FROM forge_workflow_steps ORDER BY seq", &[])
        .await;
    database.close().await;
    rows
}

/// Puts other bytes under the digest that the runs are pinned to, behind the host's back.
async fn swap(host: &Host, component: &[u8]) {
    let mut database: Database = host.database().await;
    let changed = sqlx::query("UPDATE forge_workflow_modules SET component = ?").bind(component.to_vec());
    assert_eq!(database.change(changed).await, 1);
    database.close().await;
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_run_whose_code_changed_is_paused_and_goes_on_with_the_right_code() {
    let services = Services::start().await;
    let mut host = Host::start().await;
    host.api().deploy(&component("tally")).await;
    let run = host.api().start("tally", json!(services.url())).await;
    host.api().until_step(&run, "step", "count_cups", "completed").await;
    host.kill();
    let before = journal(&host).await;
    swap(&host, &component("tally-changed")).await;
    host.restart().await;

    let record = host.api().settled(&run).await;
    assert_eq!(text(&record, "status"), "paused", "{record:#}");
    assert_eq!(text(&record, "pause_reason"), "nondeterminism");
    let error = text(&record, "error");
    for words in [
        "the journal has step `count_cups` as call 1",
        "the workflow now makes step `count_saucers`",
        "resume",
    ] {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
    let shown = host.cli().run(["runs", "show", &run]).await.ok();
    assert!(shown.contains("nondeterminism"), "{shown}");
    host.kill();
    assert_eq!(journal(&host).await, before, "the journal is untouched");
    assert_eq!(services.performed(), ["cups"]);

    swap(&host, &component("tally")).await;
    host.restart().await;
    assert_eq!(text(&host.api().record(&run).await, "status"), "paused", "a paused run waits for a person");
    host.api().resume(&run).await.ok();
    services.open("tally");
    let record = host.api().settled(&run).await;
    assert_eq!(
        (text(&record, "status"), &record["output"]),
        ("completed".into(), &json!("cups, then saucers"))
    );
    assert_eq!(services.performed(), ["cups", "tally", "saucers"]);
}
