//! Events: kept until they are received, in order, once.

use forge::prelude::*;
use forge::testing::{TestEvent, TestOutcome, TestRun};
use std::cell::Cell;

const SECOND: Duration = Duration::from_secs(1);

#[forge::workflow]
async fn three(ctx: &WorkflowContext, _input: ()) -> Result<Vec<u32>> {
    ctx.sleep(10 * SECOND).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(ctx.event("number").recv().await?);
    }
    Ok(numbers)
}

#[test]
fn events_that_come_before_the_run_waits_are_kept_in_order() {
    let run = TestRun::new(ThreeWorkflow)
        .event(TestEvent::new("number", 3).after(20 * SECOND))
        .event(TestEvent::new("number", 1))
        .event(TestEvent::new("other", "kept"))
        .event(TestEvent::new("number", 2).after(5 * SECOND))
        .run(());
    assert_eq!(run.output(), &[1, 2, 3]);
    assert_eq!(run.elapsed, 20 * SECOND);
    assert_eq!(run.unreceived, [TestEvent::new("other", "kept")]);
}

#[test]
fn the_same_key_twice_is_one_event_and_another_name_is_another_one() {
    let run = TestRun::new(ThreeWorkflow)
        .event(TestEvent::new("number", 1).key("a"))
        .event(TestEvent::new("number", 7).key("a").after(15 * SECOND))
        .event(TestEvent::new("other", 7).key("a"))
        .event(TestEvent::new("number", 2).key("b"))
        .event(TestEvent::new("number", 3))
        .event(TestEvent::new("number", 4))
        .run(());
    assert_eq!(run.output(), &[1, 2, 3]);
    let unreceived: Vec<_> = run.unreceived.iter().map(|event| event.payload.as_str()).collect();
    assert_eq!(unreceived, ["7", "4"]);
}

#[test]
fn a_run_that_waits_for_an_event_that_nobody_sends_times_out() {
    let run = TestRun::new(ThreeWorkflow).event(TestEvent::new("number", 1)).run(());
    assert!(run.failure().is_timeout());
    assert_eq!(run.elapsed, Duration::from_secs(24 * 3_600));
}

#[forge::workflow]
async fn twice(ctx: &WorkflowContext, _input: ()) -> Result<(Option<u32>, u32)> {
    let first = ctx.event("number").timeout(5 * SECOND).recv().await;
    let second = ctx.event("number").recv().await?;
    match first {
        Ok(first) => Ok((Some(first), second)),
        Err(error) if error.downcast_ref().is_some_and(Failure::is_timeout) => Ok((None, second)),
        Err(error) => Err(error),
    }
}

#[test]
fn an_event_after_a_timeout_is_for_the_next_call() {
    let run = TestRun::new(TwiceWorkflow).event(TestEvent::new("number", 1).after(6 * SECOND)).run(());
    assert_eq!((run.output(), run.elapsed), (&(None, 1), 6 * SECOND));
}

#[test]
fn an_event_at_the_end_of_a_timeout_is_not_lost() {
    let run = TestRun::new(TwiceWorkflow)
        .event(TestEvent::new("number", 1).after(5 * SECOND))
        .event(TestEvent::new("number", 2).after(7 * SECOND))
        .run(());
    assert_eq!(run.output(), &(Some(1), 2));
}

#[forge::workflow]
async fn drain(ctx: &WorkflowContext, _input: ()) -> Result<(Vec<u32>, DateTime<Utc>)> {
    ctx.sleep(SECOND).await;
    let mut numbers = Vec::new();
    while let Some(number) = ctx.event("number").timeout(60 * SECOND).try_recv().await? {
        numbers.push(number);
    }
    Ok((numbers, ctx.workflow_time()))
}

#[test]
fn try_recv_takes_what_is_there_and_does_not_wait() {
    let run = TestRun::new(DrainWorkflow)
        .event(TestEvent::new("number", 1))
        .event(TestEvent::new("number", 2).after(SECOND))
        .event(TestEvent::new("number", 3).after(2 * SECOND))
        .run(());
    assert_eq!(run.output().0, [1, 2]);
    assert_eq!(run.elapsed, SECOND);
}

#[forge::workflow]
async fn race(ctx: &WorkflowContext, _input: ()) -> Result<(bool, u32)> {
    let won = select! {
        () = ctx.sleep(5 * SECOND) => false,
        number = ctx.event("number").recv::<u32>() => number? == 1
    };
    Ok((won, ctx.event("number").recv().await?))
}

