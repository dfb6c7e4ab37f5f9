//! Compensation, through the public interface.

use forge::prelude::*;
// This crate also depends on `futures`. Authors' crates usually do not and need no such line.
use forge::futures;
use forge::testing::{StepStatus, TestResponse, TestRun};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Made {
    id: String,
}

async fn make(what: &str) -> Result<Made> {
    let answer = forge::http::post(format!("http://x/{what}")).send().await?.error_for_status()?;
    Ok(Made { id: answer.text()? })
}

async fn unmake(made: Made) -> Result<()> {
    forge::http::delete(format!("http://x/{}", made.id)).send().await?.error_for_status()?;
    Ok(())
}

#[forge::workflow]
async fn build(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    for part in ["a", "b", "c"] {
        ctx.step(part, || async { make(part).await })
            .compensate(|made| async move { unmake(made).await })
            .run()
            .await?;
    }
    ctx.step("last", || async { Ok(()) }).run().await
}

fn run() -> TestRun<BuildWorkflow> {
    TestRun::new(BuildWorkflow).http(|request| match request.method.as_str() {
        "POST" => TestResponse::text(200, format!("made-{}", &request.url[9..])),
        _ => TestResponse::status(204),
    })
}

#[test]
fn an_error_rolls_back_in_reverse_order_with_each_steps_result() {
    let run = run().fail_step("last", "no").run(());
    assert_eq!(run.failure().message, "no");
    assert_eq!(run.compensations, ["c", "b", "a"]);
    let deleted: Vec<_> =
        run.requests[3..].iter().map(|r| (r.step.as_deref().unwrap(), r.url.as_str())).collect();
    assert_eq!(deleted, [("c", "http://x/made-c"), ("b", "http://x/made-b"), ("a", "http://x/made-a")]);
    assert_eq!(run.step("a").status, StepStatus::Compensated);
}

#[test]
fn success_compensates_nothing() {
    assert!(run().run(()).compensations.is_empty());
}

#[test]
fn steps_completed_before_a_restart_are_compensated_too() {
    let run = run().complete_step("a", json!({"id": "old"})).fail_step("b", "no").run(());
    assert_eq!(run.compensations, ["a"]);
    assert_eq!(run.requests[0].url, "http://x/old");
}

#[test]
fn a_cancellation_between_steps_rolls_back_and_runs_no_more_of_the_body() {
    let run = run().cancel_after(2).run(());
    assert_eq!(run.failure().kind, "cancelled");
    assert_eq!(run.compensations, ["b", "a"]);
    assert!(run.steps.iter().all(|step| step.name != "c"), "the body went on");
}

#[test]
fn a_cancellation_during_a_call_rolls_back() {
    let run = TestRun::new(BuildWorkflow)
        .http(|request| {
            let after = Duration::from_secs(if request.url.ends_with("/b") { 10 } else { 1 });
            TestResponse::text(200, "id").after(after)
        })
        .cancel_at(Duration::from_secs(5))
        .run(());
    assert_eq!((run.failure().kind.as_str(), run.elapsed), ("cancelled", Duration::from_secs(6)));
    assert_eq!(
        (run.compensations.as_slice(), run.step("b").status),
        (&["a".to_string()][..], StepStatus::Running)
    );
}

#[forge::workflow]
#[timeout = "1m"]
async fn sleepy(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    ctx.step("a", || async { Ok(1) }).compensate(|_| async { Ok(()) }).run().await?;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Ok(())
}

#[test]
fn the_timeout_of_the_run_rolls_back() {
    let run = TestRun::new(SleepyWorkflow).run(());
    assert_eq!(run.failure().message, "`sleepy` timed out after 60s");
    assert_eq!(
        (run.compensations.as_slice(), run.elapsed),
        (&["a".to_string()][..], Duration::from_secs(60))
    );
}

#[test]
fn a_handler_that_fails_is_retried_and_then_reported_and_the_others_run() {
    let run = TestRun::new(BuildWorkflow)
        .http(|request| match (request.method.as_str(), request.url.as_str()) {
            ("POST", url) => TestResponse::text(200, &url[9..]),
            (_, "http://x/b") => TestResponse::status(500),
            _ => TestResponse::status(204),
        })
        .fail_step("last", "no")
        .run(());
    assert_eq!(run.compensations, ["c", "a"]);
    let failed = run.step("b");
    assert_eq!(failed.status, StepStatus::Completed);
    assert_eq!(
        failed.compensation_error.as_ref().unwrap().message,
        "DELETE http://x/b answered 500 Internal Server Error"
    );
    assert_eq!(run.requests.iter().filter(|r| r.method == "DELETE" && r.url.ends_with("/b")).count(), 5);
    assert_eq!(run.failure().message, "no", "the run's failure stays the reason, not the handler's");
}

#[test]
fn a_result_that_a_handler_cannot_read_fails_the_compensation() {
    let run = run().complete_step("a", "not an object").run(());
    // The workflow could not read the result either, which began the compensation.
    assert_eq!(run.failure().kind, "invalid-output");
    let error = run.step("a").compensation_error.clone().unwrap();
    assert!(error.message.starts_with("the recorded result of step `a` is not a `Made`"), "{error}");
}

#[forge::workflow]
async fn by_hand(ctx: &WorkflowContext, fail_after: bool) -> Result<String> {
    ctx.step("a", || async { make("a").await }).compensate(unmake).run().await?;
    let rolled_back = ctx.run_compensation().await;
    ctx.step("b", || async { make("b").await }).compensate(unmake).run().await?;
    ensure!(!fail_after, "after all");
    Ok(match rolled_back {
        Ok(()) => "rolled back".into(),
        Err(error) => format!("{error:#}"),
    })
}

