//! Requests that are under way when their run is rolled back, or when nobody waits for them any more: what they did is undone
//! or named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Block, Statement, block, effect, fail, gate, step};
use forge_tests::{Api, Host, HostBuilder, Services, eventually};
use serde_json::{Value, json};

/// A host with the default patience, or with this one, its services, and a client.
struct Stage {
    host: Host,
    services: Services,
    api: Api,
}

async fn stage(patience: &str) -> Stage {
    staged(Host::builder().flag(["--rollback-patience", patience])).await
}

async fn staged(host: HostBuilder) -> Stage {
    let host = host.flag(["--compensation-backoff", "20ms"]).start().await;
    host.api().deploy(&forge_tests::component("interpreter")).await;
    Stage { api: host.api(), host, services: Services::start().await }
}

/// A step whose request is answered when the gate `pack` opens.
fn pack() -> Statement {
    step("pack", block![gate("pack")]).undo(block![effect("unpack")]).into()
}

fn in_doubt(record: &Value) -> Vec<&str> {
    record["in_doubt"].as_array().into_iter().flatten().map(|effect| effect.as_str().unwrap()).collect()
}

impl Stage {
    /// Starts a program and returns when its request at the gate `pack` is under way.
    async fn start(&self, body: Block) -> String {
        let run = self.api.start_program(&self.services, body).await;
        self.services.until_asked("pack", 1).await;
        run
    }

    async fn is_undone(&self, run: &str) -> Value {
        let record = self.api.settled(run).await;
        assert_eq!(record["status"], "compensated", "{record:#}");
        assert_eq!(self.services.asked("unpack").len(), 1);
        assert_eq!(self.api.step(run, "step", "pack").await["status"], "compensated");
        assert!(in_doubt(&record).is_empty(), "{record:#}");
        record
    }
}

#[tokio::test]
async fn a_cancellation_is_answered_at_once_and_the_step_under_way_completes_and_is_undone() {
    let it = stage("30s").await;
    let run = it.start(block![pack(), effect("ship")]).await;
    it.api.cancel(&run).await.ok();
    it.api.cancel(&run).await.ok();
    let record = it.api.record(&run).await;
    assert_eq!((&record["status"], &record["error"]), (&json!("running"), &json!("the run was cancelled")));
    it.services.open("pack");
    let record = it.is_undone(&run).await;
    assert_eq!(record["error_kind"], "cancelled");
    assert!(it.services.asked("ship").is_empty(), "nothing begins after the cancellation");
}

#[tokio::test]
async fn a_workflow_that_would_end_with_the_request_under_way_is_rolled_back_all_the_same() {
    let it = stage("30s").await;
    let run = it.start(block![pack()]).await;
    it.api.cancel(&run).await.ok();
    it.services.open("pack");
    it.is_undone(&run).await;
}

#[tokio::test]
async fn a_step_that_has_had_an_effect_makes_its_other_requests_before_it_is_undone() {
    let it = stage("30s").await;
    let body = step("pack", block![gate("pack"), effect("label")]).undo(block![effect("unpack")]);
    let run = it.start(block![body]).await;
    it.api.cancel(&run).await.ok();
    it.services.open("pack");
    it.is_undone(&run).await;
    assert_eq!(it.services.asked("label").len(), 1);
}

#[tokio::test]
async fn a_run_that_times_out_completes_the_step_under_way_and_undoes_it() {
    let it = stage("30s").await;
    let run = it.api.start("hasty_program", it.services.program(block![pack()])).await;
    it.services.until_asked("pack", 1).await;
    eventually("it has timed out", async || it.api.record(&run).await["error_kind"] == "timeout").await;
    it.services.open("pack");
    let record = it.is_undone(&run).await;
    assert_eq!(record["error_kind"], "timeout");
}

