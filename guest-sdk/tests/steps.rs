//! The fluent step API, through the public interface.

use std::cell::Cell;
use std::rc::Rc;

use forge::prelude::*;
use forge::testing::{StepStatus, TestResponse, TestRun};

#[forge::workflow]
async fn double(ctx: &WorkflowContext, n: u64) -> Result<u64> {
    ctx.step("double", || async { Ok(n * 2) }).run().await
}

#[test]
fn a_step_is_recorded_with_its_result() {
    let run = TestRun::new(DoubleWorkflow).run(21);
    assert_eq!(*run.output(), 42);
    let step = run.step("double");
    assert_eq!(
        (step.status, step.result.clone(), step.attempts),
        (StepStatus::Completed, Some(json!(42)), 1)
    );
}

#[test]
fn a_completed_step_is_not_executed_again() {
    let run = TestRun::new(DoubleWorkflow).complete_step("double", 7).run(21);
    assert_eq!((*run.output(), run.step("double").attempts), (7, 0));
}

#[test]
fn a_recorded_result_of_another_type_is_an_explained_failure() {
    let run = TestRun::new(DoubleWorkflow).complete_step("double", "seven").run(21);
    let failure = run.failure();
    assert_eq!(failure.kind, "invalid-output");
    assert!(failure.message.starts_with("the recorded result of step `double` is not a `u64`:"), "{failure}");
    assert!(!failure.retryable);
}

#[test]
fn input_that_does_not_fit_is_an_explained_failure() {
    let run = TestRun::new(DoubleWorkflow).run(json!({}));
    let failure = run.failure();
    assert_eq!(failure.kind, "invalid-input");
    assert!(
        failure.message.starts_with("input of `double` version 1 does not fit `u64`: invalid type"),
        "{failure}"
    );
    assert!(run.steps.is_empty());
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    price: f64,
}

#[forge::workflow]
async fn sum(_ctx: &WorkflowContext, lines: Vec<Line>) -> Result<f64> {
    Ok(lines.iter().map(|line| line.price).sum())
}

#[test]
fn the_value_of_an_input_that_does_not_fit_is_named_by_its_path() {
    let run = TestRun::new(SumWorkflow).run(json!([{"price": 1}, {"price": "two"}]));
    assert_eq!(
        run.failure().message,
        "input of `sum` version 1 does not fit `Vec<Line>`: `$[1].price`: invalid type: string \"two\", expected f64"
    );
}

#[forge::workflow]
async fn share(ctx: &WorkflowContext, n: f64) -> Result<f64> {
    ctx.step("share", || async { Ok(n) }).run().await
}

#[test]
fn a_replay_reads_exactly_the_number_that_a_step_returned() {
    for seed in 1..2_000u64 {
        let n = f64::from_bits(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        let live = TestRun::new(ShareWorkflow).run(n);
        let recorded = live.step("share").result.clone().unwrap();
        assert_eq!(TestRun::new(ShareWorkflow).complete_step("share", recorded).run(0.0).output(), &n);
    }
}

#[forge::workflow]
async fn repeat(ctx: &WorkflowContext, times: u64) -> Result<Vec<u64>> {
    let mut results = Vec::new();
    for n in 0..times {
        results.push(ctx.step("charge", || async move { Ok(n) }).await?);
    }
    Ok(results)
}

#[test]
fn a_name_used_again_gets_a_number() {
    let run = TestRun::new(RepeatWorkflow).run(3);
    let names: Vec<_> = run.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["charge", "charge#2", "charge#3"]);
    assert_eq!(*run.output(), [0, 1, 2]);
}

#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {}

#[forge::workflow]
async fn declined(ctx: &WorkflowContext, _input: ()) -> Result<bool> {
    let step = ctx.step("charge", || async { Err::<(), _>(Error::new(Declined).context("charging")) });
    let error = step.run().await.unwrap_err();
    assert_eq!(error.to_string(), "charging: declined");
    Ok(error.is::<Declined>())
}

#[test]
fn the_error_of_a_step_is_what_a_replay_would_see() {
    let run = TestRun::new(DeclinedWorkflow).run(());
    assert!(!run.output(), "the author's own type must not be seen: a replay could not bring it back");
    assert_eq!(run.step("charge").error, Some(Failure::new("error", "charging: declined")));
}