#[test]
fn run_compensation_runs_and_unregisters_the_handlers_so_far() {
    let http = |request: &forge::testing::TestRequest| TestResponse::text(200, &request.url[9..]);
    let run = TestRun::new(ByHandWorkflow).http(http).run(false);
    assert_eq!(
        (run.output().as_str(), run.compensations.as_slice()),
        ("rolled back", &["a".to_string()][..])
    );
    let run = TestRun::new(ByHandWorkflow).http(http).run(true);
    assert_eq!(run.compensations, ["a", "b"], "each is compensated once");
}

#[test]
fn run_compensation_reports_a_handler_that_has_no_attempt_left() {
    let run = TestRun::new(ByHandWorkflow)
        .http(|request| TestResponse::text(if request.method == "DELETE" { 404 } else { 200 }, "a"))
        .run(false);
    assert_eq!(run.output(), "DELETE http://x/a answered 404 Not Found: a");
}

#[test]
fn an_unwinding_that_interrupts_run_compensation_begins_that_handler_again() {
    let run = TestRun::new(ByHandWorkflow)
        .http(|request| {
            let seconds = if request.method == "DELETE" { 10 } else { 1 };
            TestResponse::text(200, &request.url[9..]).after(Duration::from_secs(seconds))
        })
        .cancel_at(Duration::from_secs(5))
        .run(false);
    assert_eq!(
        (run.compensations.as_slice(), run.elapsed),
        (&["a".to_string()][..], Duration::from_secs(15))
    );
    assert_eq!(run.steps.len(), 1, "the body went on");
}

#[forge::workflow]
async fn order_of_completion(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    let step = |name: &'static str, seconds| {
        ctx.step(name, move || async move {
            forge::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        })
        .compensate(|()| async { Ok(()) })
        .run()
    };
    let _ = futures::join!(step("slow", 3), step("fast", 1), step("middle", 2));
    bail!("no")
}

#[test]
fn parallel_steps_are_compensated_in_reverse_order_of_their_completion() {
    let run = TestRun::new(OrderOfCompletionWorkflow).run(());
    assert_eq!(run.compensations, ["slow", "middle", "fast"]);
}

#[forge::workflow]
async fn racing(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    let pure = ctx.step("pure", || async { Ok(()) }).compensate(|()| async { Ok(()) }).run();
    let other = async {
        ctx.step("other", || async { forge::http::get("http://x").send().await }.map_ok_text()).run().await
    };
    let _ = futures::join!(pure, other);
    bail!("not reached when cancelled")
}

trait MapOkText {
    async fn map_ok_text(self) -> Result<String>;
}

impl<F: Future<Output = Result<Response>>> MapOkText for F {
    async fn map_ok_text(self) -> Result<String> {
        self.await?.text()
    }
}

#[test]
fn a_sibling_polled_after_the_unwinding_began_submits_nothing() {
    let run = TestRun::new(RacingWorkflow).cancel_after(1).run(());
    assert_eq!(run.compensations, ["pure"]);
    assert_eq!((run.steps.len(), run.requests.len()), (1, 0));
}

#[forge::workflow]
async fn impatient(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    for part in ["a", "b"] {
        ctx.step(part, || async { make(part).await })
            .compensate(|made| async move { unmake(made).await })
            .run()
            .await?;
    }
    // The timeout ends in the middle of a handler.
    let hurried = ctx.step("hurried", || ctx.run_compensation()).timeout(Duration::from_secs(1)).run().await;
    let (one, other) = futures::join!(ctx.run_compensation(), ctx.run_compensation());
    one.and(other)?;
    Ok(hurried.unwrap_err().to_string())
}

#[test]
fn compensations_continue_when_run_compensation_is_dropped_and_run_once_for_several_callers() {
    let run = TestRun::new(ImpatientWorkflow)
        .http(|request| match request.method.as_str() {
            "POST" => TestResponse::text(200, format!("made-{}", &request.url[9..])),
            _ => TestResponse::status(204).after(Duration::from_secs(3)),
        })
        .run(());
    assert!(run.output().contains("timed out"), "{}", run.output());
    let deleted: Vec<_> = run.requests[2..].iter().map(|request| request.url.as_str()).collect();
    assert_eq!(deleted, ["http://x/made-b", "http://x/made-a"]);
    assert_eq!(run.compensations, ["b", "a"]);
}

#[forge::workflow]
async fn there_and_back(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    let helper = ctx.clone();
    ctx.step("there", || async { make("there").await })
        .compensate(move |made| {
            let ctx = helper.clone();
            async move {
                let inner = || async { unmake(made).await };
                ctx.step("back", inner)
                    .compensate(|()| async { unmake(Made { id: "again".into() }).await })
                    .run()
                    .await?;
                ctx.run_compensation().await.unwrap_err();
                Ok(())
            }
        })
        .run()
        .await?;
    Err(Error::msg("no"))
}

#[test]
fn steps_of_a_handler_are_not_compensated_and_it_cannot_run_the_compensations() {
    let run = TestRun::new(ThereAndBackWorkflow).http(|_| TestResponse::text(200, "made")).run(());
    assert_eq!(run.compensations, ["there"]);
    assert_eq!(run.requests.len(), 2, "{:?}", run.requests);
    assert_eq!(run.step("there").status, StepStatus::Compensated);
}
