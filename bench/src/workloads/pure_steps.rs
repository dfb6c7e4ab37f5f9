//! W1: runs of 10 steps that touch nothing outside. Only a run's start and its end are promises, so
//! only they wait for the disk.

use anyhow::Result;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::database::Kind;
use crate::host::Host;
use crate::load::Start;
use crate::measurements::{Measurements, Metric};
use crate::plan::{IN_FLIGHT, STEPS};
use crate::report::Figure;

/// The commit size that journal rows are held against.
pub(crate) const BATCH: usize = 256;

/// Runs in flight while rows are counted.
pub(crate) const ROWS_IN_FLIGHT: u32 = 64;

/// 20 times what the best of other engines reached with this workload on such a machine.
const RUNS_PER_SECOND: f64 = 7_760.0;

/// One round.
pub(crate) async fn measure(bench: &mut Bench, hosts: &[Host]) -> Result<()> {
    for in_flight in IN_FLIGHT {
        steady::measure(bench, hosts, Workload::W1, &start(), in_flight).await?;
    }
    Ok(())
}

/// Syncs, once.
pub(crate) async fn count_syncs(bench: &mut Bench) -> Result<()> {
    for syncs in steady::count_syncs(bench, &[start()]).await? {
        bench.measured.add(Workload::W1, 1, Metric::Syncs, syncs.of_all);
    }
    Ok(())
}

/// Statements, once.
pub(crate) async fn count_statements(bench: &mut Bench) -> Result<()> {
    for statements in steady::count_statements(bench, &[start()]).await? {
        bench.measured.add(Workload::W1, 1, Metric::Statements, statements);
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
    if let (Kind::Sqlite, Some(Some(at_64))) = (measured.database(), figures.get_mut(2)) {
        *at_64 = at_64.clone().at_least(RUNS_PER_SECOND);
    }
    figures.extend(steady::rates_of_two(measured, Workload::W1));
    figures.push(rows(measured));
    figures.extend(cpu(measured));
    figures.extend([written(measured), latency(measured), syncs(measured), statements(measured)]);
    figures.into_iter().flatten().collect()
}

fn rows(measured: &Measurements) -> Option<Figure> {
    let rows = measured.pair(Workload::W1, ROWS_IN_FLIGHT, Metric::Rows)?;
    let figure = Figure::of(Workload::W1, "journal rows", rows.value, "rows/s").in_flight(ROWS_IN_FLIGHT);
    let database = measured.database();
    let figure = figure.at_least(match database {
        Kind::Sqlite => 0.25,
        Kind::Postgres => 0.4,
    });
    Some(figure.in_turns_with(format!("{}, {BATCH} rows a commit", database.name()), rows))
}

fn cpu(measured: &Measurements) -> [Option<Figure>; 3] {
    let [host, server, ours] = steady::cpu(measured, Workload::W1, 64);
    let host = host.zip(measured.limit(Metric::BareCall)).map(|(host, call)| {
        let host = host.against("wasmtime, instance and call", call);
        if measured.database() == Kind::Sqlite { host.at_most(8.0) } else { host }
    });
    [host, server, ours]
}

fn written(measured: &Measurements) -> Option<Figure> {
    let kibibytes = measured.of(Workload::W1, 64, Metric::Written)? / 1_024.0;
    let figure = Figure::of(Workload::W1, "written to disk for a run", kibibytes, "KiB").in_flight(64);
    Some(if measured.database() == Kind::Sqlite { figure.at_most(8.0) } else { figure })
}

fn latency(measured: &Measurements) -> Option<Figure> {
    let figure = steady::latency_beside_commit(measured, Workload::W1)?;
    Some(if measured.database() == Kind::Sqlite { figure.at_most(3.0) } else { figure })
}

fn syncs(measured: &Measurements) -> Option<Figure> {
    let syncs = measured.of(Workload::W1, 1, Metric::Syncs)?;
    Some(Figure::of(Workload::W1, "syncs for a run", syncs, "").in_flight(1).at_most(2.0))
}

fn statements(measured: &Measurements) -> Option<Figure> {
    let statements = measured.of(Workload::W1, 1, Metric::Statements)?;
    Some(Figure::of(Workload::W1, "statements for a run", statements, "").in_flight(1))
}
