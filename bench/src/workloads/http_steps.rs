//! W2: runs of 10 steps with a request each, one after the other. Every request waits until the journal
//! up to it is on disk: one commit and one round trip for each step.

use anyhow::Result;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::database::Kind;
use crate::host::Host;
use crate::load::Start;
use crate::measurements::{Measurements, Metric};
use crate::plan::{IN_FLIGHT, STEPS};
use crate::report::Figure;

/// 5 times what the best of other engines reached with this workload on such a machine.
const RUNS_PER_SECOND: f64 = 1_510.0;

/// One round.
pub(crate) async fn measure(bench: &mut Bench, hosts: &[Host]) -> Result<()> {
    for in_flight in IN_FLIGHT {
        let start = start(bench, STEPS);
        steady::measure(bench, hosts, Workload::W2, &start, in_flight).await?;
    }
    Ok(())
}

/// Syncs, once: of runs with 10 requests, and what 10 more of them add.
pub(crate) async fn count_syncs(bench: &mut Bench) -> Result<()> {
    let starts = [start(bench, STEPS), start(bench, 2 * STEPS)];
    if let [short, long] = &steady::count_syncs(bench, &starts).await?[..] {
        bench.measured.add(Workload::W2, 1, Metric::Syncs, short.of_a_run);
        bench.measured.add(Workload::W2, 1, Metric::SyncsBesides, short.of_all - short.of_a_run);
        let added = (long.of_a_run - short.of_a_run) / f64::from(STEPS);
        bench.measured.add(Workload::W2, 1, Metric::SyncsPerRequest, added);
    }
    Ok(())
}

/// Statements, once: the same.
pub(crate) async fn count_statements(bench: &mut Bench) -> Result<()> {
    let starts = [start(bench, STEPS), start(bench, 2 * STEPS)];
    if let [short, long] = steady::count_statements(bench, &starts).await?[..] {
        bench.measured.add(Workload::W2, 1, Metric::Statements, short);
        let added = (long - short) / f64::from(STEPS);
        bench.measured.add(Workload::W2, 1, Metric::StatementsPerRequest, added);
    }
    Ok(())
}

/// What is started.
pub(crate) fn start(bench: &Bench, steps: u32) -> Start<'static> {
    Start { workflow: "http_steps", input: steady::requests(bench, steps) }
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let mut figures: Vec<Option<Figure>> =
        IN_FLIGHT.map(|in_flight| steady::rate(measured, Workload::W2, in_flight)).to_vec();
    if let (Kind::Sqlite, Some(Some(at_64))) = (measured.database(), figures.get_mut(2)) {
        *at_64 = at_64.clone().at_least(RUNS_PER_SECOND);
    }
    figures.extend(steady::rates_of_two(measured, Workload::W2));
    figures.extend([
        time_per_step(measured),
        beside_both_in_turns(measured),
        time_for_a_further_step(measured),
    ]);
    figures.extend([syncs(measured), syncs_besides(measured), commits_per_effect(measured)]);
    figures.extend([statements(measured), statements_per_effect(measured)]);
    figures.extend(steady::cpu(measured, Workload::W2, 64));
    figures.into_iter().flatten().collect()
}

fn time_per_step(measured: &Measurements) -> Option<Figure> {
    let most = match measured.database() {
        Kind::Sqlite => 1.3,
        Kind::Postgres => 1.4,
    };
    Some(step(measured, "time for a step, p50", Metric::Latency)?.at_most(most))
}

/// The same beside what one thread takes that does both in turns: the disk, the server and the caches have been left
/// alone meanwhile, as they are between the steps of a run.
fn beside_both_in_turns(measured: &Measurements) -> Option<Figure> {
    let step = measured.pair(Workload::W2, 1, Metric::StepInTurns)?;
    let figure = Figure::of(Workload::W2, "the same", step.value, "µs").in_flight(1);
    Some(figure.in_turns_with("both in turns", step))
}

/// Without the run's own start and end, which are a commit and a round trip.
fn time_for_a_further_step(measured: &Measurements) -> Option<Figure> {
    step(measured, "time for a further step, p50", Metric::FurtherStep)
}

fn step(measured: &Measurements, name: &'static str, metric: Metric) -> Option<Figure> {
    let step = measured.pair(Workload::W2, 1, metric)?;
    let figure = Figure::of(Workload::W2, name, step.value, "µs").in_flight(1);
    Some(figure.in_turns_with("a round trip and a commit", step))
}

fn syncs(measured: &Measurements) -> Option<Figure> {
    let syncs = measured.of(Workload::W2, 1, Metric::Syncs)?;
    Some(Figure::of(Workload::W2, "syncs for a run, p50", syncs, "").in_flight(1).at_most(11.0))
}

/// What no run waits for. No log that is ever merged is without.
fn syncs_besides(measured: &Measurements) -> Option<Figure> {
    let syncs = measured.of(Workload::W2, 1, Metric::SyncsBesides)?;
    let name = "syncs for merging the log, in 1,000 runs";
    Some(Figure::of(Workload::W2, name, (syncs * 1e3).round(), "").in_flight(1))
}

fn commits_per_effect(measured: &Measurements) -> Option<Figure> {
    let commits = measured.of(Workload::W2, 1, Metric::SyncsPerRequest)?;
    Some(Figure::of(Workload::W2, "commits for a further request", commits, "").in_flight(1).at_most(1.0))
}

fn statements(measured: &Measurements) -> Option<Figure> {
    let statements = measured.of(Workload::W2, 1, Metric::Statements)?;
    Some(Figure::of(Workload::W2, "statements for a run", statements, "").in_flight(1))
}

/// The node's signs of life are no run's, and are rounded away.
fn statements_per_effect(measured: &Measurements) -> Option<Figure> {
    let statements = measured.of(Workload::W2, 1, Metric::StatementsPerRequest)?;
    let tenths = (statements * 10.0).round() / 10.0;
    Some(Figure::of(Workload::W2, "statements for a further request", tenths, "").in_flight(1).at_most(1.0))
}
