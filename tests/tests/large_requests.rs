//! Requests that are larger than the host allows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Statement, block, effect, fail, gate, step};
use forge_tests::{Host, HostBuilder, Services, component};
use serde_json::json;

async fn deployed(host: HostBuilder) -> Host {
    let host = host.start().await;
    host.api().deploy(&component("interpreter")).await;
    host
}

#[tokio::test]
async fn a_request_that_is_too_large_is_the_failure_of_its_step_and_nothing_is_sent() {
    // The first is passed to the host, the other is larger than what the host reads.
    for bytes in [1_100_000, 9_000_000] {
        let (mut host, services) = (deployed(Host::builder()).await, Services::start().await);
        let large = || block![Statement::Large("large".to_owned(), bytes)];
        let tried = Statement::Try(block![step("tried", large()).retry(3, 1)]);
        let optional = step("optional", large()).optional();
        let body = block![tried, optional, Statement::Try(large()), gate("end")];
        let run = host.api().start_program(&services, body).await;
        services.until_asked("end", 1).await;
        // The replay does not depend on the limit of today.
        host.kill();
        let higher = Host::builder().flag(["--payload-size", "32MiB"]).folder(host.into_folder());
        let host = higher.start().await;
        services.until_asked("end", 2).await;
        services.open("end");
        let record = host.api().settled(&run).await;
        assert_eq!(
            (&record["status"], &record["in_doubt"]),
            (&json!("completed"), &json!(null)),
            "{record:#}"
        );
        assert!(services.asked("large").is_empty());
        let tried = host.api().step(&run, "step", "tried").await;
        assert_eq!(
            (&tried["attempt"], tried["error_kind"].as_str()),
            (&json!(1), Some("limit")),
            "{tried:#}"
        );
        assert!(tried["error"].as_str().unwrap().contains("Nothing was sent"), "{tried:#}");
    }
}

#[tokio::test]
async fn a_compensation_whose_request_is_too_large_fails_and_the_other_handlers_run() {
    let host = deployed(Host::builder()).await;
    let services = Services::start().await;
    let undo = block![Statement::Large("large".to_owned(), 2_000_000)];
    let first = step("first", block![effect("first")]).undo(block![effect("undo-first")]);
    let body = block![first, step("second", block![effect("second")]).undo(undo), fail("no")];
    let run = host.api().start_program(&services, body).await;
    let record = host.api().settled(&run).await;
    assert_eq!(record["not_compensated"], json!(["second"]), "{record:#}");
    assert_eq!(services.asked("undo-first").len(), 1);
    assert!(record["in_doubt"].is_null(), "{record:#}");
}
