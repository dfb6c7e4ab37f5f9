//! Randomness of the attempts of a step.

use forge::prelude::*;
use forge::testing::{TestReport, TestResponse, TestRun};

/// Draws what requests contain, and what they must not share.
async fn send(ctx: &WorkflowContext) -> Result<()> {
    let body = json!({ "uuid": ctx.uuid(), "number": ctx.random(), "fresh": [ctx.fresh_uuid(), ctx.fresh_random()] });
    forge::http::post("http://pay").json(&body).send().await?.error_for_status()?;
    Ok(())
}

#[forge::workflow]
async fn pay(ctx: &WorkflowContext, nested: bool) -> Result<()> {
    let before = ctx.uuid();
    let charge = || async {
        if nested {
            ctx.step("first", || async { Ok(ctx.uuid()) }).run().await?;
            return ctx.step("inner", || send(ctx)).run().await;
        }
        send(ctx).await
    };
    ctx.step("charge", charge).retry(RetryPolicy::attempts(3)).run().await?;
    let other = ctx.step("other", || async { Ok(ctx.uuid()) }).run().await?;
    ensure!(before != other && other != ctx.uuid(), "each step has values of its own");
    Ok(())
}

#[forge::workflow]
async fn undo(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    let in_handler = ctx.clone();
    ctx.step("reserve", || async { Ok(ctx.uuid()) })
        .compensate(move |_| {
            let ctx = in_handler.clone();
            async move { send(&ctx).await }
        })
        .run()
        .await?;
    bail!("no")
}

fn run<W: ForgeWorkflow>(workflow: W, input: impl serde::Serialize) -> TestReport<W::Output> {
    let mut requests = 0;
    let respond = move |_: &_| {
        requests += 1;
        TestResponse::status(if requests < 3 { 503 } else { 200 })
    };
    TestRun::new(workflow).http(respond).run(input)
}

/// Checks the bodies of three attempts.
fn check<T: std::fmt::Debug>(run: &TestReport<T>) {
    let bodies: Vec<serde_json::Value> = run.requests.iter().map(|request| request.json()).collect();
    assert_eq!(bodies.len(), 3, "{run:?}");
    for body in &bodies[1..] {
        assert_eq!((&body["uuid"], &body["number"]), (&bodies[0]["uuid"], &bodies[0]["number"]));
        assert_ne!(body["fresh"][0], bodies[0]["fresh"][0]);
        assert_ne!(body["fresh"][1], bodies[0]["fresh"][1]);
    }
    assert_ne!(bodies[1]["fresh"], bodies[2]["fresh"]);
}

#[test]
fn each_attempt_of_a_step_draws_the_same_unless_it_asks_for_fresh_values() {
    let run = run(PayWorkflow, false);
    run.output();
    check(&run);
}

#[test]
fn so_does_a_nested_step_of_each_attempt() {
    let run = run(PayWorkflow, true);
    run.output();
    check(&run);
}

#[test]
fn so_does_each_attempt_of_a_compensation() {
    let run = run(UndoWorkflow, ());
    assert_eq!(run.compensations, ["reserve"]);
    check(&run);
}

#[forge::workflow]
async fn low_level(ctx: &WorkflowContext, _input: ()) -> Result<Vec<Uuid>> {
    if !ctx.is_step_completed("store") {
        ctx.record_step_start("store");
        ctx.step("in it", || async { Ok(()) }).run().await?;
        ctx.record_step_complete("store", json!(null));
    }
    Ok(vec![ctx.step("behind", || async { Ok(ctx.uuid()) }).run().await?, ctx.uuid()])
}

#[test]
fn a_low_level_step_that_a_replay_skips_changes_no_values_behind_it() {
    let live = TestRun::new(LowLevelWorkflow).run(());
    let replay = TestRun::new(LowLevelWorkflow).complete_step("store", json!(null)).run(());
    assert_eq!(live.output(), replay.output());
}
