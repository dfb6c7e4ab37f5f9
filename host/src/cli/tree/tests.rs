use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::samples::{compensation, effect, inside, record, request, start, step};
use super::*;
use forge_journal::PauseReason;

fn plain(record: &WorkflowRecord, steps: &[StepRecord]) -> String {
    let now = start() + TimeDelta::milliseconds(3_100);
    render(
        record,
        steps,
        &Children::new(),
        &Style { color: false, every_call: false, only_failed: false, now },
    )
}

#[track_caller]
fn assert_tree(tree: &str, expected: &str) {
    assert_eq!(tree, expected.strip_prefix('\n').unwrap(), "\n{tree}\n");
}

#[test]
fn a_completed_run_shows_steps_requests_and_output() {
    let mut run = record(WorkflowStatus::Completed);
    run.output = Some(json!({"order_id": "order-1", "charge_id": "charge-7"}).into());
    let mut mail = step(5, Kind::Step, "send_confirmation", StepStatus::Failed);
    (mail.optional, mail.error, mail.error_kind) =
        (true, Some("no answer within 30s".to_owned()), Some("timeout".to_owned()));
    let steps = [
        step(1, Kind::Step, "reserve_inventory", StepStatus::Completed),
        inside(1, 1, request(2, "POST http://127.0.0.1:7071/reservations", 201)),
        step(3, Kind::Time, "workflow_time", StepStatus::Completed),
        step(4, effect("sleep"), "10s", StepStatus::Completed),
        mail,
    ];
    assert_tree(
        &plain(&run, &steps),
        "
✔ payment v1  completed in 1.24 s
  run 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10, started 2025-11-23 02:44:10 UTC

├─ ✔ reserve_inventory     100 ms
│  └─ ✔ POST http://127.0.0.1:7071/reservations → 201  100 ms
├─ ✔ sleep 10s             100 ms
└─ ✘ send_confirmation     100 ms  optional
     timeout: no answer within 30s

output: {\"charge_id\":\"charge-7\",\"order_id\":\"order-1\"}",
    );
}

#[test]
fn a_rollback_shows_compensations_under_their_steps_and_their_order() {
    let mut run = record(WorkflowStatus::Compensated);
    run.error = Some("the address bounced".to_owned());
    run.error_kind = Some("error".to_owned());
    let mut mail = step(5, Kind::Step, "send_confirmation", StepStatus::Failed);
    mail.error = Some("the address bounced".to_owned());
    let steps = [
        step(1, Kind::Step, "reserve_inventory", StepStatus::Compensated),
        inside(1, 1, request(2, "POST /reservations", 201)),
        step(3, Kind::Step, "charge_card", StepStatus::Compensated),
        inside(3, 1, request(4, "POST /charges", 201)),
        mail,
        compensation(6, 3, StepStatus::Completed),
        inside(6, 1, request(7, "POST /refunds", 201)),
        compensation(8, 1, StepStatus::Completed),
    ];
    assert_tree(
        &plain(&run, &steps),
        "
↩ payment v1  rolled back after 1.24 s
  run 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10, started 2025-11-23 02:44:10 UTC

├─ ↩ reserve_inventory         100 ms  rolled back
│  ├─ ✔ POST /reservations → 201  100 ms
│  └─ ✔ compensation (2nd)     100 ms
├─ ↩ charge_card               100 ms  rolled back
│  ├─ ✔ POST /charges → 201  100 ms
│  └─ ✔ compensation (1st)     100 ms
│     └─ ✔ POST /refunds → 201  100 ms
└─ ✘ send_confirmation         100 ms
     the address bounced

rolled back (error): the address bounced",
    );
}

#[test]
fn calls_of_a_step_that_was_retried_are_under_their_attempt() {
    let run = record(WorkflowStatus::Running);
    let mut charge = step(1, Kind::Step, "charge_card", StepStatus::Running);
    charge.attempt = 2;
    charge.error = Some("503 Service Unavailable".to_owned());
    let steps = [
        charge,
        inside(1, 1, request(2, "POST /charges", 503)),
        inside(1, 2, step(3, effect("http"), "POST /charges", StepStatus::Running)),
    ];
    assert_tree(
        &plain(&run, &steps),
        "
● payment v1  running, started 3.10 s ago
  run 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10, started 2025-11-23 02:44:10 UTC

└─ ● charge_card      3.10 s  running, 2 attempts
   │ 503 Service Unavailable
   ├─ ✘ attempt 1
   │  └─ ! POST /charges → 503  100 ms
   └─ ● attempt 2
      └─ ● POST /charges  3.10 s  running

0 steps done; the run waits for `POST /charges`",
    );
}

#[test]
fn a_timer_and_a_retry_say_when_they_end() {
    let run = record(WorkflowStatus::Waiting);
    let mut sleep = step(1, effect("sleep"), "10s", StepStatus::Running);
    sleep.wake_at = Some(start() + TimeDelta::seconds(65));
    let mut retry = step(2, Kind::Step, "charge", StepStatus::Pending);
    (retry.attempt, retry.wake_at) = (3, Some(start() + TimeDelta::seconds(5)));
    let tree = plain(&run, &[sleep, retry]);
    assert!(tree.contains("├─ ● sleep 10s     3.10 s  running, 1 min 1 s left"), "{tree}");
    assert!(tree.contains("└─ · charge                pending, 3 attempts, next in 1.90 s"), "{tree}");
    let end = "0 steps done; the run sleeps until 2025-11-23 02:45:15 UTC, retries `charge` at 2025-11-23 02:44:15 UTC";
    assert!(tree.ends_with(end), "{tree}");
}

/// Returns a loop of 30 steps, each with a request, of which the 21st has failed.
fn long_loop() -> Vec<StepRecord> {
    let turn = |number: u64| {
        let status = if number == 21 { StepStatus::Failed } else { StepStatus::Completed };
        let mut own = step(2 * number, Kind::Step, &format!("page_{number}"), status);
        own.optional = status == StepStatus::Failed;
        own.error = own.optional.then(|| "no such page".to_owned());
        let status = if own.optional { 404 } else { 200 };
        [own, inside(2 * number, 1, request(2 * number + 1, &format!("GET /pages/{number}"), status))]
    };
    (1..=30).flat_map(turn).collect()
}

#[test]
fn calls_that_are_alike_are_one_line_with_their_number() {
    assert_tree(
        &plain(&record(WorkflowStatus::Running), &long_loop()),
        "
● payment v1  running, started 3.10 s ago
  run 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10, started 2025-11-23 02:44:10 UTC

├─ ✔ page_1 … page_20  20 alike
├─ ✘ page_21     100 ms  optional
│  │ no such page
│  └─ ! GET /pages/21 → 404  100 ms
└─ ✔ page_22 … page_30  9 alike

29 steps done",
    );
    let all = Style { color: false, every_call: true, only_failed: false, now: start() };
    let tree = render(&record(WorkflowStatus::Running), &long_loop(), &Children::new(), &all);
    assert_eq!(tree.lines().filter(|line| line.contains("GET /pages/")).count(), 30, "{tree}");
}

#[test]
fn a_loop_of_several_steps_is_one_line() {
    let calls = (1..=12).map(|seq| {
        let name = if seq % 2 == 1 { "fetch" } else { "store" };
        step(seq, Kind::Step, &format!("{name}_{}", seq.div_ceil(2)), StepStatus::Completed)
    });
    let tree = plain(&record(WorkflowStatus::Running), &calls.collect::<Vec<_>>());
    assert!(tree.contains("└─ ✔ fetch_1, store_1 … fetch_6, store_6  6 times"), "{tree}");
}

#[test]
fn only_what_failed_is_shown_with_the_steps_that_it_is_in() {
    let failed = Style { color: false, every_call: false, only_failed: true, now: start() };
    let tree = render(&record(WorkflowStatus::Completed), &long_loop(), &Children::new(), &failed);
    assert!(
        tree.ends_with(
            "└─ ✘ page_21     100 ms  optional\n   │ no such page\n   └─ ! GET /pages/21 → 404  100 ms"
        ),
        "{tree}"
    );
    let tree = render(&record(WorkflowStatus::Completed), &long_loop()[..10], &Children::new(), &failed);
    assert!(tree.ends_with("\n\nno call has failed"), "{tree}");
}

#[test]
fn a_paused_run_says_why() {
    let mut run = record(WorkflowStatus::Paused);
    run.pause_reason = Some(PauseReason::Nondeterminism);
    run.error = Some("expected step `a`, found step `b`".to_owned());
    let tree = plain(&run, &[]);
    assert!(tree.ends_with("\n\npaused (nondeterminism): expected step `a`, found step `b`"), "{tree}");
}

#[test]
fn names_and_errors_of_guests_cannot_control_the_terminal() {
    let mut run = record(WorkflowStatus::Failed);
    run.workflow_name = "pay\u{1b}[2J".to_owned();
    run.error = Some("\u{1b}]0;owned\u{7}".to_owned());
    run.error_kind = Some("\u{1b}c".to_owned());
    let mut named = step(1, Kind::Step, "a\n└─ ✔ forged\u{1b}[A", StepStatus::Failed);
    named.error = Some("two\nlines\u{9b}31m".to_owned());
    let tree = plain(&run, &[named]);
    assert!(!tree.contains(|character: char| character.is_control() && character != '\n'), "{tree:?}");
    assert!(tree.contains("     two\n     lines\\u{9b}31m\n"), "{tree}");
    assert_eq!(tree.lines().filter(|line| line.contains("forged")).count(), 1);
    assert!(tree.contains("└─ ✘ a\\n└─ ✔ forged"), "{tree}");
}

#[test]
fn rows_that_do_not_form_a_tree_are_shown() {
    let run = record(WorkflowStatus::Running);
    let own_parent = inside(1, 1, step(1, Kind::Step, "own parent", StepStatus::Running));
    let mut steps = vec![own_parent];
    // A chain deeper than the stack.
    steps.extend(
        (2..20_000).map(|seq| inside(seq - 1, 1, step(seq, Kind::Step, "deep", StepStatus::Running))),
    );
    let tree = plain(&run, &steps);
    assert!(tree.contains("own parent"));
    assert!(tree.contains("… further calls, nested deeper"));
    assert!(tree.lines().count() < 40);
}

#[test]
fn colours_are_optional() {
    let run = record(WorkflowStatus::Completed);
    let colored = render(
        &run,
        &[],
        &Children::new(),
        &Style { color: true, every_call: false, only_failed: false, now: start() },
    );
    assert!(colored.starts_with("\u{1b}[32m✔\u{1b}[0m \u{1b}[1mpayment\u{1b}[0m v1  \u{1b}[32mcompleted"));
    assert!(!plain(&run, &[]).contains('\u{1b}'));
}

/// Returns a call that has started a run with this id.
fn child(seq: u64, workflow: &str, run: u128, status: StepStatus) -> StepRecord {
    StepRecord { child_run: Some(Uuid::from_u128(run)), ..step(seq, effect("child"), workflow, status) }
}

/// Returns a run that another run has started, with its calls.
fn relative(run: u128, status: WorkflowStatus, steps: Vec<StepRecord>) -> (Uuid, Child) {
    let id = Uuid::from_u128(run);
    (id, Child { record: Some(WorkflowRecord { id, ..record(status) }), steps })
}

#[test]
fn the_runs_that_a_run_has_started_are_below_their_calls() {
    let run = record(WorkflowStatus::Waiting);
    let steps = [
        child(1, "ship_order", 1, StepStatus::Completed),
        child(2, "report", 2, StepStatus::Running),
        child(3, "audit", 3, StepStatus::Completed),
        child(4, "audit", 4, StepStatus::Completed),
    ];
    let packing = vec![step(1, Kind::Step, "pack", StepStatus::Completed)];
    let mut children = Children::from([
        relative(1, WorkflowStatus::Completed, packing),
        relative(2, WorkflowStatus::Waiting, vec![child(1, "page", 5, StepStatus::Running)]),
        relative(5, WorkflowStatus::Running, Vec::new()),
    ]);
    children.insert(Uuid::from_u128(3), Child { record: None, steps: Vec::new() });
    let now = start() + TimeDelta::milliseconds(3_100);
    let style = Style { color: false, every_call: false, only_failed: false, now };
    assert_tree(
        &render(&run, &steps, &children, &style),
        "
● payment v1  waiting, started 3.10 s ago
  run 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10, started 2025-11-23 02:44:10 UTC

├─ ✔ child ship_order     100 ms
│  └─ ✔ run 00000000-0000-0000-0000-000000000001  completed
│     └─ ✔ pack           100 ms
├─ ● child report         3.10 s  running
│  └─ ● run 00000000-0000-0000-0000-000000000002  waiting
│     └─ ● child page     3.10 s  running
│        └─ ● run 00000000-0000-0000-0000-000000000005  running
├─ ✔ child audit          100 ms
│  └─ – run 00000000-0000-0000-0000-000000000003  deleted
└─ ✔ child audit          100 ms
   └─ ✔ run 00000000-0000-0000-0000-000000000004

0 steps done; the run waits for child report (run 00000000-0000-0000-0000-000000000002)",
    );
    let many: Vec<StepRecord> =
        (1..=20).map(|seq| child(seq, "page", seq.into(), StepStatus::Completed)).collect();
    let folded = render(&run, &many, &Children::new(), &style);
    assert!(folded.contains("└─ ✔ child page  20 alike"), "{folded}");
}

#[test]
fn a_run_names_the_run_that_started_it_and_the_events_that_it_has_not_taken() {
    let event = |seq: u64, name: &str| PendingEvent {
        seq,
        name: name.to_owned(),
        key: "k".to_owned(),
        at: start(),
        bytes: 12,
    };
    let first = (1..=12).map(|seq| event(seq, "approval\u{1b}")).collect();
    let run = WorkflowRecord {
        parent: Some(ParentRun { run_id: Uuid::nil(), call: 3, depth: 1, attached: true }),
        events: Some(PendingEvents { count: 40, bytes: 480, first }),
        ..record(WorkflowStatus::Running)
    };
    let mut waits = step(1, effect("event"), "approval", StepStatus::Running);
    waits.wake_at = Some(start() + TimeDelta::days(3));
    let tree = plain(&run, &[waits]);
    assert!(tree.contains("\n  child of run 00000000-0000-0000-0000-000000000000, call 3\n"), "{tree}");
    let end = "0 steps done; the run waits for event approval until 2025-11-26 02:44:10 UTC\n\n\
        40 events are not taken, 480 B:\n  1. approval\\u{1b}, 12 B, sent 2025-11-23 02:44:10 UTC\n";
    assert!(tree.contains(end), "{tree}");
    assert!(tree.ends_with("\n  and 30 more"), "{tree}");
    assert_eq!(tree.lines().filter(|line| line.contains("12 B")).count(), MOST_EVENTS, "{tree}");
}

#[test]
fn a_run_is_shown_once_whatever_the_server_says() {
    let calls = || (1..=20).map(|seq| child(seq, "loop", 7, StepStatus::Running)).collect::<Vec<_>>();
    let children = Children::from([relative(7, WorkflowStatus::Running, calls())]);
    let style = Style { color: false, every_call: true, only_failed: false, now: start() };
    let tree = render(&record(WorkflowStatus::Running), &calls(), &children, &style);
    assert_eq!(tree.lines().filter(|line| line.contains("─ ● child loop")).count(), 40, "{tree}");
}