#[tokio::test]
async fn a_cancellation_survives_a_kill_while_it_waits_and_the_request_is_finished_with_its_key() {
    let mut it = stage("30s").await;
    let run = it.start(block![pack(), effect("ship")]).await;
    it.api.cancel(&run).await.ok();
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    it.services.until_asked("pack", 2).await;
    it.services.open("pack");
    it.is_undone(&run).await;
    assert!(it.services.asked("ship").is_empty());
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_named_in_the_error_the_record_and_on_the_command_line() {
    let it = stage("200ms").await;
    let run = it.start(block![pack()]).await;
    it.api.cancel(&run).await.ok();
    let record = it.api.settled(&run).await;
    let [doubt] = in_doubt(&record)[..] else { panic!("{record:#}") };
    assert!(doubt.starts_with("`pack`: POST http://") && doubt.contains("may have arrived"), "{doubt}");
    assert!(record["error"].as_str().unwrap().contains(doubt), "{record:#}");
    let shown = it.host.cli().run(["runs", "show", &run]).await;
    assert!(shown.stdout.contains("may have arrived"), "{}", shown.stdout);
}

#[tokio::test]
async fn a_request_that_a_failing_sibling_drops_is_named_with_its_late_answer() {
    let it = stage("30s").await;
    let body = Statement::Race(vec![block![pack()], block![Statement::Sleep(300), fail("out of stock")]]);
    let run = it.start(block![body]).await;
    it.api.until_step(&run, "step", "pack", "skipped").await;
    it.services.open("pack");
    let record = it.api.settled(&run).await;
    let [doubt] = in_doubt(&record)[..] else { panic!("{record:#}") };
    assert!(doubt.contains("was answered with 200 after it was given up"), "{doubt}");
    let request = it.api.steps(&run).await.into_iter().find(|step| step["kind"] == "http").unwrap();
    assert_eq!(request["result"]["status"], 200, "the late answer is recorded: {request:#}");
}

#[tokio::test]
async fn a_request_of_an_attempt_that_timed_out_is_in_doubt_until_a_later_attempt_with_its_key_succeeds() {
    let it = stage("200ms").await;
    let attempts = |retry| {
        let pack = step("pack", block![gate("pack")]).timeout(200);
        block![if retry { pack.retry(20, 50) } else { pack }]
    };
    let failed = it.start(attempts(false)).await;
    let record = it.api.settled(&failed).await;
    assert_eq!((record["status"].as_str(), in_doubt(&record).len()), (Some("failed"), 1), "{record:#}");

    let run = it.api.start_program(&it.services, attempts(true)).await;
    it.services.until_asked("pack", 3).await;
    it.services.open("pack");
    let record = it.api.settled(&run).await;
    assert_eq!((record["status"].as_str(), in_doubt(&record).len()), (Some("completed"), 0), "{record:#}");
}

#[tokio::test]
async fn a_request_that_was_answered_while_its_run_was_paused_completes_its_step_before_a_cancel() {
    let it = stage("30s").await;
    // Shorter than the host waits for it before it pauses the run.
    it.services.delay("pack", 1, 2_000);
    let body = step("pack", block![effect("pack")]).undo(block![effect("unpack")]);
    let run = it.start(block![body]).await;
    it.api.pause(&run).await.ok();
    it.api.cancel(&run).await.ok();
    it.is_undone(&run).await;
}

#[tokio::test]
async fn a_kill_after_a_panic_while_a_request_is_waited_for_changes_nothing() {
    let mut it = stage("30s").await;
    let panics = block![step("label", block![effect("label")]), Statement::Panic("lost".to_owned())];
    let run = it.start(block![Statement::Join(vec![block![pack()], panics])]).await;
    it.api.until_step(&run, "step", "label", "completed").await;
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    let record = it.api.settled(&run).await;
    assert_eq!((record["status"].as_str(), record["error_kind"].as_str()), (Some("failed"), Some("panic")));
    assert_eq!(in_doubt(&record).len(), 1, "{record:#}");
}

#[tokio::test]
async fn a_request_that_was_under_way_at_a_kill_is_named_although_its_second_try_waits_for_its_turn() {
    let host =
        Host::builder().flag(["--rollback-patience", "300ms"]).flag(["--http-requests", "1"]).start().await;
    host.api().deploy(&forge_tests::component("interpreter")).await;
    let mut it = Stage { api: host.api(), host, services: Services::start().await };
    let run = it.start(block![pack()]).await;
    it.host.kill();
    // Another run takes the only permit first.
    it.host.restart().await;
    it.api = it.host.api();
    it.api.cancel(&run).await.ok();
    let record = it.api.settled(&run).await;
    assert_eq!(in_doubt(&record).len(), 1, "{record:#}");
}

#[tokio::test]
async fn a_request_beside_a_panic_and_one_of_a_terminated_run_are_named_with_their_answers() {
    let it = stage("30s").await;
    let panics = Statement::Join(vec![
        block![pack()],
        block![Statement::Sleep(200), Statement::Panic("lost".to_owned())],
    ]);
    let run = it.start(block![panics]).await;
    it.api.until_step(&run, "sleep", "200ms", "completed").await;
    it.services.open("pack");
    let record = it.api.settled(&run).await;
    let [doubt] = in_doubt(&record)[..] else { panic!("{record:#}") };
    assert!(doubt.contains("was answered with 200, and its step did not complete"), "{doubt}");
}

#[tokio::test]
async fn a_request_that_a_step_gave_up_is_named_although_the_step_completes() {
    let it = stage("30s").await;
    let race = Statement::Race(vec![block![gate("pack")], block![Statement::Sleep(200)]]);
    let run = it.start(block![step("ship", block![race, effect("label")])]).await;
    let record = it.api.settled(&run).await;
    assert_eq!((record["status"].as_str(), in_doubt(&record).len()), (Some("completed"), 1), "{record:#}");
}

#[tokio::test]
async fn a_request_without_an_answer_in_time_is_named() {
    let it = stage("30s").await;
    let run =
        it.api.start_program(&it.services, block![step("pack", block![Statement::Never(Some(200))])]).await;
    let record = it.api.settled(&run).await;
    let [doubt] = in_doubt(&record)[..] else { panic!("{record:#}") };
    assert!(doubt.contains("may have arrived: no answer came in time"), "{doubt}");
}

/// A step whose request must arrive at most once.
fn pack_once() -> Statement {
    step("pack", block![Statement::GateOnce("pack".to_owned())]).undo(block![effect("unpack")]).into()
}

#[tokio::test]
async fn an_acknowledged_cancel_holds_after_a_kill_also_if_a_request_must_arrive_at_most_once() {
    let mut it = stage("30s").await;
    let order = step("order", block![effect("order")]).undo(block![effect("undo-order")]);
    let run = it.start(block![order, pack_once(), effect("ship")]).await;
    it.api.cancel(&run).await.ok();
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("compensated"), &json!("cancelled")));
    let [doubt] = in_doubt(&record)[..] else { panic!("{record:#}") };
    assert!(doubt.starts_with("`pack`: POST http://") && doubt.contains("may have arrived"), "{doubt}");
    assert_eq!((it.services.asked("pack").len(), it.services.asked("undo-order").len()), (1, 1));
    assert!(it.services.asked("ship").is_empty());
}

