//! The host's own life: stopping in time, and leaving runs to the next.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Statement, block, effect, step};
use forge_tests::{Host, Services, example};
use serde_json::json;

/// What the issue allows, and the time that a busy machine may need to say so.
const IN_TIME: Duration = Duration::from_secs(6);

#[tokio::test]
async fn sigterm_stops_the_host_in_time_and_leaves_runs_resumable() {
    let services = Services::start().await;
    let mut host = Host::with_interpreter().await;
    host.api().deploy(&example("onboarding")).await;
    let sleeping = json!({
        "services": services.url(), "user_id": "1", "email": "ada@example.com", "welcome_after_seconds": 2,
    });
    let sleeping = host.api().start("user_onboarding", sleeping).await;
    services.hold("/effects/held");
    let held = block![step("first", block![effect("first")]), step("held", block![effect("held")])];
    let waiting = host.api().start_program(&services, held).await;
    let computing = host.api().start_program(&services, block![step("spin", block![Statement::Spin])]).await;
    services.until_held("/effects/held").await;
    host.api().until_step(&sleeping, "step", "create_customer", "completed").await;

    let (status, took) = host.terminate().await;
    assert!(status.success() && took < IN_TIME, "{status} after {took:?}");
    services.release("/effects/held");
    host.restart().await;
    assert_eq!(host.api().settled(&waiting).await["status"], "completed");
    assert_eq!(host.api().settled(&sleeping).await["status"], "completed");
    let spun = host.api().settled(&computing).await;
    assert_eq!((&spun["status"], &spun["error_kind"]), (&json!("failed"), &json!("out-of-fuel")), "{spun:#}");
    assert_eq!(services.asked("first").len(), 1, "a completed step does not run again");
}

#[tokio::test]
async fn a_request_that_ends_while_the_host_stops_is_not_sent_again() {
    let services = Services::start().await;
    let mut host = Host::with_interpreter().await;
    services.delay("slow", 1, 1_000);
    let run = host.api().start_program(&services, block![step("slow", block![effect("slow")])]).await;
    services.until_asked("slow", 1).await;
    host.terminate().await;
    host.restart().await;
    assert_eq!(host.api().settled(&run).await["status"], "completed");
    assert_eq!(services.asked("slow").len(), 1);
}

#[tokio::test]
async fn a_paused_run_stays_paused_over_a_restart_until_it_is_resumed() {
    let services = Services::start().await;
    let mut host = Host::with_interpreter().await;
    services.hold("/effects/held");
    let run = host.api().start_program(&services, block![effect("held"), effect("after")]).await;
    services.until_held("/effects/held").await;
    host.api().pause(&run).await.ok();
    let record = host.api().record(&run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("operator")));
    services.release("/effects/held");
    host.kill();
    host.restart().await;
    assert_eq!(host.api().record(&run).await["status"], "paused");
    assert!(services.asked("after").is_empty());
    host.api().resume(&run).await.ok();
    assert_eq!(host.api().settled(&run).await["status"], "completed");
}
