//! Rolling back: whatever ends a run, what it did is undone, the last first.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Block, Statement, block, effect, fail, fail_for_good, gate, reversible, step};
use forge_tests::{Api, Host, Services, eventually};
use serde_json::Value;

/// A host, its services, and a client.
struct Stage {
    host: Host,
    services: Services,
    api: Api,
}

async fn stage() -> Stage {
    let host = Host::with_interpreter().await;
    Stage { api: host.api(), host, services: Services::start().await }
}

/// Two steps that can be undone, and then this.
fn two_steps_and(then: Block) -> Block {
    let mut body = block![reversible("reserve"), reversible("charge")];
    body.extend(then);
    body
}

impl Stage {
    /// Starts two reversible steps and what follows them.
    async fn start(&self, then: Block) -> String {
        self.api.start_program(&self.services, two_steps_and(then)).await
    }

    /// The same to its end, with what went wrong.
    async fn rolled_back(&self, then: Block) -> Value {
        let run = self.start(then).await;
        self.is_rolled_back(&run).await
    }

    /// Checks that the two steps were undone, the last first, each once.
    async fn is_rolled_back(&self, run: &str) -> Value {
        let record = self.api.settled(run).await;
        assert_eq!(record["status"], "compensated", "{record:#}");
        assert_eq!(self.services.performed(), ["reserve", "charge", "undo-charge", "undo-reserve"]);
        for name in ["reserve", "charge"] {
            assert_eq!(self.api.step(run, "step", name).await["status"], "compensated");
            assert_eq!(self.api.step(run, "compensation", name).await["status"], "completed");
        }
        record
    }
}

#[track_caller]
fn failed_with(record: &Value, kind: &str, words: &str) {
    let error = record["error"].as_str().unwrap_or_default();
    assert!(record["error_kind"] == kind && error.contains(words), "{kind}, {words}: {record:#}");
}

#[tokio::test]
async fn an_error_rolls_back_in_reverse_order() {
    let it = stage().await;
    let record = it.rolled_back(block![step("pack", block![fail("the box is torn")])]).await;
    failed_with(&record, "error", "the box is torn");
}

#[tokio::test]
async fn a_step_timeout_rolls_back_in_reverse_order() {
    let it = stage().await;
    let record = it.rolled_back(block![step("pack", block![Statement::Never(None)]).timeout(50)]).await;
    failed_with(&record, "timeout", "step `pack` timed out after 50ms");
}

#[tokio::test]
async fn a_run_timeout_rolls_back_in_reverse_order() {
    let it = stage().await;
    let input = it.services.program(two_steps_and(block![Statement::Never(None)]));
    let run = it.api.start("hasty_program", input).await;
    let record = it.is_rolled_back(&run).await;
    failed_with(&record, "timeout", "`hasty_program` may take 4s");
}

#[tokio::test]
async fn a_panic_rolls_back_in_reverse_order_and_its_message_reaches_the_user() {
    let it = stage().await;
    let record = it.rolled_back(block![Statement::Panic("the tea is cold".to_owned())]).await;
    failed_with(&record, "panic", "the tea is cold");
    failed_with(&record, "panic", "interpreter.rs:");
}