#[tokio::test]
async fn a_timeout_of_the_run_holds_after_a_kill_also_if_a_request_must_arrive_at_most_once() {
    let mut it = stage("30s").await;
    let run = it.api.start("hasty_program", it.services.program(block![pack_once()])).await;
    it.services.until_asked("pack", 1).await;
    eventually("it has timed out", async || it.api.record(&run).await["error_kind"] == "timeout").await;
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], in_doubt(&record).len()), (&json!("failed"), 1), "{record:#}");
    assert_eq!(it.services.asked("pack").len(), 1);
}

#[tokio::test]
async fn other_requests_are_finished_before_a_cancelled_run_with_a_lost_request_is_rolled_back() {
    let mut it = stage("30s").await;
    let label = step("label", block![gate("label")]).undo(block![effect("remove-label")]);
    let body = block![Statement::Join(vec![block![pack_once()], block![label]])];
    let run = it.start(body).await;
    it.services.until_asked("label", 1).await;
    it.api.cancel(&run).await.ok();
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    it.services.until_asked("label", 2).await;
    it.services.open("label");
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], in_doubt(&record).len()), (&json!("compensated"), 1), "{record:#}");
    assert_eq!((it.services.asked("remove-label").len(), it.services.asked("pack").len()), (1, 1));
}

#[tokio::test]
async fn a_long_pause_with_a_request_that_must_arrive_at_most_once_ends_with_one_cancel() {
    let it = stage("30s").await;
    let run = it.start(block![pack_once()]).await;
    it.api.pause(&run).await.ok();
    it.api.cancel(&run).await.ok();
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], in_doubt(&record).len()), (&json!("compensated"), 1), "{record:#}");
    assert_eq!(it.services.asked("pack").len(), 1);
}

