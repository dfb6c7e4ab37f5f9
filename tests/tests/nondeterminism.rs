//! A workflow whose code changed under its runs: the run is paused, and nothing is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Block, Statement, block, effect, gate, reversible, step};
use forge_tests::{Host, Services, component};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// All that the journal has of a run, in one text.
async fn journal(host: &Host, run: &str) -> String {
    let mut database = host.database().await;
    let (rows,): (String,) = database
        .row(
            "SELECT json_group_array(json_array(seq, kind, step_name, status, input, result, started_at, completed_at,
                    error, scope_step, scope_attempt, call_index, fingerprint, options, attempt, call_order))
               FROM forge_workflow_steps WHERE workflow_run_id = ?",
            &[run],
        )
        .await;
    database.close().await;
    rows
}

/// Pins a run to another component. The host must not be running.
async fn swap_component(host: &Host, run: &str, component: &[u8]) {
    let mut database = host.database().await;
    let digest: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    let insert = "INSERT INTO forge_workflow_modules (digest, component, uploaded_at) VALUES (?, ?, '') \
                  ON CONFLICT DO NOTHING";
    database.change(insert, &[digest.clone().into(), component.to_vec().into()]).await;
    let pin = "UPDATE forge_runs SET digest = ? WHERE id = ?";
    assert_eq!(database.change(pin, &[digest.into(), run.to_owned().into()]).await, 1, "it is swapped");
    database.close().await;
}

#[tokio::test]
async fn a_module_changed_under_a_run_pauses_it_and_the_right_one_completes_it() {
    let mut host = Host::start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("tally")).await;
    let run = api.start("tally", json!(services.url())).await;
    services.until_asked("tally", 1).await;
    host.kill();
    swap_component(&host, &run, &component("tally-changed")).await;
    let before = journal(&host, &run).await;

    host.restart().await;
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("nondeterminism")));
    names_the_calls(&record, "step `count_cups` as call 1", "step `count_saucers`");
    assert_eq!(journal(&host, &run).await, before, "the journal is untouched");
    services.open("tally");

    // It cannot go on as long as the code is wrong.
    let (code, message) = api.resume(&run).await.refused(409);
    assert!(code == "cannot_resume" && message.contains("(nondeterminism): the journal has "), "{message}");
    assert_eq!(api.settled(&run).await["status"], "paused");
    assert_eq!(journal(&host, &run).await, before, "the journal is untouched");

    host.kill();
    swap_component(&host, &run, &component("tally")).await;
    host.restart().await;
    assert_eq!(api.record(&run).await["status"], "paused", "nobody resumed it");
    api.resume(&run).await.ok();
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["output"]), (&json!("completed"), &json!("cups, then saucers")));
    assert_eq!(record["error"], Value::Null);
    assert_eq!(services.performed(), ["cups", "tally", "saucers"]);
}

#[track_caller]
fn names_the_calls(record: &Value, expected: &str, found: &str) {
    let error = record["error"].as_str().unwrap_or_default();
    let sentence = error.starts_with("the journal has ");
    assert!(sentence && error.contains(expected) && error.contains(found), "{expected}, {found}: {error}");
}

/// A program of which this much has run when the host is stopped and the rest is replaced.
struct Change {
    before: Block,
    after: Block,
    expected: &'static str,
    found: &'static str,
}

#[tokio::test]
async fn the_error_names_the_call_what_was_expected_and_what_was_found() {
    let changes = [
        Change {
            before: block![effect("tea")],
            after: block![effect("milk")],
            expected: "/effects/tea` as call 1 of its scope",
            found: "/effects/milk`",
        },
        Change {
            before: block![effect("tea"), step("pour", block![])],
            after: block![effect("tea"), step("drink", block![])],
            expected: "step `pour` as call 2 of its scope",
            found: "step `drink`",
        },
        Change {
            before: block![Statement::Sleep(1)],
            after: block![Statement::Draw],
            expected: "sleep `1ms` as call 1 of its scope",
            found: "workflow_time()",
        },
        Change {
            before: block![step("brew", block![Statement::Draw, effect("tea"), gate("brewing")])],
            after: block![step("brew", block![effect("tea"), gate("brewing")])],
            expected: "workflow_time() as call 1 of its scope",
            found: "/effects/tea`",
        },
        Change {
            before: block![effect("tea"), effect("milk")],
            after: block![effect("tea")],
            expected: "/effects/milk`",
            found: "/gate/wait`",
        },
    ];
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let mut runs = Vec::new();
    for Change { before, .. } in &changes {
        let mut body = before.clone();
        body.push(gate("wait"));
        runs.push(api.start_program(&services, body).await);
    }
    // One of them waits in the middle of a step.
    services.until_asked("wait", changes.len() - 1).await;
    services.until_asked("brewing", 1).await;
    host.kill();
    let mut journals = Vec::new();
    for (run, Change { after, .. }) in runs.iter().zip(&changes) {
        let mut body = after.clone();
        body.push(gate("wait"));
        let mut database = host.database().await;
        let input = services.program(body).to_string();
        let sql = "UPDATE forge_runs SET input = ? WHERE id = ?";
        assert_eq!(database.change(sql, &[input.into(), run.clone().into()]).await, 1);
        database.close().await;
        journals.push(journal(&host, run).await);
    }
    host.restart().await;
    for ((run, before), Change { expected, found, .. }) in runs.iter().zip(journals).zip(&changes) {
        let record = api.settled(run).await;
        assert_eq!(record["pause_reason"], "nondeterminism", "{record:#}");
        names_the_calls(&record, expected, found);
        assert_eq!(journal(&host, run).await, before, "the journal is untouched");
    }
}

#[tokio::test]
async fn a_workflow_that_ends_before_its_journal_does_is_paused() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let run = api.start_program(&services, block![effect("tea"), gate("wait")]).await;
    services.until_asked("wait", 1).await;
    host.kill();
    let mut database = host.database().await;
    let input = services.program(block![]).to_string();
    database
        .change("UPDATE forge_runs SET input = ? WHERE id = ?", &[input.into(), run.clone().into()])
        .await;
    database.close().await;
    host.restart().await;
    let record = api.settled(&run).await;
    assert_eq!(record["pause_reason"], "nondeterminism", "{record:#}");
    names_the_calls(&record, "/effects/tea`", "an output");
}

#[tokio::test]
async fn a_run_that_is_paused_for_nondeterminism_can_be_cancelled_once_its_code_is_right() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let right = services.program(block![reversible("tea"), gate("wait")]);
    let wrong = services.program(block![reversible("milk"), gate("wait")]);
    let run = api.start("program", right.clone()).await;
    services.until_asked("wait", 1).await;
    for (input, status) in [(wrong, "paused"), (right, "paused")] {
        host.kill();
        let mut database = host.database().await;
        let sql = "UPDATE forge_runs SET input = ? WHERE id = ?";
        database.change(sql, &[input.to_string().into(), run.clone().into()]).await;
        database.close().await;
        host.restart().await;
        assert_eq!(api.settled(&run).await["status"], status);
    }
    api.cancel(&run).await.ok();
    api.until_status(&run, "compensated").await;
    assert_eq!(services.performed(), ["tea", "undo-tea"]);
}

#[tokio::test]
async fn a_run_whose_module_is_missing_is_paused_and_says_what_to_do() {
    let mut host = Host::start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("tally")).await;
    let run = api.start("tally", json!(services.url())).await;
    services.until_asked("tally", 1).await;
    host.kill();
    swap_component(&host, &run, b"no component").await;
    host.restart().await;
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("missing_version")));
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("cannot be loaded") && error.contains("resume"), "{error}");
}
