//! What is asked of a run while its guest computes: it is done, and whoever asked is told what came of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Api, Host, Services, component};
use futures::future::join_all;
use tokio::task::JoinHandle;

/// Computes for some seconds, and says little of it.
fn busy() -> Statement {
    let looks = Statement::Repeat(100_000, block![Statement::Lookup("busy".to_owned())]);
    Statement::Repeat(4, block![Statement::Try(block![looks, fail("that is all")])])
}

/// A host whose workflows may compute for so long, and send one request at a time.
async fn host() -> Host {
    let host = Host::builder().flag(["--fuel", "100G"]).flag(["--http-requests", "1"]).start().await;
    host.api().deploy(&component("interpreter")).await;
    host
}

/// Asks something of a run once its guest computes, which has not been answered when it goes on computing.
async fn ask<F>(api: &Api, run: &str, ask: impl FnOnce(Api, String) -> F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    api.until_step(run, "step", "busy", "running").await;
    let asking = tokio::spawn(ask(api.clone(), run.to_owned()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        api.step(run, "step", "busy").await["status"],
        "running",
        "the guest computes for too short a time"
    );
    assert!(!asking.is_finished(), "it is answered although the guest computes");
    asking
}

#[tokio::test]
async fn a_pause_that_comes_too_late_is_told_so() {
    let (host, services) = (host().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![step("busy", block![busy()])]).await;
    let pausing = ask(&api, &run, |api, run| async move { api.pause(&run).await }).await;
    let (code, message) = pausing.await.unwrap().refused(409);
    assert_eq!(code, "conflict", "{message}");
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{}", record["error"]);
}

#[tokio::test]
async fn all_who_pause_a_run_that_computes_are_answered() {
    let (host, services) = (host().await, Services::start().await);
    let api = host.api();
    let body = block![step("busy", block![busy()]), effect("after")];
    let run = api.start_program(&services, body).await;
    let all = |api: Api, run: String| async move { join_all((0..3).map(|_| api.pause(&run))).await };
    for answer in ask(&api, &run, all).await.await.unwrap() {
        answer.ok();
    }
    assert_eq!(api.record(&run).await["status"], "paused");
    assert!(services.asked("after").is_empty());
    api.resume(&run).await.ok();
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{}", record["error"]);
    assert_eq!(services.performed(), ["after"]);
}

#[tokio::test]
async fn a_request_that_has_not_left_when_a_cancel_takes_effect_does_not_leave() {
    let (host, services) = (host().await, Services::start().await);
    let api = host.api();
    let both = Statement::Join(vec![
        // Later than the other run asks for the place.
        block![Statement::Sleep(50), effect("late")],
        block![step("busy", block![Statement::Sleep(100), busy()])],
    ]);
    let run = api.start_program(&services, block![reversible("one"), gate("ready"), both]).await;
    services.until_asked("ready", 1).await;
    // It has the only place for a request as soon as that is free.
    let other = api.start_program(&services, block![gate("hold")]).await;
    api.until_step(&other, "http", &format!("POST {}/gate/hold", services.url()), "running").await;
    services.open("ready");
    services.until_asked("hold", 1).await;
    // From then on the guest does not wait for anything until that step's end.
    api.until_step(&run, "sleep", "100ms", "completed").await;
    ask(&api, &run, |api, run| async move { api.cancel(&run).await }).await.await.unwrap().ok();
    services.open("hold");
    assert_eq!(api.settled(&run).await["status"], "compensated");
    assert_eq!(api.settled(&other).await["status"], "completed");
    assert!(services.asked("late").is_empty(), "a request left after the cancel was acknowledged");
}
