//! Parallel steps: scopes, races and dropped losers.

use forge::prelude::*;
// This crate also depends on `futures`. Authors' crates usually do not and need no such line.
use forge::futures;
use forge::testing::{StepStatus, TestResponse, TestRun};
use futures::future::ready;

async fn helper(path: &str) -> Result<String> {
    forge::http::get(format!("http://x/{path}/1")).send().await?;
    forge::http::get(format!("http://x/{path}/2")).send().await?.text()
}

#[forge::workflow]
async fn both(ctx: &WorkflowContext, _input: ()) -> Result<(String, String)> {
    futures::try_join!(
        ctx.step("a", || async { helper("a").await }).run(),
        ctx.step("b", || async { helper("b").await }).run(),
    )
}

#[test]
fn requests_of_a_helper_without_a_context_belong_to_its_step_also_in_a_join() {
    let run = TestRun::new(BothWorkflow).http(|_| TestResponse::text(200, "ok")).run(());
    for request in &run.requests {
        let step = request.step.as_deref().unwrap();
        assert!(request.url.starts_with(&format!("http://x/{step}/")), "{} by {step}", request.url);
    }
    assert_eq!(run.requests.len(), 4);
    // Both steps are under way at the same time.
    assert_eq!((run.requests[0].step.as_deref(), run.requests[1].step.as_deref()), (Some("a"), Some("b")));
}

#[test]
fn the_first_failure_of_a_try_join_drops_the_others() {
    let run = TestRun::new(BothWorkflow)
        .http(|request| {
            let seconds = if request.step.as_deref() == Some("a") { 5 } else { 1 };
            TestResponse::text(200, "ok").after(Duration::from_secs(seconds))
        })
        .fail_step("b", "no")
        .run(());
    assert_eq!((run.failure().message.as_str(), run.step("a").status), ("no", StepStatus::Skipped));
}

#[forge::workflow]
async fn race(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    let winner = select! {
        text = ctx.step("slow", || async { helper("slow").await }).run() => text?,
        text = ctx.step("quick", || async { helper("quick").await }).run() => text?
    };
    ctx.sleep(Duration::from_secs(60)).await;
    Ok(winner)
}

#[test]
fn the_loser_of_a_select_is_abandoned_and_its_call_cancelled() {
    let run = TestRun::new(RaceWorkflow)
        .http(|request| {
            let seconds = if request.url.contains("quick") { 1 } else { 10 };
            TestResponse::text(200, &request.url[9..]).after(Duration::from_secs(seconds))
        })
        .run(());
    assert_eq!(run.output(), "quick/2");
    assert_eq!(
        (run.step("slow").status, run.step("quick").status),
        (StepStatus::Skipped, StepStatus::Completed)
    );
    // The workflow did not wait for the loser: 1 s + 1 s + 60 s.
    assert_eq!((run.elapsed, run.requests.len()), (Duration::from_secs(62), 3));
}

#[forge::workflow]
async fn many(ctx: &WorkflowContext, seconds: Vec<u64>) -> Result<Vec<u64>> {
    let steps = seconds.into_iter().map(|seconds| {
        ctx.step("wait", move || async move {
            forge::sleep(Duration::from_secs(seconds)).await;
            Ok(seconds)
        })
        .run()
    });
    let mut steps: futures::stream::FuturesUnordered<_> = steps.collect();
    let mut order = Vec::new();
    while let Some(seconds) = steps.next().await {
        order.push(seconds?);
    }
    Ok(order)
}

#[test]
fn futures_unordered_yields_in_order_of_completion() {
    let run = TestRun::new(ManyWorkflow).run([3, 1, 2, 1]);
    assert_eq!((run.output().as_slice(), run.elapsed), (&[1, 1, 2, 3][..], Duration::from_secs(3)));
}

#[forge::workflow]
async fn ties(ctx: &WorkflowContext, _input: ()) -> Result<u32> {
    let mut first = 0;
    for _ in 0..50 {
        let (a, b) = (ctx.sleep(Duration::ZERO).map(|()| 1), ready(2));
        first += select! { n = a => n, n = b => { n } n = ready(3) => n, n = async { 4 } => n };
    }
    Ok(first)
}

#[test]
fn the_preludes_select_takes_the_first_ready_branch_in_order_of_appearance() {
    assert_eq!(*TestRun::new(TiesWorkflow).run(()).output(), 100);
}

#[forge::workflow]
async fn endless(_ctx: &WorkflowContext, _input: ()) -> Result<()> {
    futures::future::pending().await
}

#[test]
#[should_panic = "nothing will ever wake it"]
fn waiting_for_a_future_that_no_call_completes_panics() {
    TestRun::new(EndlessWorkflow).run(());
}

#[forge::workflow]
async fn limited(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    let step = ctx.step("ask", || async {
        tokio::time::timeout(Duration::from_secs(5), forge::http::get("http://x").send()).await??.text()
    });
    step.run().await
}

#[test]
fn an_elapsed_timeout_is_a_failure_of_kind_timeout() {
    let late = |_: &_| TestResponse::text(200, "late").after(Duration::from_secs(9));
    let run = TestRun::new(LimitedWorkflow).http(late).run(());
    assert_eq!(run.failure(), &Failure::new("timeout", "timed out after 5s"));
    assert_eq!(run.elapsed, Duration::from_secs(5));
}
