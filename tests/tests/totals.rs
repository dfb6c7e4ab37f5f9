//! What all runs of a tenant may take together: each total is a limit with a name, shown with what is used of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_postgres::Server;
use forge_tests::program::{Statement, block, effect, gate, reversible};
use forge_tests::{Api, Host, HostBuilder, Services, component, eventually};
use serde_json::{Value, json};

/// A tenant with these limits that may reach the services and has the interpreter; as an operator.
async fn tenant(host: &Host, services: &Services, name: &str, limits: Value) -> Api {
    let body = json!({ "name": name, "egress": [services.url()], "limits": limits });
    host.api().post_json("/_api/tenants", &body).await.ok();
    let api = host.api().for_tenant(name);
    api.deploy(&component("interpreter")).await;
    api
}

/// How much of a limit is in use.
async fn used(api: &Api, tenant: &str, limit: &str) -> u64 {
    let info = api.get(&format!("/_api/tenants/{tenant}")).await.ok();
    let limits = info["limits"].as_array().unwrap();
    limits.iter().find(|shown| shown["name"] == limit).unwrap()["used"].as_u64().unwrap()
}

async fn database() -> HostBuilder {
    let url =
        tokio::task::spawn_blocking(|| Server::shared().unwrap().create_database().unwrap()).await.unwrap();
    Host::builder().database(url).flag(["--node", "a"])
}

async fn what_runs_store_is_bounded(host: HostBuilder) {
    const LIMIT: u64 = 200_000;
    let services = Services::start().await;
    let mut host = host.start().await;
    let api = tenant(&host, &services, "acme", json!({ "storage_bytes": LIMIT })).await;
    let other = tenant(&host, &services, "umbrella", json!({})).await;
    let stored = async || used(&host.api(), "acme", "storage_bytes").await;
    assert_eq!(stored().await, 0);

    let held = block![reversible("seat"), gate("hold"), effect("more"), effect("never")];
    let held = api.start_program(&services, held).await;
    services.until_asked("hold", 1).await;
    let large = json!({ "input": services.program(block![Statement::Log("x".repeat(20_000))]) });
    let mut runs = Vec::new();
    let refused = loop {
        let started = api.try_start("program", &large).await;
        if started.status != 202 {
            break started;
        }
        let run = started.body["run_id"].as_str().unwrap().to_owned();
        api.settled(&run).await;
        runs.push(run);
        assert!(runs.len() < 20, "no start is refused");
    };
    let (code, message) = refused.refused(403);
    assert_eq!(code, "limit");
    for words in ["storage_bytes", &LIMIT.to_string(), "forge runs delete"] {
        assert!(message.contains(words), "{message}");
    }
    let full = stored().await;
    assert!((LIMIT..LIMIT + 50_000).contains(&full), "{full}");

    // A run that is under way fails at its next call, and is rolled back.
    services.open("hold");
    let record = api.settled(&held).await;
    assert_eq!(
        (&record["status"], &record["error_kind"]),
        (&json!("compensated"), &json!("limit")),
        "{record:#}"
    );
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("storage_bytes") && error.contains("forge runs delete"), "{error}");
    assert_eq!(services.asked("never").len(), 0);

    // Another tenant has its own.
    let run = other.start_program(&services, block![effect("free")]).await;
    assert_eq!(other.settled(&run).await["status"], "completed");

    // The count is the same after a crash.
    let before = stored().await;
    host.kill();
    host.restart().await;
    let stored = async || used(&host.api(), "acme", "storage_bytes").await;
    assert_eq!(stored().await, before);
    let (code, _) = api.try_start("program", &large).await.refused(403);
    assert_eq!(code, "limit");

    // What is deleted makes room at once, and the last run leaves nothing.
    let usage = host.api().for_tenant("acme").get("/_api/usage").await.ok();
    assert_eq!(usage["storage_bytes"], json!(before), "{usage:#}");
    assert_eq!(api.delete(&runs.pop().unwrap()).await.status, 204);
    assert_eq!(api.delete(&runs.pop().unwrap()).await.status, 204);
    let run = api.start_program(&services, block![]).await;
    api.settled(&run).await;
    for run in runs.iter().chain([&run, &held]) {
        assert_eq!(api.delete(run).await.status, 204);
    }
    assert_eq!(stored().await, 0);
    let shown = host.cli().run(["tenants", "show", "acme"]).await.ok();
    let line = shown.lines().find(|line| line.starts_with("storage_bytes")).unwrap().to_owned();
    assert!(line.contains("0 B") && line.contains("195.3 KiB"), "{line}");
}

#[tokio::test]
async fn what_runs_store_in_sqlite_is_bounded_and_counted_through_crashes_and_deletions() {
    what_runs_store_is_bounded(Host::builder()).await;
}

#[tokio::test]
async fn what_runs_store_in_postgresql_is_bounded_and_counted_through_crashes_and_deletions() {
    what_runs_store_is_bounded(database().await).await;
}

#[tokio::test]
async fn what_workflows_log_is_bounded_by_tenant_and_the_log_says_how_much_is_missing() {
    const LINES: u32 = 300;
    let services = Services::start().await;
    let host = Host::start().await;
    let loud = tenant(&host, &services, "loud", json!({ "log_rate": 2_000 })).await;
    let other = tenant(&host, &services, "other", json!({})).await;
    let log = |line: &str| block![Statement::Repeat(LINES, vec![Statement::Log(line.to_owned())])];
    for (api, line) in [(&loud, "a loud line"), (&other, "a line of another tenant")] {
        let run = api.start_program(&services, log(line)).await;
        assert_eq!(api.settled(&run).await["status"], "completed");
    }
    let lines = |text: &str| host.log().lines().filter(|line| line.contains(text)).count();
    eventually("all lines are there", async || lines("a line of another tenant") == LINES as usize).await;
    let written = lines("a loud line");
    assert!((1..150).contains(&written), "{written}");
    let dropped = LINES as usize - written;
    eventually("the log says how many are missing", async || {
        let log = host.log();
        let said = log
            .lines()
            .filter_map(|line| line.split("`log_rate`: ").nth(1)?.split(' ').next()?.parse::<usize>().ok());
        said.sum::<usize>() == dropped
    })
    .await;
    let usage = loud.get("/_api/usage").await.ok();
    assert_eq!(usage["total"]["log_dropped"], json!(dropped), "{usage:#}");
    assert!(usage["total"]["log_bytes"].as_u64().unwrap() > 0);
    let usage = other.get("/_api/usage").await.ok();
    assert_eq!(usage["total"]["log_dropped"], json!(0), "{usage:#}");
}
