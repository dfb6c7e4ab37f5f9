//! Runs whose own row cannot be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{block, effect, gate, reversible};
use forge_tests::{Api, Cluster, Host, Services, component};
use serde_json::{Value, json};

/// A column that no version of Forge can have written, and what is said of it.
const DAMAGES: [(&str, &str, &str); 3] = [
    ("status", "exploded", "`exploded` is no run status"),
    ("failure", "{", "column failure"),
    ("pause_reason", "boredom", "`boredom` is no pause reason"),
];

/// Checks that a run is shown, and can be ended and deleted. A step of it has a handler.
async fn can_be_ended(api: &Api, run: &str, why: &str) {
    let record = api.record(run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("corrupt_journal")));
    assert!(record["error"].as_str().unwrap().contains(why), "{record:#}");
    for refused in [api.resume(run).await, api.cancel(run).await] {
        let (code, message) = refused.refused(409);
        assert!(code == "corrupt_journal" && message.contains("forge runs terminate"), "{code}: {message}");
    }
    assert_eq!(api.delete(run).await.refused(409).0, "conflict");
    let ended = api.terminate(run).await.ok();
    assert_eq!(
        (&ended["status"], &ended["error_kind"], &ended["not_compensated"]),
        (&json!("failed"), &json!("terminated"), &json!(["tea"])),
        "{ended:#}"
    );
    assert!(ended["error"].as_str().unwrap().contains(why), "{ended:#}");
    assert_eq!(api.delete(run).await.status, 204);
    assert_eq!(api.get(&format!("/_api/runs/{run}")).await.status, 404);
}

async fn started(api: &Api, services: &Services) -> String {
    let before = services.asked("wait").len();
    let run = api.start_program(services, block![reversible("tea"), gate("wait")]).await;
    services.until_asked("wait", before + 1).await;
    run
}

#[tokio::test]
async fn a_run_whose_row_cannot_be_read_can_be_terminated_and_deleted() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let mut runs = Vec::new();
    for _ in DAMAGES {
        runs.push(started(&host.api(), &services).await);
    }
    let final_run = host.api().start_program(&services, block![effect("tea")]).await;
    assert_eq!(host.api().settled(&final_run).await["status"], "completed");
    host.kill();
    let mut database = host.database().await;
    for (run, (column, value, _)) in runs.iter().zip(DAMAGES) {
        let sql = format!("UPDATE forge_runs SET {column} = ?, due_at = 0 WHERE id = ?");
        assert_eq!(database.change(&sql, &[value.to_owned().into(), run.clone().into()]).await, 1);
    }
    let deadline = "UPDATE forge_runs SET version = -1, deadline = 'noon' WHERE id = ?";
    assert_eq!(database.change(deadline, &[final_run.clone().into()]).await, 1);
    database.close().await;
    host.restart().await;
    for (run, (_, _, why)) in runs.iter().zip(DAMAGES) {
        can_be_ended(&host.api(), run, why).await;
    }
    // One that is final is shown with what can be read, and deleted at once.
    let record: Value = host.api().record(&final_run).await;
    assert_eq!(record["status"], "completed");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("column version") && error.contains("column deadline"), "{error}");
    host.cli().run(["runs", "show", &final_run]).await.ok();
    let listed = host.api().get("/_api/runs?status=completed").await.ok();
    let error = listed["runs"][0]["error"].as_str().unwrap();
    assert!(error.contains("column version"), "{listed:#}");
    assert_eq!(host.api().delete(&final_run).await.status, 204);
}

#[tokio::test]
async fn any_node_ends_a_run_whose_row_cannot_be_read() {
    let cluster = Cluster::builder().flag(["--lease", "10m"]).start(["a", "b"]).await;
    let services = Services::start().await;
    cluster.api(0).deploy(&component("interpreter")).await;
    for (column, value, why) in DAMAGES {
        let run = started(&cluster.api(0), &services).await;
        // It leaves memory, so that its row is read again.
        cluster.api(0).pause(&run).await.ok();
        cluster.rows(&format!("UPDATE forge_runs SET {column} = '{value}' WHERE id = '{run}'"));
        can_be_ended(&cluster.api(1), &run, why).await;
    }
}
