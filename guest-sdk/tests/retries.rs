//! Retries that depend on what a service answers.

use std::cell::Cell;
use std::rc::Rc;

use forge::prelude::*;
use forge::testing::{TestRequest, TestResponse, TestRun};

async fn post(url: &str) -> Result<u64> {
    forge::http::post(url).timeout(Duration::from_secs(5)).send().await?.error_for_status()?.json()
}

#[forge::workflow]
async fn pay(ctx: &WorkflowContext, url: String) -> Result<u64> {
    ctx.step("charge", || post(&url)).retry(RetryPolicy::attempts(5)).run().await
}

/// Returns a service that takes 7 s for its first request, and refuses the same request meanwhile.
fn slow() -> impl FnMut(&TestRequest) -> TestResponse {
    let mut requests = 0;
    move |_| {
        requests += 1;
        match requests {
            1 => TestResponse::json(201, 17).after(Duration::from_secs(7)),
            2 => TestResponse::json(409, "in progress"),
            _ => TestResponse::json(201, 17),
        }
    }
}

#[test]
fn a_conflict_with_an_earlier_attempt_is_retried() {
    let run = TestRun::new(PayWorkflow).http(slow()).run("http://pay");
    assert_eq!((run.output(), run.step("charge").attempts), (&17, 3));
}

#[test]
fn a_conflict_with_nothing_that_was_sent_before_is_final() {
    for status in [409, 425] {
        let run = TestRun::new(PayWorkflow).http(move |_| TestResponse::status(status)).run("http://pay");
        assert_eq!((run.failure().retryable, run.step("charge").attempts), (false, 1));
    }
}

#[forge::workflow]
async fn nested(ctx: &WorkflowContext, url: String) -> Result<u64> {
    let order = || async { ctx.step("charge", || post(&url)).run().await };
    ctx.step("order", order).retry(RetryPolicy::attempts(5)).run().await
}

#[test]
fn a_nested_step_of_a_further_attempt_sends_the_same_request_again() {
    let run = TestRun::new(NestedWorkflow).http(slow()).run("http://pay");
    assert_eq!((run.output(), run.step("order").attempts), (&17, 3));
}

#[forge::workflow]
async fn own_key(ctx: &WorkflowContext, keys: Vec<String>) -> Result<()> {
    for key in keys {
        let post = || async {
            let request = forge::http::post("http://pay").idempotency_key(&key);
            request.timeout(Duration::from_secs(5)).send().await?.error_for_status()
        };
        let charge = || async { post().await.map(drop) };
        ctx.step("charge", charge).optional().run().await?;
    }
    Ok(())
}

#[test]
fn a_key_of_the_workflow_says_what_is_the_same_request() {
    let retryable = |keys: [&str; 2]| {
        let run = TestRun::new(OwnKeyWorkflow).http(slow()).run(keys);
        run.step("charge#2").error.clone().expect("it failed").retryable
    };
    assert!(retryable(["order-1", "order-1"]));
    assert!(!retryable(["order-1", "order-2"]));
}

#[forge::workflow]
async fn undo(ctx: &WorkflowContext, url: String) -> Result<()> {
    ctx.step("reserve", || async { Ok(()) })
        .compensate(move |()| {
            let url = url.clone();
            async move { post(&url).await }
        })
        .run()
        .await?;
    bail!("no")
}

#[test]
fn a_conflict_with_an_earlier_attempt_of_a_compensation_is_retried() {
    let run = TestRun::new(UndoWorkflow).http(slow()).run("http://pay");
    assert_eq!((run.compensations.as_slice(), run.requests.len()), (&["reserve".to_owned()][..], 3));
}

/// Returns the time that a run takes whose service first answers with this header.
fn waits<W>(workflow: W, header: &'static str) -> Duration
where
    W: ForgeWorkflow<Input = String>,
{
    let asked = Rc::new(Cell::new(false));
    let respond = move |_: &TestRequest| match asked.replace(true) {
        false => TestResponse::status(429).header("Retry-After", header),
        true => TestResponse::json(200, 17),
    };
    TestRun::new(workflow).http(respond).run("http://pay").elapsed
}

#[test]
fn a_further_attempt_waits_as_long_as_the_service_asks() {
    assert_eq!(waits(PayWorkflow, "30"), Duration::from_secs(30));
    assert_eq!(waits(NestedWorkflow, "30"), Duration::from_secs(30));
    assert_eq!(waits(UndoWorkflow, "30"), Duration::from_secs(30));
    // The run starts on 2025-01-01.
    assert_eq!(waits(PayWorkflow, "Wed, 01 Jan 2025 00:02:00 GMT"), Duration::from_secs(120));
}

#[test]
fn the_policy_sets_the_shortest_wait_and_the_host_the_longest_that_a_service_may_ask_for() {
    assert_eq!(waits(PayWorkflow, "0"), Duration::from_secs(1));
    assert_eq!(waits(PayWorkflow, "soon"), Duration::from_secs(1));
    assert_eq!(waits(PayWorkflow, "31536000"), Duration::from_secs(3_600));
}
