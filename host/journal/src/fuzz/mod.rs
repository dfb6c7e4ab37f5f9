//! Random rows, and random calls of a guest against them: what is in a database is not to be trusted, nor is a guest.
//! How to look further is in `tests/fuzz/main.rs`.

mod calls;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use uuid::Uuid;

use self::calls::{call, execute};
use crate::tests::{HTTP, SLEEP, TIMEOUT};
use crate::*;

/// Cases without a word from the environment: a second or two.
const CASES: u32 = 4_000;

const LIMITS: SessionLimits = SessionLimits {
    max_calls: 30,
    max_outstanding: 5,
    max_bytes: 1 << 20,
    kept_log_level: Some(LogLevel::Info),
    log_bytes: 1 << 20,
    published_names: 16,
    published_bytes: 64 << 10,
    compensation_retry: RetryPolicy { max_attempts: 2, backoff_ms: 1, max_backoff_ms: 1 },
    max_retry_after_ms: 1_000,
};

const NOW: Timestamp = Timestamp(1_000);

fn fuzz<S: Strategy>(input: S, target: impl Fn(S::Value)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("FORGE_FUZZ_CASES").and_then(|cases| cases.try_into().ok()).unwrap_or(CASES);
    let rng_seed = RngSeed::Fixed(number("FORGE_FUZZ_SEED").unwrap_or_default());
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let done = TestRunner::new(config).run(&input, |input| {
        target(input);
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

/// A number that is mostly small and sometimes at the end of its range.
fn number(small: std::ops::Range<u64>) -> impl Strategy<Value = u64> + Clone {
    prop_oneof![20 => small, 1 => Just(u64::MAX), 1 => Just(1 << 48), 1 => any::<u64>()]
}

fn name() -> impl Strategy<Value = Arc<str>> {
    select(&["a", "a", "b", "a#2", "workflow_time", "GET x", ""][..]).prop_map(Arc::from)
}

fn scope() -> impl Strategy<Value = Scope> {
    let near = (0_u64..6, 0_u32..3).prop_map(|(step, attempt)| Scope { step, attempt });
    prop_oneof![4 => Just(Scope::BODY), 8 => near, 1 => any::<u64>().prop_map(Scope::from_handle)]
}

fn step_options() -> impl Strategy<Value = StepOptions> {
    let policy =
        (number(0..4), number(0..4), number(0..4)).prop_map(|(attempts, backoff, most)| RetryPolicy {
            max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            backoff_ms: backoff,
            max_backoff_ms: most,
        });
    (any::<bool>(), any::<bool>(), option::of(any::<u64>()), option::of(policy)).prop_map(
        |(compensable, optional, timeout_ms, retry)| StepOptions { compensable, optional, timeout_ms, retry },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    any::<bool>().prop_map(|retryable| Failure { retryable, ..Failure::new("error", "why") })
}

fn kind() -> impl Strategy<Value = Kind> {
    select(
        &[
            Kind::Step,
            Kind::Step,
            Kind::Compensation,
            Kind::Effect(HTTP),
            Kind::Effect(SLEEP),
            Kind::Effect(TIMEOUT),
            Kind::Time,
        ][..],
    )
}

fn status() -> impl Strategy<Value = StepStatus> {
    use StepStatus::{Compensated, Completed, Failed, Pending, Running, Skipped};
    select(&[Running, Completed, Completed, Failed, Pending, Compensated, Skipped][..])
}

fn row() -> impl Strategy<Value = Row> {
    let place = (scope(), option::of(0_u32..3), kind(), name(), any::<u64>());
    let state = (status(), option::of(number(1..20)), vec(number(1..20), 0..2), option::of(any::<i64>()));
    let rest = (
        step_options(),
        option::of(Just("1")),
        option::of(failure()),
        prop_oneof![9 => Just(0_u32), 1 => any::<u32>()],
    );
    (place, state, rest).prop_map(|(place, state, rest)| {
        let (scope, index, kind, name, hash) = place;
        let (status, order, attempt_orders, wake_at) = state;
        let (options, result, failure, attempts) = rest;
        let same = hash % 3 > 0;
        let attempt = 1 + u32::try_from(attempt_orders.len()).unwrap_or_default();
        let index = if kind == Kind::Compensation { None } else { index };
        let begin = Begin { options, ..Begin::new(scope, index, kind, name, None) };
        let begin = if same { begin } else { Begin { fingerprint: hash, ..begin } };
        Row {
            status,
            result: result.map(Arc::from),
            failure: failure.map(Box::new),
            attempt: attempt.wrapping_add(attempts),
            attempt_orders,
            order,
            wake_at: wake_at.map(Timestamp),
            ..Row::new(0, begin, NOW)
        }
    })
}

fn run(status: WorkflowStatus) -> Run {
    let new = NewRun {
        id: RunId(Uuid::from_u128(7)),
        tenant: "t".into(),
        workflow: "test".into(),
        version: 1,
        digest: "d".into(),
        input: "{}".into(),
        started_at: NOW,
        timeout_ms: u64::MAX,
    };
    Run { status, ..Run::new(new) }
}

fn begun(status: WorkflowStatus) -> impl Strategy<Value = WorkflowStatus> {
    prop_oneof![3 => Just(status), 1 => Just(WorkflowStatus::Compensating)]
}

/// Rows that may or may not fit together, with a guest that may or may not fit to them.
#[test]
fn rows_that_anybody_may_have_written_are_refused_or_replayed() {
    let input = (begun(WorkflowStatus::Running), vec(row(), 0..6), vec(call(), 0..20), any::<bool>());
    fuzz(input, |(status, mut rows, calls, repaired)| {
        for (row, seq) in rows.iter_mut().zip(1..) {
            row.seq = seq;
        }
        for index in 0..rows.len() * usize::from(repaired) {
            let (before, from) = rows.split_at_mut(index);
            repair(&mut from[0], before);
        }
        if let Ok(journal) = Journal::load(run(status), rows) {
            execute(journal, calls);
        }
    });
}

/// Makes a row such as a host may have written after those before it.
fn repair(row: &mut Row, before: &[Row]) {
    let parent = before.iter().rev().find(|before| before.kind.has_scope() && before.seq >= row.scope.step);
    row.scope = match (parent, row.kind) {
        (Some(parent), Kind::Compensation) => Scope { step: parent.seq, attempt: 0 },
        (Some(parent), _) if row.scope.attempt > 0 => parent.current_scope(),
        _ => Scope::BODY,
    };
    if row.kind == Kind::Compensation && parent.is_none_or(|parent| parent.kind != Kind::Step) {
        (row.kind, row.scope) = (Kind::Step, Scope::BODY);
    }
    let calls = before.iter().filter(|before| before.scope == row.scope && before.index.is_some()).count();
    row.index = row.index.and_then(|_| u32::try_from(calls).ok());
    row.order = row.order.map(|order| if order < 20 { row.seq * 20 + order } else { order });
    row.attempt_orders.clear();
    row.attempt = 1;
}

/// What a guest does with a journal is a journal, whatever it does; and it is so again after a restart.
#[test]
fn whatever_a_guest_does_its_journal_can_be_read_again() {
    fuzz(vec(vec(call(), 0..40), 1..4), |executions| {
        let mut journal = Journal::new(run(WorkflowStatus::Running));
        for calls in executions {
            let ended = execute(journal, calls);
            journal = match Journal::load(ended.run().clone(), ended.rows().to_vec()) {
                Ok(journal) => journal,
                Err(error) => panic!("{error}: {:#?}", ended.rows()),
            };
        }
    });
}
