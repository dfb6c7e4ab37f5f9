//! Services that are busy with a request, and say so when it is sent again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use forge_tests::program::{Block, Statement, block, effect, fail, step};
use forge_tests::{Host, HostBuilder, Services, component};
use serde_json::Value;

fn busy(name: &str, timeout: Option<u64>) -> Statement {
    Statement::Busy(name.to_owned(), timeout)
}

async fn host() -> Host {
    let compensations = Host::builder().flag(["--compensation-backoff", "50ms"]);
    deployed(compensations.flag(["--compensation-attempts", "100"])).await
}

async fn deployed(host: HostBuilder) -> Host {
    let host = host.start().await;
    host.api().deploy(&component("interpreter")).await;
    host
}

/// Runs a program whose service is asked three times before it has finished its work.
async fn completes_after_three_requests(body: Block) -> Value {
    let (host, services) = (host().await, Services::start().await);
    let run = host.api().start_program(&services, body).await;
    let keys = services.until_busy("pay", 3).await;
    services.open("pay");
    assert_eq!(keys[0], keys[2], "it is sent again with the same key");
    host.api().settled(&run).await
}

#[tokio::test]
async fn a_step_whose_earlier_attempt_is_in_progress_is_retried() {
    let pay = step("pay", block![busy("pay", Some(100))]).retry(100, 50);
    let record = completes_after_three_requests(block![pay]).await;
    assert_eq!(record["status"], "completed", "{record:#}");
}

#[tokio::test]
async fn a_nested_step_whose_earlier_attempt_is_in_progress_is_retried() {
    let pay = step("pay", block![busy("pay", Some(100))]);
    let record = completes_after_three_requests(block![step("order", block![pay]).retry(100, 50)]).await;
    assert_eq!(record["status"], "completed", "{record:#}");
}

#[tokio::test]
async fn a_compensation_whose_earlier_attempt_is_in_progress_is_retried() {
    let order = step("order", block![effect("order")]).undo(block![busy("pay", Some(100))]);
    let record = completes_after_three_requests(block![order, fail("no")]).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
}

#[tokio::test]
async fn a_request_that_was_under_way_in_a_crash_is_sent_until_its_service_has_finished() {
    let (mut host, services) = (host().await, Services::start().await);
    let run = host.api().start_program(&services, block![busy("pay", None)]).await;
    services.until_busy("pay", 1).await;
    host.kill();
    host.restart().await;
    services.until_busy("pay", 3).await;
    services.open("pay");
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
}

#[tokio::test]
async fn a_conflict_that_a_crash_left_in_doubt_is_retryable() {
    let (mut host, services) = (host().await, Services::start().await);
    // The timeout is shorter than the host's first wait, so the workflow gets the 409.
    let pay = step("pay", block![busy("pay", Some(900))]).retry(100, 50);
    let run = host.api().start_program(&services, block![pay]).await;
    services.until_busy("pay", 1).await;
    host.kill();
    host.restart().await;
    services.until_busy("pay", 3).await;
    services.open("pay");
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
}

#[tokio::test]
async fn a_further_attempt_waits_as_long_as_the_service_asks() {
    let (host, services) = (host().await, Services::start().await);
    let later = || block![Statement::Later("quota".to_owned(), 1)];
    let order = step("order", block![effect("order")]).undo(later());
    let nested = step("nested", block![step("inner", later())]).retry(2, 1);
    let body = block![order, step("pay", later()).retry(2, 1), nested, fail("no")];
    let begun = Instant::now();
    let run = host.api().start_program(&services, body).await;
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_service_cannot_make_a_run_wait_longer_than_the_limit() {
    let host = deployed(Host::builder().flag(["--max-retry-after", "100ms"])).await;
    let services = Services::start().await;
    let later = step("pay", block![Statement::Later("quota".to_owned(), 86_400)]).retry(2, 1);
    let run = host.api().start_program(&services, block![later]).await;
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
}
