//! W1: runs of 10 steps that touch nothing outside. Only a run's start and its end are promises, so
//! only they wait for the disk.

use anyhow::Result;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::host::Host;
use crate::load::Start;
use crate::measurements::{Measurements, Metric};
use crate::plan::{IN_FLIGHT, STEPS};
use crate::report::Figure;

/// The commit size that journal rows are held against.
const BATCH: usize = 256;

/// 20 times what the best of other engines reached with this workload on such a machine.
const RUNS_PER_SECOND: f64 = 7_760.0;

/// One round.
pub(crate) async fn measure(bench: &mut Bench, host: &Host) -> Result<()> {
    for in_flight in IN_FLIGHT {
        steady::measure(bench, host, Workload::W1, &start(), in_flight).await?;
    }
    Ok(())
}

/// Syncs, once.
pub(crate) async fn count_syncs(bench: &mut Bench) -> Result<()> {
    for syncs in steady::count_syncs(bench, &[start()]).await? {
        bench.measured.add(Workload::W1, 1, Metric::Syncs, syncs);
    }
    Ok(())
}

/// What is started.
pub(crate) fn start() -> Start<'static> {
    Start { workflow: "pure_steps", input: steady::pure(STEPS) }
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let mut figures: Vec<Option<Figure>> =
        IN_FLIGHT.map(|in_flight| steady::rate(measured, Workload::W1, in_flight)).to_vec();
    if let Some(Some(at_64)) = figures.get_mut(2) {
        *at_64 = at_64.clone().at_least(RUNS_PER_SECOND);
    }
    figures.extend([rows(measured), cpu(measured), steady::cpu(measured, Workload::W1, 64)[1].clone()]);
    figures.extend([written(measured), latency(measured), syncs(measured)]);
    figures.into_iter().flatten().collect()
}

fn rows(measured: &Measurements) -> Option<Figure> {
    let rows = measured.of(Workload::W1, 64, Metric::RunsPerSecond)? * f64::from(STEPS);
    let figure = Figure::of(Workload::W1, "journal rows", rows, "rows/s").in_flight(64).at_least(0.25);
    Some(
        figure
            .against(format!("SQLite, {BATCH} rows a commit"), measured.limit(Metric::RowsPerSecond(BATCH))?),
    )
}

fn cpu(measured: &Measurements) -> Option<Figure> {
    let [host, _] = steady::cpu(measured, Workload::W1, 64);
    Some(host?.against("wasmtime, instance and call", measured.limit(Metric::BareCall)?).at_most(8.0))
}

fn written(measured: &Measurements) -> Option<Figure> {
    let kibibytes = measured.of(Workload::W1, 64, Metric::Written)? / 1_024.0;
    Some(Figure::of(Workload::W1, "written to disk for a run", kibibytes, "KiB").in_flight(64).at_most(8.0))
}

fn latency(measured: &Measurements) -> Option<Figure> {
    let commit = measured.limit(Metric::CommitLatency)? / 1e3;
    Some(steady::latency(measured, Workload::W1, 1)?.against("SQLite, a commit", commit).at_most(3.0))
}

fn syncs(measured: &Measurements) -> Option<Figure> {
    let syncs = measured.of(Workload::W1, 1, Metric::Syncs)?;
    Some(Figure::of(Workload::W1, "syncs for a run", syncs, "").in_flight(1).at_most(2.0))
}
