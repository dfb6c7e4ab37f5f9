//! Children: outcomes, handles and what becomes of them when their parent ends.

use forge::prelude::*;
use forge::testing::{ChildStatus, TestOutcome, TestReport, TestRun};

const SECOND: Duration = Duration::from_secs(1);

fn statuses<T>(run: &TestReport<T>) -> Vec<ChildStatus> {
    run.children.iter().map(|child| child.status).collect()
}

#[forge::workflow]
async fn ship(ctx: &WorkflowContext, sku: String) -> Result<String> {
    ctx.step("ship", || async { ctx.child("ship_order", &sku).version(2).timeout(60 * SECOND).run().await })
        .retry(RetryPolicy::attempts(3))
        .run()
        .await
}

#[test]
fn a_child_gets_its_input_and_its_parent_the_output() {
    let run = TestRun::new(ShipWorkflow)
        .child("ship_order", |child| TestOutcome::completed(child.input::<String>() + "-1").after(SECOND))
        .run("chair");
    assert_eq!((run.output().as_str(), run.elapsed), ("chair-1", SECOND));
    let child = &run.children[0];
    assert_eq!((child.workflow.as_str(), child.version), ("ship_order", Some(2)));
    assert_eq!((child.step.as_deref(), child.attached), (Some("ship"), true));
    assert_eq!((child.timeout, child.status), (Some(60 * SECOND), ChildStatus::Completed));
    assert_ne!(child.run_id, Uuid::nil());
}

#[test]
fn each_attempt_of_a_step_starts_a_new_child() {
    let mut left = 2;
    let run = TestRun::new(ShipWorkflow)
        .child("ship_order", move |_| {
            left -= 1;
            if left >= 0 { TestOutcome::failed("lost", "no parcel") } else { TestOutcome::completed("r") }
        })
        .run("chair");
    assert_eq!(run.output(), "r");
    assert_eq!(statuses(&run), [ChildStatus::Failed, ChildStatus::Failed, ChildStatus::Completed]);
    assert_ne!(run.children[0].run_id, run.children[1].run_id);
}

#[test]
fn the_failure_of_a_child_is_known_also_behind_a_step() {
    let run =
        TestRun::new(ShipWorkflow).child("ship_order", |_| TestOutcome::failed("lost", "no parcel")).run("x");
    let failure = run.failure();
    let child = failure.child().unwrap();
    assert_eq!(failure.kind, "child");
    assert_eq!(child.run_id, run.children[2].run_id);
    assert_eq!((child.kind.as_str(), child.message.as_str()), ("lost", "no parcel"));
}

#[test]
fn a_child_that_takes_too_long_fails_with_a_timeout() {
    let run = TestRun::new(ShipWorkflow)
        .child("ship_order", |_| TestOutcome::completed("r").after(61 * SECOND))
        .run("chair");
    assert_eq!(run.failure().child().unwrap().kind, "timeout");
    assert!(run.elapsed >= 180 * SECOND);
}

#[test]
fn a_workflow_that_no_test_has_an_outcome_for_is_not_started() {
    let run = TestRun::new(ShipWorkflow).run("chair");
    assert_eq!((run.failure().kind.as_str(), run.failure().child()), ("limit", None));
    assert!(run.failure().message.contains("set one with TestRun::child"), "{}", run.failure().message);
    assert_eq!(statuses(&run), [ChildStatus::Refused]);
}

#[test]
fn an_output_that_does_not_fit_fails_the_call() {
    let run = TestRun::new(ShipWorkflow).child("ship_order", |_| TestOutcome::completed(7)).run("chair");
    assert_eq!(run.failure().kind, "invalid-output");
    assert!(run.failure().message.contains("of `ship_order` is not a `String`"), "{}", run.failure().message);
}

#[forge::workflow]
async fn handle(ctx: &WorkflowContext, _input: ()) -> Result<(bool, u32, u32)> {
    let job = ctx.child("job", ()).start().await?;
    // The wait is dropped, the handle is not.
    let early = forge::time::timeout(SECOND, job.result::<u32>()).await.is_ok();
    let (a, b) = futures::try_join!(job.result(), async {
        ctx.sleep(SECOND).await;
        job.result().await
    })?;
    Ok((early, a, b))
}

#[test]
fn the_result_of_a_handle_can_be_awaited_repeatedly() {
    let run =
        TestRun::new(HandleWorkflow).child("job", |_| TestOutcome::completed(7).after(9 * SECOND)).run(());
    assert_eq!((run.output(), run.elapsed), (&(false, 7, 7), 9 * SECOND));
    assert_eq!(statuses(&run), [ChildStatus::Completed]);
}

#[forge::workflow]
async fn race(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    let winner = select! {
        winner = ctx.child("slow", ()).run::<String>() => winner?,
        winner = ctx.child("fast", ()).run::<String>() => winner?
    };
    ctx.sleep(60 * SECOND).await;
    Ok(winner)
}