#[test]
fn an_event_of_a_dropped_wait_is_for_the_next_call() {
    let run = TestRun::new(RaceWorkflow)
        .event(TestEvent::new("number", 1).after(5 * SECOND))
        .event(TestEvent::new("number", 2).after(5 * SECOND))
        .run(());
    assert_eq!(run.output(), &(false, 1));
    assert_eq!(run.unreceived.len(), 1);
}

#[forge::workflow]
async fn two_waits(ctx: &WorkflowContext, _input: ()) -> Result<(u32, u32)> {
    let receive = || ctx.event("number").recv();
    futures::try_join!(receive(), receive())
}

#[test]
fn calls_that_wait_for_one_name_get_events_in_the_order_of_the_calls() {
    let run = TestRun::new(TwoWaitsWorkflow)
        .event(TestEvent::new("number", 1).after(SECOND))
        .event(TestEvent::new("number", 2).after(2 * SECOND))
        .run(());
    assert_eq!(run.output(), &(1, 2));
}

#[forge::workflow]
async fn talk_to_itself(ctx: &WorkflowContext, _input: ()) -> Result<Vec<u32>> {
    let attempts = Cell::new(0);
    ctx.step("notify", || async {
        attempts.set(attempts.get() + 1);
        ctx.send_event(ctx.run_id, "number", attempts.get()).await?;
        ensure!(attempts.get() == 3, "not yet");
        Ok(())
    })
    .retry(RetryPolicy::attempts(3))
    .run()
    .await?;
    ctx.send_event(ctx.run_id, "number", 4).await?;
    ctx.send_event(ctx.run_id, "number", 5).key("k").await?;
    ctx.send_event(ctx.run_id, "number", 6).key("k").await?;
    let mut numbers = Vec::new();
    while let Some(number) = ctx.event("number").try_recv().await? {
        numbers.push(number);
    }
    Ok(numbers)
}

#[test]
fn attempts_of_a_step_send_an_event_once_and_a_run_may_send_to_itself() {
    let run = TestRun::new(TalkToItselfWorkflow).run(());
    assert_eq!(run.output(), &[1, 4, 5]);
    assert_eq!(run.events.len(), 3);
    assert_eq!(run.events[0].step.as_deref(), Some("notify"));
    assert_eq!(run.events[2].key.as_deref(), Some("k"));
}

#[forge::workflow]
async fn typed(ctx: &WorkflowContext, name: String) -> Result<(Failure, u32)> {
    let failure = ctx.event(name).timeout(SECOND).recv::<u32>().await.unwrap_err();
    Ok((failure.downcast()?, ctx.event("number").recv().await?))
}

#[test]
fn a_payload_that_does_not_fit_is_received_and_fails_the_call() {
    let run = TestRun::new(TypedWorkflow)
        .event(TestEvent::new("number", "one"))
        .event(TestEvent::new("number", 2))
        .run("number");
    let (failure, second) = run.output();
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str(), failure.retryable, *second),
        (
            "invalid-input",
            "the payload of event `number` is not a `u32`: invalid type: string \"one\", expected u32 at line 1 \
             column 5",
            false,
            2
        )
    );
}

#[test]
fn a_name_that_no_event_has_fails_the_call_and_not_the_run() {
    for name in ["", "a\0", &"n".repeat(256)] {
        let run = TestRun::new(TypedWorkflow).event(TestEvent::new("number", 2)).run(name);
        assert_eq!(run.output().0.kind, "invalid-input");
    }
}

#[forge::workflow]
async fn late(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    let job = ctx.child("job", ()).start().await?;
    job.send_event("hurry", ()).await?;
    job.result::<()>().await?;
    job.send_event("hurry", ()).await
}

#[test]
fn an_event_to_a_child_that_has_ended_is_not_sent() {
    let run = TestRun::new(LateWorkflow).child("job", |_| TestOutcome::completed(()).after(SECOND)).run(());
    assert!(run.failure().message.contains("takes no more events"), "{}", run.failure().message);
    assert_eq!(run.events.len(), 1);
}

#[forge::workflow]
async fn undone(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    ctx.step("reserve", || async { Ok(()) })
        .compensate(|()| async { forge::event("released").timeout(SECOND).recv::<()>().await })
        .run()
        .await?;
    ctx.event("approval").timeout(SECOND).recv().await
}

#[test]
fn a_compensation_may_wait_for_an_event_also_one_that_came_before() {
    let run = TestRun::new(UndoneWorkflow).event(TestEvent::new("released", ())).run(());
    assert!(run.failure().is_timeout());
    assert_eq!((run.compensations, run.elapsed), (vec!["reserve".to_owned()], SECOND));
}