#[forge::workflow]
async fn retried(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    ctx.step("ask", || async { forge::http::get("http://a").send().await?.error_for_status()?.text() })
        .retry(RetryPolicy::attempts(4).backoff(Duration::from_secs(1)).max_backoff(Duration::from_secs(3)))
        .run()
        .await
}

#[test]
fn a_failed_attempt_is_retried_after_waits_that_double() {
    let calls = Rc::new(Cell::new(0));
    let counted = calls.clone();
    let run = TestRun::new(RetriedWorkflow)
        .http(move |_| {
            counted.set(counted.get() + 1);
            if counted.get() < 4 { TestResponse::status(503) } else { TestResponse::text(200, "at last") }
        })
        .run(());
    assert_eq!(run.output(), "at last");
    // 1 s, 2 s, and 3 s instead of 4.
    assert_eq!((run.elapsed, run.step("ask").attempts, calls.get()), (Duration::from_secs(6), 4, 4));
}

#[test]
fn retries_end_with_the_policy() {
    let run = TestRun::new(RetriedWorkflow).http(|_| TestResponse::text(503, "busy")).run(());
    assert_eq!(run.failure().message, "GET http://a answered 503 Service Unavailable: busy");
    assert_eq!((run.step("ask").attempts, run.step("ask").status), (4, StepStatus::Failed));
}

#[test]
fn a_failure_that_is_not_retryable_ends_the_step_at_once() {
    let run = TestRun::new(RetriedWorkflow).http(|_| TestResponse::status(404)).run(());
    assert_eq!((run.step("ask").attempts, run.elapsed), (1, Duration::ZERO));
}

#[test]
fn injected_failures_count_as_attempts() {
    let run = TestRun::new(RetriedWorkflow)
        .fail_attempts("ask", 2, "the network is down")
        .http(|_| TestResponse::text(200, "ok"))
        .run(());
    assert_eq!((run.output().as_str(), run.step("ask").attempts, run.requests.len()), ("ok", 3, 1));
}

#[forge::workflow]
async fn slow(ctx: &WorkflowContext, seconds: u64) -> Result<&'static str> {
    let step = ctx.step("wait", || async {
        forge::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    });
    step.timeout(Duration::from_secs(30)).run().await?;
    Ok("in time")
}

#[test]
fn a_step_that_is_late_times_out() {
    let run = TestRun::new(SlowWorkflow).run(60);
    let failure = run.failure();
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        ("timeout", "step `wait` timed out after 30s")
    );
    assert!(failure.retryable && failure.is_timeout());
    assert_eq!(run.elapsed, Duration::from_secs(30));
}

#[test]
fn a_step_that_is_in_time_leaves_no_deadline_behind() {
    let run = TestRun::new(SlowWorkflow).run(10);
    assert_eq!((*run.output(), run.elapsed), ("in time", Duration::from_secs(10)));
}

#[forge::workflow]
async fn optional(ctx: &WorkflowContext, _input: ()) -> Result<Option<u64>> {
    ctx.step("extra", || async { Ok(1) }).optional().run().await
}