#[test]
fn a_child_whose_handle_is_dropped_is_cancelled() {
    let run = TestRun::new(RaceWorkflow)
        .child("slow", |_| TestOutcome::completed("slow").after(2 * SECOND))
        .child("fast", |_| TestOutcome::completed("fast").after(SECOND))
        .run(());
    assert_eq!(run.output(), "fast");
    assert_eq!(statuses(&run), [ChildStatus::Cancelled, ChildStatus::Completed]);
}

#[forge::workflow]
async fn cancel(ctx: &WorkflowContext, _input: ()) -> Result<Failure> {
    let job = ctx.child("job", ()).start().await?;
    ctx.sleep(SECOND).await;
    job.cancel().await?;
    job.result::<()>().await.unwrap_err().downcast()
}

#[test]
fn a_child_that_is_cancelled_ends_with_the_kind_cancelled() {
    let run = TestRun::new(CancelWorkflow).child("job", |_| TestOutcome::never()).run(());
    let child = run.output().child().unwrap();
    assert_eq!((child.run_id, child.kind.as_str()), (run.children[0].run_id, "cancelled"));
    assert_eq!((statuses(&run), run.elapsed), (vec![ChildStatus::Cancelled], SECOND));
}

#[test]
fn a_child_that_has_ended_is_not_cancelled() {
    let run = TestRun::new(CancelWorkflow).child("job", |_| TestOutcome::failed("lost", "no parcel")).run(());
    assert_eq!(run.output().child().unwrap().kind, "lost");
    assert_eq!(statuses(&run), [ChildStatus::Failed]);
}

#[forge::workflow]
async fn family(ctx: &WorkflowContext, outcome: String) -> Result<()> {
    let in_handler = ctx.clone();
    ctx.step("audit", || async { ctx.start_workflow("audit", "begun").await })
        .compensate(move |audit: Uuid| {
            let ctx = in_handler.clone();
            async move {
                ctx.sleep(5 * SECOND).await;
                ctx.cancel_run(audit).await
            }
        })
        .run()
        .await?;
    ctx.start_workflow("log", ()).version(3).timeout(SECOND).await?;
    let _job = ctx.child("job", ()).start().await?;
    ctx.sleep(SECOND).await;
    ensure!(outcome == "ends", "no luck");
    Ok(())
}

#[test]
fn attached_children_are_cancelled_when_their_parent_ends_and_detached_ones_go_on() {
    let run = TestRun::new(FamilyWorkflow).child("job", |_| TestOutcome::never()).run("ends");
    assert_eq!(statuses(&run), [ChildStatus::Running, ChildStatus::Running, ChildStatus::Cancelled]);
    assert_eq!((run.children[1].version, run.children[1].timeout), (Some(3), Some(SECOND)));
    assert!(!run.children[1].attached);
}

#[test]
fn attached_children_are_cancelled_before_the_compensations_of_their_parent() {
    // The child would complete while the handler runs.
    let outcome = |_: &_| TestOutcome::completed(()).after(4 * SECOND);
    let failed = TestRun::new(FamilyWorkflow).child("job", outcome).run("fails");
    let cancelled =
        TestRun::new(FamilyWorkflow).child("job", outcome).cancel_at(Duration::from_millis(500)).run("ends");
    for run in [failed, cancelled] {
        assert_eq!(run.compensations, ["audit"]);
        assert_eq!(statuses(&run), [ChildStatus::Cancelled, ChildStatus::Running, ChildStatus::Cancelled]);
    }
}

#[forge::workflow]
async fn handler_with_a_handle(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    let job = std::rc::Rc::new(ctx.child("job", ()).start().await?);
    ctx.step("work", || async { Ok(()) })
        .compensate(move |()| {
            let job = job.clone();
            async move { job.cancel().await }
        })
        .run()
        .await?;
    bail!("no luck")
}

#[test]
fn a_handler_may_keep_the_handle_of_a_child_that_is_cancelled_before_it_runs() {
    let run = TestRun::new(HandlerWithAHandleWorkflow).child("job", |_| TestOutcome::never()).run(());
    assert_eq!(run.compensations, ["work"]);
    assert_eq!(statuses(&run), [ChildStatus::Cancelled]);
}

#[forge::workflow]
async fn stranger(ctx: &WorkflowContext, run: Uuid) -> Result<()> {
    ctx.cancel_run(run).await
}

#[test]
fn a_run_cancels_only_runs_that_it_has_started() {
    let run = TestRun::new(StrangerWorkflow).run(Uuid::nil());
    assert_eq!(run.failure().kind, "invalid-input");
    assert!(run.failure().message.contains("has not started run"), "{}", run.failure().message);
}
