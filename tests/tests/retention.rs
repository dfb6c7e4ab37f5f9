//! Runs that are deleted because of their age.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Statement, block, effect, fail, gate, reversible};
use forge_tests::{Api, Cluster, Host, Services, component, eventually};
use serde_json::{Value, json};

async fn until_deleted(api: &Api, run: &str) {
    let path = format!("/_api/runs/{run}");
    eventually(&format!("run {run} is deleted"), async || api.get(&path).await.status == 404).await;
}

#[tokio::test]
async fn a_run_is_archived_and_deleted_at_its_age_and_others_stay() {
    let archive = tempfile::tempdir().unwrap();
    let url = format!("file://{}", archive.path().display());
    let host = Host::builder()
        .flag(["--retention", "completed=1ms,failed=1ms"])
        .flag(["--archive", &url])
        .start()
        .await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let event = json!({ "name": "note", "payload": { "text": "hurry" }, "key": "n1" });
    let body = json!({"input": services.program(block![Statement::Log("boiling".to_owned()), effect("tea")]), "key": "order-1041", "event": event});
    let completed = api.start_acknowledged("program", &body).await;
    let rolled_back = api.start_program(&services, block![reversible("seat"), fail("sold out")]).await;
    let failed = api.start_program(&services, block![fail("sold out")]).await;
    let stuck = api.start_program(&services, block![reversible("seat"), gate("wait")]).await;
    services.until_asked("wait", 1).await;
    api.terminate(&stuck).await.ok();
    let paused = api.start_program(&services, block![gate("wait")]).await;
    api.pause(&paused).await.ok();

    until_deleted(&api, &completed).await;
    until_deleted(&api, &failed).await;
    for (run, status) in [(&rolled_back, "compensated"), (&stuck, "failed"), (&paused, "paused")] {
        assert_eq!(api.record(run).await["status"], status);
    }
    let archived = |run: &str| archive.path().join("default/program").join(format!("{run}.json"));
    let document: Value = serde_json::from_slice(&std::fs::read(archived(&completed)).unwrap()).unwrap();
    assert_eq!((&document["run"]["id"], &document["run"]["key"]), (&json!(completed), &json!("order-1041")));
    assert_eq!(document["steps"][0]["result"]["status"], 200, "{document:#}");
    let line = &document["logs"][0];
    assert_eq!((&line["message"], &line["level"]), (&json!("boiling"), &json!("info")), "{document:#}");
    let event = &document["events"][0];
    assert_eq!(
        (&event["name"], &event["payload"]),
        (&json!("note"), &json!({ "text": "hurry" })),
        "{document:#}"
    );
    assert!(archived(&failed).exists() && !archived(&rolled_back).exists());
    let audit = api.get("/_api/audit").await.ok().to_string();
    assert!(audit.contains("run.expire") && audit.contains("ended_before"), "{audit}");

    // Its key is free, and a person can settle the one that stays.
    assert_ne!(api.start_acknowledged("program", &body).await, completed);
    api.resolve(&stuck, "seat", &json!({"completed": null})).await.ok();
    assert_eq!(api.delete(&stuck).await.status, 204);
}

#[tokio::test]
async fn nothing_is_deleted_while_the_archive_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let url = format!("file://{}", archive.display());
    let host = Host::builder().flag(["--retention", "completed=1ms"]).flag(["--archive", &url]).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    // A file where the folder of the tenant would be.
    std::fs::write(archive.join("default"), "").unwrap();
    let run = api.start_program(&services, block![effect("tea")]).await;
    api.settled(&run).await;
    eventually("the job reports that it failed", async || {
        let health = api.health().await;
        let jobs = health["maintenance"].as_array().unwrap().clone();
        jobs.iter().any(|job| job["name"] == "retention" && job["last_error"].is_string())
    })
    .await;
    assert_eq!(api.record(&run).await["status"], "completed");
    std::fs::remove_file(archive.join("default")).unwrap();
    until_deleted(&api, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_rules_of_its_own_on_all_nodes() {
    let cluster = Cluster::builder().flag(["--retention", "completed=1ms"]).start(["a", "b"]).await;
    let [a, b] = [cluster.api(0), cluster.api(1)];
    let services = Services::start().await;
    let settings = json!({
        "name": "acme", "egress": [services.url()], "retention": "program:completed=forever,compensated=1ms",
    });
    let made = a.post_json("/_api/tenants", &settings).await.ok();
    assert_eq!(made["settings"]["retention"], "compensated=1ms,program:completed=forever");
    let wrong = json!({ "name": "other", "retention": "running=1d" });
    assert!(a.post_json("/_api/tenants", &wrong).await.refused(400).1.contains("`running=1d` is not a rule"));
    let [acme, default] = [b.for_tenant("acme"), b.clone()];
    let mut runs = Vec::new();
    for api in [&acme, &default] {
        api.deploy(&component("interpreter")).await;
        let completed = api.start_program(&services, block![effect("tea")]).await;
        let rolled_back = api.start_program(&services, block![reversible("seat"), fail("sold out")]).await;
        runs.extend([completed, rolled_back]);
    }
    until_deleted(&acme, &runs[1]).await;
    until_deleted(&default, &runs[2]).await;
    assert_eq!(acme.record(&runs[0]).await["status"], "completed");
    assert_eq!(default.record(&runs[3]).await["status"], "compensated");
    let left =
        cluster.rows(&format!("SELECT seq FROM forge_steps WHERE run_id IN ('{}', '{}')", runs[1], runs[2]));
    assert!(left.is_empty(), "{left:?}");
}