#[test]
fn a_failed_optional_step_is_none_and_recorded() {
    let run = TestRun::new(OptionalWorkflow).fail_step("extra", "no luck").run(());
    assert_eq!(*run.output(), None);
    assert_eq!(run.step("extra").status, StepStatus::Failed);
    assert_eq!(*TestRun::new(OptionalWorkflow).run(()).output(), Some(1));
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Unwritable(#[serde(serialize_with = "refuse")] u8);

fn refuse<S: serde::Serializer>(_: &u8, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("never"))
}

#[forge::workflow]
async fn unwritable(ctx: &WorkflowContext, in_step: bool) -> Result<Unwritable> {
    match in_step {
        true => ctx.step("make", || async { Ok(Unwritable(1)) }).run().await,
        false => Ok(Unwritable(1)),
    }
}

#[test]
fn results_that_cannot_be_written_are_explained() {
    let step = TestRun::new(UnwritableWorkflow).run(true);
    let message = "the result of step `make`, a `Unwritable`, cannot be written as JSON: never";
    assert_eq!(step.failure(), &Failure::new("invalid-output", message).not_retryable());
    let output = TestRun::new(UnwritableWorkflow).run(false);
    let message = "the output of `unwritable`, a `Unwritable`, cannot be written as JSON: never";
    assert_eq!(output.failure(), &Failure::new("invalid-output", message).not_retryable());
}

#[forge::workflow]
async fn own_error(_ctx: &WorkflowContext, _input: ()) -> Result<(), Failure> {
    Err(Failure::new("declined", "no"))
}

#[test]
fn a_workflow_may_have_an_error_type_of_its_own() {
    assert_eq!(TestRun::new(OwnErrorWorkflow).run(()).failure().kind, "declined");
}

#[forge::workflow]
async fn large(ctx: &WorkflowContext, bytes: usize) -> Result<String> {
    let text = || async { Ok("x".repeat(bytes)) };
    let step = ctx.step("text", text).retry(RetryPolicy::attempts(3)).compensate(|_| async { Ok(()) });
    match step.run().await {
        Ok(text) => Ok(format!("{} bytes", text.len())),
        Err(error) => Ok(format!("{error}")),
    }
}

#[test]
fn a_result_that_is_too_large_is_the_failure_of_its_step() {
    // Two more bytes are the quotation marks.
    let run = TestRun::new(LargeWorkflow).run((1 << 20) - 2);
    assert_eq!(run.output(), "1048574 bytes");
    let run = TestRun::new(LargeWorkflow).run(1 << 20);
    assert!(
        run.output().contains("has 1048578 bytes; the most is 1048576 (payload_bytes)"),
        "{}",
        run.output()
    );
    let (step, failure) = (run.step("text"), run.step("text").error.as_ref().unwrap());
    assert_eq!((step.attempts, step.status), (1, StepStatus::Failed));
    assert_eq!((failure.kind.as_str(), failure.retryable), ("limit", false));
}

#[forge::workflow]
async fn download(ctx: &WorkflowContext, url: String) -> Result<bool> {
    let bytes = || async { Ok(forge::http::get(&url).send().await?.bytes().len()) };
    Ok(ctx.step("download", bytes).optional().run().await?.is_some())
}

#[test]
fn a_response_that_is_too_large_is_the_failure_of_its_request() {
    for (bytes, arrives) in [(4 << 20, true), ((4 << 20) + 1, false)] {
        let respond = move |_: &_| TestResponse::text(200, "x".repeat(bytes));
        assert_eq!(*TestRun::new(DownloadWorkflow).http(respond).run("http://x").output(), arrives);
    }
}

#[forge::workflow]
async fn average(ctx: &WorkflowContext, zero: f64) -> Result<f64> {
    let divide = || async { Ok(vec![1.0, zero * f64::INFINITY]) };
    let step = ctx.step("divide", divide).retry(RetryPolicy::attempts(3)).compensate(|_| async { Ok(()) });
    Ok(step.run().await?[0])
}

#[test]
fn a_result_that_a_replay_would_not_read_fails_the_step_with_its_path() {
    let run = TestRun::new(AverageWorkflow).run(0.0);
    let failure = run.failure();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("invalid-output", false));
    let begin = "the result of step `divide`, a `Vec<f64>`, changes when it is written as JSON and read again, as a \
                 replay does: at `$[1]`, invalid type: null, expected f64";
    assert!(failure.message.starts_with(begin), "{failure}");
    assert!(failure.message.contains("The effect of the step stands"), "{failure}");
    assert_eq!((run.step("divide").attempts, run.compensations.len()), (1, 0));
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Cached {
    id: u8,
    #[serde(skip)]
    cache: Option<u8>,
}

#[forge::workflow]
async fn cached(ctx: &WorkflowContext, log: Vec<u8>) -> Result<Option<u8>> {
    drop(log);
    let found = || async { Ok(Cached { id: 1, cache: Some(2) }) };
    let undo = |found: Cached| async move {
        tracing::info!("undo {found:?}");
        Ok(())
    };
    let live = ctx.step("find", found).compensate(undo).run().await?;
    tracing::info!("live {live:?}");
    let again: Cached = ctx.get_step_result("find").context("it is recorded")?;
    ensure!(live == again, "a replay sees {again:?}");
    bail!("no")
}

#[test]
fn the_workflow_and_the_handler_get_the_value_that_a_replay_reads() {
    let run = TestRun::new(CachedWorkflow).run(Vec::<u8>::new());
    assert_eq!(run.failure().message, "no");
    let lines: Vec<_> = run.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["live Cached { id: 1, cache: None }", "undo Cached { id: 1, cache: None }"]);
}