#[tokio::test]
async fn a_request_that_waits_for_its_turn_is_not_named_by_a_termination_or_a_panic() {
    let panics = || block![Statement::Sleep(500), Statement::Panic("lost".to_owned())];
    let bodies = [block![pack()], block![Statement::Join(vec![block![pack()], panics()])]];
    for (body, terminates) in bodies.into_iter().zip([true, false]) {
        let it = staged(Host::builder().flag(["--http-requests", "1"])).await;
        let first = it.api.start_program(&it.services, block![step("label", block![gate("label")])]).await;
        it.services.until_asked("label", 1).await;
        let second = it.api.start_program(&it.services, body).await;
        it.api.until_step(&second, "step", "pack", "running").await;
        eventually("its request is journaled", async || {
            it.api.record(&second).await["calls"].as_u64() > Some(1)
        })
        .await;
        if terminates {
            it.api.terminate(&second).await.ok();
            it.api.terminate(&first).await.ok();
            let record = it.api.settled(&first).await;
            assert_eq!(in_doubt(&record).len(), 1, "this one has left: {record:#}");
        }
        let record = it.api.settled(&second).await;
        assert_eq!((&record["status"], in_doubt(&record).len()), (&json!("failed"), 0), "{record:#}");
        assert!(it.services.asked("pack").is_empty());
    }
}

#[tokio::test]
async fn at_most_100_requests_are_named_and_the_record_says_how_many_more_there_are() {
    let it = stage("30s").await;
    let gates = (0..105).map(|number| block![gate(format!("g{number}"))]).collect();
    let body = Statement::Race(vec![block![Statement::Join(gates)], block![gate("end")]]);
    let run = it.api.start_program(&it.services, block![body]).await;
    for number in 0..105 {
        it.services.until_asked(&format!("g{number}"), 1).await;
    }
    it.services.open("end");
    let record = it.api.settled(&run).await;
    let doubts = in_doubt(&record);
    assert_eq!((&record["status"], doubts.len()), (&json!("completed"), 101), "{record:#}");
    let named = doubts.iter().filter(|doubt| doubt.contains("may have arrived")).count();
    assert_eq!((named, doubts[100]), (100, "5 more: the run's steps show them"));
}

#[tokio::test]
async fn a_request_is_finished_after_a_kill_also_if_the_replay_before_it_takes_long() {
    let mut it = stage("30s").await;
    let many = Statement::Repeat(2_000, block![step("many", block![]).undo(block![])]);
    let run = it.start(block![many, pack()]).await;
    it.api.cancel(&run).await.ok();
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    it.services.until_asked("pack", 2).await;
    it.services.open("pack");
    it.is_undone(&run).await;
}

#[tokio::test]
async fn a_second_kill_during_the_rollback_changes_nothing_of_what_is_in_doubt() {
    let mut it = stage("30s").await;
    let order = step("order", block![effect("order")]).undo(block![gate("undo-order")]);
    let run = it.start(block![order, pack_once()]).await;
    it.api.cancel(&run).await.ok();
    for kills in 1..3 {
        it.host.kill();
        it.host.restart().await;
        it.api = it.host.api();
        it.services.until_asked("undo-order", kills).await;
    }
    it.services.open("undo-order");
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], in_doubt(&record).len()), (&json!("compensated"), 1), "{record:#}");
    assert_eq!(it.services.asked("pack").len(), 1);
}

#[tokio::test]
async fn a_cancel_does_not_send_a_request_of_a_compensation_again_that_must_arrive_at_most_once() {
    let mut it = stage("30s").await;
    let order = step("order", block![effect("order")]).undo(block![Statement::GateOnce("pack".to_owned())]);
    let run = it.start(block![order, fail("no")]).await;
    it.host.kill();
    it.host.restart().await;
    it.api = it.host.api();
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("in_doubt")));
    let (code, why) = it.api.cancel(&run).await.refused(409);
    assert!(code == "cannot_roll_back" && why.contains("may or may not have arrived"), "{code}: {why}");
    assert_eq!(it.services.asked("pack").len(), 1);
    it.api.resolve(&run, "order", &json!({ "completed": null })).await.ok();
    let record = it.api.settled(&run).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
}

#[tokio::test]
async fn a_request_of_a_handler_that_is_dropped_by_its_timeout_is_named() {
    let it = stage("30s").await;
    let undo = block![step("refund", block![gate("refund")]).timeout(200)];
    let order = step("order", block![effect("order")]).undo(undo);
    let host = block![order, fail("no")];
    let run = it.api.start_program(&it.services, host).await;
    let record = it.api.settled(&run).await;
    assert_eq!((&record["status"], in_doubt(&record).len()), (&json!("failed"), 1), "{record:#}");
}