#[tokio::test]
async fn a_panic_inside_a_step_fails_the_step_and_rolls_back() {
    let it = stage().await;
    let run = it.start(block![step("pack", block![Statement::Panic("the box is torn".to_owned())])]).await;
    let record = it.is_rolled_back(&run).await;
    failed_with(&record, "panic", "the box is torn");
    assert_eq!(it.api.step(&run, "step", "pack").await["status"], "failed");
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_fuel_and_rolls_back_in_reverse_order() {
    let it = stage().await;
    let record = it.rolled_back(block![Statement::Spin]).await;
    failed_with(&record, "out-of-fuel", "fuel");
}

#[tokio::test]
async fn a_memory_blow_up_rolls_back_in_reverse_order() {
    let it = stage().await;
    let record = it.rolled_back(block![Statement::Hoard]).await;
    failed_with(&record, "out-of-memory", "memory");
}

#[tokio::test]
async fn cancelling_while_a_step_is_in_flight_rolls_back_in_reverse_order() {
    let it = stage().await;
    let run = it.start(block![step("pack", block![gate("pack")])]).await;
    it.services.until_asked("pack", 1).await;
    it.api.cancel(&run).await.ok();
    let record = it.is_rolled_back(&run).await;
    failed_with(&record, "cancelled", "cancelled");
    assert_eq!(it.api.step(&run, "step", "pack").await["status"], "failed");
}

#[tokio::test]
async fn cancelling_while_sleeping_rolls_back_in_reverse_order() {
    let it = stage().await;
    let run = it.start(block![Statement::Sleep(3_600_000)]).await;
    it.api.until_status(&run, "waiting").await;
    it.api.cancel(&run).await.ok();
    let record = it.is_rolled_back(&run).await;
    failed_with(&record, "cancelled", "cancelled");
}

#[tokio::test]
async fn cancelling_a_paused_run_rolls_back_in_reverse_order() {
    let it = stage().await;
    let run = it.start(block![Statement::Sleep(3_600_000)]).await;
    it.api.until_status(&run, "waiting").await;
    it.api.pause(&run).await.ok();
    it.api.until_status(&run, "paused").await;
    it.api.cancel(&run).await.ok();
    failed_with(&it.is_rolled_back(&run).await, "cancelled", "cancelled");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_compensating_changes_nothing() {
    let mut it = stage().await;
    let undo = |name: &str| block![effect(format!("undo-{name}")), gate(format!("hold-{name}"))];
    let steps = ["reserve", "charge", "pack"].map(|name| step(name, block![effect(name)]).undo(undo(name)));
    let mut body: Block = steps.into_iter().map(Statement::from).collect();
    body.push(fail("the shop is closed"));
    let run = it.api.start_program(&it.services, body).await;

    for name in ["pack", "charge", "reserve"] {
        it.services.until_asked(&format!("hold-{name}"), 1).await;
        it.host.kill();
        it.host.restart().await;
        assert_eq!(it.api.record(&run).await["status"], "compensating");
        it.services.open(&format!("hold-{name}"));
    }
    assert_eq!(it.api.settled(&run).await["status"], "compensated");
    let expected = [
        "reserve",
        "charge",
        "pack",
        "undo-pack",
        "hold-pack",
        "undo-charge",
        "hold-charge",
        "undo-reserve",
        "hold-reserve",
    ];
    assert_eq!(it.services.performed(), expected);
    for name in ["undo-pack", "undo-charge", "undo-reserve"] {
        assert_eq!(it.services.asked(name).len(), 1, "{name} was over when the host was killed");
    }
}

#[tokio::test]
async fn a_handler_that_fails_once_is_tried_again() {
    let it = stage().await;
    let undo = block![effect("undo-pack"), Statement::Flaky("unpack".to_owned(), 1)];
    let body = block![step("pack", block![effect("pack")]).undo(undo), fail("the shop is closed")];
    let run = it.api.start_program(&it.services, body).await;
    assert_eq!(it.api.settled(&run).await["status"], "compensated");
    assert_eq!(it.api.step(&run, "compensation", "pack").await["attempt"], 2);
    assert_eq!(it.services.asked("unpack").len(), 2);
}

#[tokio::test]
async fn a_handler_that_keeps_failing_is_reported_the_others_run_and_resume_tries_only_what_is_stuck() {
    let it = stage().await;
    let bank_is_closed = Statement::Get("/echo?status=503".to_owned());
    let body = block![
        reversible("reserve"),
        step("charge", block![effect("charge")]).undo(block![gate("bank"), bank_is_closed]),
        reversible("pack"),
        fail("the shop is closed"),
    ];
    it.services.open("bank");
    let run = it.api.start_program(&it.services, body).await;
    let record = it.api.settled(&run).await;
    assert_eq!(record["status"], "failed");
    failed_with(&record, "error", "the shop is closed");
    failed_with(&record, "error", "`charge` is not compensated");
    failed_with(&record, "error", "503");

    let stuck = it.api.step(&run, "compensation", "charge").await;
    assert_eq!((&stuck["status"], &stuck["attempt"]), (&"failed".into(), &5.into()), "{stuck:#}");
    assert_eq!(it.api.step(&run, "step", "charge").await["status"], "completed");
    assert_eq!(it.services.performed().iter().filter(|effect| effect.starts_with("undo-")).count(), 2);

    it.api.resume(&run).await.ok();
    eventually("the stuck handler is tried again", async || {
        it.api.step(&run, "compensation", "charge").await["attempt"].as_u64() > Some(5)
    })
    .await;
    for undone in ["undo-pack", "undo-reserve"] {
        assert_eq!(it.services.asked(undone).len(), 1, "{undone} succeeded and is not tried again");
    }
}

#[tokio::test]
async fn a_stuck_run_is_rolled_back_once_what_was_stuck_can_be_undone() {
    let it = stage().await;
    let body = block![
        reversible("reserve"),
        step("charge", block![effect("charge")]).undo(block![effect("refund")]),
        fail("the shop is closed"),
    ];
    it.services.refuse("refund", 5);
    let run = it.api.start_program(&it.services, body).await;
    assert_eq!(it.api.settled(&run).await["status"], "failed");

    it.api.resume(&run).await.ok();
    let record = it.api.until_status(&run, "compensated").await;
    failed_with(&record, "error", "the shop is closed");
    assert!(!record["error"].as_str().unwrap().contains("not compensated"), "{record:#}");
    assert_eq!(it.services.performed(), ["reserve", "charge", "undo-reserve", "refund"]);
    assert_eq!(it.services.asked("undo-reserve").len(), 1);
}

#[tokio::test]
async fn a_handler_that_cannot_succeed_is_not_tried_again() {
    let it = stage().await;
    let body = block![
        reversible("reserve"),
        step("charge", block![effect("charge")]).undo(block![fail_for_good("the bank is gone")]),
        fail("the shop is closed"),
    ];
    let run = it.api.start_program(&it.services, body).await;
    let record = it.api.settled(&run).await;
    assert_eq!(record["status"], "failed");
    failed_with(&record, "error", "the bank is gone");
    assert_eq!(it.api.step(&run, "compensation", "charge").await["attempt"], 1);
    assert_eq!(it.services.performed(), ["reserve", "charge", "undo-reserve"]);
}

#[tokio::test]
async fn a_handler_that_panics_is_reported_and_the_others_run() {
    let it = stage().await;
    let body = block![
        reversible("reserve"),
        step("charge", block![effect("charge")]).undo(block![Statement::Panic("what bank?".to_owned())]),
        reversible("pack"),
        fail("the shop is closed"),
    ];
    let run = it.api.start_program(&it.services, body).await;
    let record = it.api.settled(&run).await;
    assert_eq!(record["status"], "failed");
    failed_with(&record, "error", "what bank?");
    assert_eq!(it.services.performed(), ["reserve", "charge", "pack", "undo-pack", "undo-reserve"]);
}

#[tokio::test]
async fn parallel_steps_are_undone_in_the_reverse_order_of_their_completion() {
    let it = stage().await;
    let gated = |name: &str| {
        let undo = block![effect(format!("undo-{name}"))];
        block![step(name, block![gate(format!("hold-{name}"))]).undo(undo)]
    };
    let body = block![Statement::Join(["a", "b", "c"].map(gated).into()), fail("the shop is closed")];
    let run = it.api.start_program(&it.services, body).await;
    for name in ["b", "c"] {
        it.services.open(&format!("hold-{name}"));
        it.api.until_step(&run, "step", name, "completed").await;
    }
    it.services.open("hold-a");
    assert_eq!(it.api.settled(&run).await["status"], "compensated");
    let performed = it.services.performed();
    assert_eq!(performed[3..], ["undo-a", "undo-c", "undo-b"]);
}

#[tokio::test]
async fn a_nested_step_is_undone_after_the_step_around_it() {
    let it = stage().await;
    let outer =
        step("order", block![reversible("reserve"), effect("order")]).undo(block![effect("undo-order")]);
    let body = block![outer, fail("the shop is closed")];
    let run = it.api.start_program(&it.services, body).await;
    assert_eq!(it.api.settled(&run).await["status"], "compensated");
    assert_eq!(it.services.performed(), ["reserve", "order", "undo-order", "undo-reserve"]);
}

#[tokio::test]
async fn a_nested_step_is_undone_although_the_step_around_it_failed() {
    let it = stage().await;
    let body = block![step("order", block![reversible("reserve"), fail("sold out")])];
    let run = it.api.start_program(&it.services, body).await;
    failed_with(&it.api.settled(&run).await, "error", "sold out");
    assert_eq!(it.services.performed(), ["reserve", "undo-reserve"]);
}

#[tokio::test]
async fn what_a_workflow_compensated_itself_is_not_compensated_again() {
    let it = stage().await;
    let body = two_steps_and(block![Statement::Compensate, effect("apology"), fail("the shop is closed")]);
    let run = it.api.start_program(&it.services, body).await;
    assert_eq!(it.api.settled(&run).await["status"], "compensated");
    assert_eq!(it.services.performed(), ["reserve", "charge", "undo-charge", "undo-reserve", "apology"]);
}

#[tokio::test]
async fn a_compensation_that_nobody_waits_for_any_more_is_carried_out_once() {
    for kill in [false, true] {
        let mut it = stage().await;
        let hurried = step("clean up", block![Statement::Compensate]).timeout(300);
        let body = block![
            step("reserve", block![effect("reserve")]).undo(block![gate("undo"), effect("undone")]),
            Statement::Try(block![hurried]),
            gate("meanwhile"),
            Statement::Compensate,
            effect("apology"),
            fail("the shop is closed"),
        ];
        let run = it.api.start_program(&it.services, body).await;
        it.services.until_asked("undo", 1).await;
        it.services.until_asked("meanwhile", 1).await;
        if kill {
            it.host.kill();
            it.host.restart().await;
        }
        it.services.open("undo");
        it.services.open("meanwhile");
        let record = it.api.settled(&run).await;
        assert_eq!(record["status"], "compensated", "{record:#}");
        let mut performed = it.services.performed();
        performed.retain(|effect| effect != "undo" && effect != "meanwhile");
        assert_eq!(performed, ["reserve", "undone", "apology"], "kill: {kill}");
    }
}

#[tokio::test]
async fn a_handler_that_a_rollback_interrupts_goes_on_whichever_attempt_it_is() {
    for (kill, failures) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let mut it = stage().await;
        let undo = block![Statement::Flaky("shaky".to_owned(), failures), Statement::Sleep(5), gate("undo")];
        let body = block![step("reserve", block![effect("reserve")]).undo(undo), Statement::Compensate];
        let run = it.api.start_program(&it.services, body).await;
        it.services.until_asked("undo", 1).await;
        it.api.cancel(&run).await.ok();
        if kill {
            it.host.kill();
            it.host.restart().await;
        }
        it.services.open("undo");
        let record = it.api.settled(&run).await;
        assert_eq!(record["status"], "compensated", "{kill}, {failures}: {record:#}");
        assert_eq!(it.api.step(&run, "compensation", "reserve").await["attempt"], failures + 1);
    }
}

#[tokio::test]
async fn what_a_handler_does_in_a_step_that_can_be_undone_is_not_undone() {
    for kill in [false, true] {
        let mut it = stage().await;
        let back = step("transfer back", block![effect("back")]).undo(block![effect("again")]);
        let body = block![
            step("transfer", block![effect("there")]).undo(block![back, gate("hold")]),
            fail("the bank is closed"),
        ];
        let run = it.api.start_program(&it.services, body).await;
        it.services.until_asked("hold", 1).await;
        if kill {
            it.host.kill();
            it.host.restart().await;
        }
        it.services.open("hold");
        let record = it.api.settled(&run).await;
        assert_eq!(record["status"], "compensated", "kill: {kill}: {record:#}");
        assert_eq!(it.services.performed(), ["there", "back", "hold"]);
    }
}

#[tokio::test]
async fn a_failure_with_nothing_to_undo_fails_the_run() {
    let it = stage().await;
    let run = it.api.start_program(&it.services, block![effect("look"), fail("nothing there")]).await;
    let record = it.api.settled(&run).await;
    assert_eq!(record["status"], "failed");
    failed_with(&record, "error", "nothing there");
}

#[tokio::test]
async fn a_run_that_is_over_cannot_be_cancelled() {
    let it = stage().await;
    let run = it.api.start_program(&it.services, block![reversible("reserve")]).await;
    assert_eq!(it.api.settled(&run).await["status"], "completed");
    let (code, message) = it.api.cancel(&run).await.refused(409);
    assert_eq!(code, "conflict");
    assert!(message.contains("is completed and cannot be cancelled"), "{message}");
    assert_eq!(it.services.performed(), ["reserve"]);
}
