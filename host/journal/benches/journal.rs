//! What the journal itself costs, without a guest, a disk or a network: `cargo bench -p forge-journal`.

use std::sync::Arc;

use divan::Bencher;
use forge_journal::{Begin, Event, Journal, Kind, NewRun, Row, Run, RunId, Scope, Timestamp};
use uuid::Uuid;

/// Steps of a run of the benchmark's first workload.
const STEPS: u64 = 10;

/// Steps of a long journal.
const LONG: u64 = 10_000;

fn main() {
    divan::main();
}

/// Begins and completes ten steps, and takes what the store would get.
#[divan::bench]
fn ten_steps_begin_and_complete(bencher: Bencher<'_, '_>) {
    let names = names(STEPS);
    bencher.with_inputs(|| begun(run())).bench_values(|mut journal| {
        step_through(&mut journal, &names);
        journal.take_changes()
    });
}

/// Loads a journal of ten thousand rows as the store has it, which is the first part of a replay.
#[divan::bench]
fn ten_thousand_rows_load(bencher: Bencher<'_, '_>) {
    let rows = rows(LONG);
    bencher
        .counter(divan::counter::ItemsCount::new(LONG))
        .with_inputs(|| rows.clone())
        .bench_values(|rows| Journal::load(run(), rows));
}

fn step_through(journal: &mut Journal, names: &[Arc<str>]) {
    for (number, name) in (1..).zip(names) {
        let begin = Event::Begun(Begin::new(
            Scope::BODY,
            Some(number as u32 - 1),
            Kind::Step,
            Arc::clone(name),
            None,
        ));
        apply(journal, begin);
        apply(journal, Event::Completed { seq: number, result: Some(Arc::clone(name)) });
    }
}

fn apply(journal: &mut Journal, event: Event) {
    if let Err(error) = journal.apply(event, Timestamp(1)) {
        unreachable!("the benchmark makes legal events: {error}");
    }
}

/// A journal whose run executes.
fn begun(run: Run) -> Journal {
    let mut journal = Journal::new(run);
    apply(&mut journal, Event::Running);
    journal
}

fn rows(count: u64) -> Vec<Row> {
    let mut journal = begun(run());
    step_through(&mut journal, &names(count));
    journal.rows().to_vec()
}

fn names(count: u64) -> Vec<Arc<str>> {
    (0..count).map(|number| format!("step_{number}").into()).collect()
}

fn run() -> Run {
    Run::new(NewRun {
        id: RunId(Uuid::from_u128(1)),
        tenant: "default".into(),
        workflow: "pure_steps".into(),
        version: 1,
        digest: "00".into(),
        input: "{}".into(),
        started_at: Timestamp(0),
        timeout_ms: 86_400_000,
    })
}
