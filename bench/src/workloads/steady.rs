//! What workloads that go on for a while have in common: a load that is measured.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Workload;
use crate::bench::Bench;
use crate::database::{Kind, Place, PostgresServer};
use crate::host::{Host, HostOptions};
use crate::load::{Load, Start, Until, load};
use crate::measurements::{Measurements, Metric, Pair};
use crate::observe::SyncCounter;
use crate::plan::IN_FLIGHT;
use crate::report::Figure;
use crate::stats;

/// Runs before syncs are counted: connections are made, and the component's pages are there.
const RUNS_BEFORE_COUNTING: u64 = 20;

/// Lets a workload run for a while with so many runs in flight, after a warm-up.
pub(crate) async fn measure(
    bench: &mut Bench,
    hosts: &[Host],
    workload: Workload,
    start: &Start<'_>,
    in_flight: u32,
) -> Result<()> {
    if (in_flight as usize) < hosts.len() {
        // A host would have nothing to do.
        return Ok(());
    }
    load(hosts, start, in_flight, Until::Time(bench.plan.warm_up)).await?;
    let load = load(hosts, start, in_flight, Until::Time(bench.plan.load)).await?;
    if hosts.len() > 1 {
        bench.measured.add(workload, in_flight, Metric::RunsPerSecondOf(hosts.len()), load.rate());
        return Ok(());
    }
    record(&mut bench.measured, workload, in_flight, &load)
}

fn record(measured: &mut Measurements, workload: Workload, in_flight: u32, load: &Load) -> Result<()> {
    let latency = stats::median(&stats::microseconds(&load.latencies)).context("no run completed")?;
    let cpu = |usage: crate::observe::Usage| load.per_run(usage.cpu.as_secs_f64() * 1e6);
    for (metric, value) in [
        (Metric::RunsPerSecond, load.rate()),
        (Metric::Latency, latency),
        (Metric::HostCpu, cpu(load.host)),
        (Metric::ServerCpu, cpu(load.server)),
        (Metric::OurCpu, cpu(load.ours)),
        (Metric::Written, load.per_run(load.host.and(load.server).written as f64)),
    ] {
        measured.add(workload, in_flight, metric, value);
    }
    measured.add_limit(Metric::Disturbance, load.disturbance());
    Ok(())
}

/// Syncs, run by run.
pub(crate) struct Syncs {
    /// What a run needs: the median.
    pub(crate) of_a_run: f64,
    /// The mean: what a run needs, and what merging the log needs now and then.
    pub(crate) of_all: f64,
}

/// Counts the syncs of each run with one in flight, in a host of its own.
pub(crate) async fn count_syncs(bench: &Bench, starts: &[Start<'_>]) -> Result<Vec<Syncs>> {
    let counter = SyncCounter::compile(bench.folder())?;
    let options = HostOptions { sync_counter: Some(counter.clone()), ..HostOptions::default() };
    let host = bench.host(options).await?;
    let mut counts = Vec::new();
    for start in starts {
        load(host.alone(), start, 1, Until::Count(RUNS_BEFORE_COUNTING)).await?;
        let mut of_runs = Vec::new();
        for _ in 0..bench.plan.counted_runs {
            let before = counter.count()?;
            load(host.alone(), start, 1, Until::Count(1)).await?;
            of_runs.push((counter.count()? - before) as f64);
        }
        let of_a_run = stats::median(&of_runs).context("no run was counted")?;
        counts.push(Syncs { of_a_run, of_all: of_runs.iter().sum::<f64>() / of_runs.len() as f64 });
    }
    Ok(counts)
}

/// Counts what a server gets for each run with one in flight: a server of its own, which counts, and a host of its own
/// for each count, which has ended by then.
pub(crate) async fn count_statements(bench: &Bench, starts: &[Start<'_>]) -> Result<Vec<f64>> {
    let server = Arc::new(PostgresServer::start_counting(bench.disk())?);
    // A host that only comes and goes asks for something, too.
    let nothing = asked(bench, &server, None).await?;
    let mut counts = Vec::new();
    for start in starts {
        let asked = asked(bench, &server, Some(start)).await?.saturating_sub(nothing);
        counts.push(asked as f64 / bench.plan.counted_runs as f64);
    }
    Ok(counts)
}

/// What a host asks a server for that executes these runs.
async fn asked(bench: &Bench, server: &Arc<PostgresServer>, start: Option<&Start<'_>>) -> Result<u64> {
    let url = server.create_database()?;
    let before = server.asked(&url)?;
    let place = Place::Postgres(Arc::clone(server), url.clone());
    let mut host = bench.host_at(place, HostOptions::default()).await?;
    if let Some(start) = start {
        load(host.alone(), start, 1, Until::Count(bench.plan.counted_runs)).await?;
    }
    host.stop().await?;
    Ok(server.asked(&url)? - before)
}

/// The rate and the latency of a workload with so many runs in flight.
pub(crate) fn rate(measured: &Measurements, workload: Workload, in_flight: u32) -> Option<Figure> {
    let rate = measured.of(workload, in_flight, Metric::RunsPerSecond)?;
    Some(Figure::of(workload, "runs completed", rate, "runs/s").in_flight(in_flight))
}

/// The rates of several hosts beside that of one.
pub(crate) fn rates_of_two(measured: &Measurements, workload: Workload) -> Vec<Option<Figure>> {
    let figure = |in_flight| {
        let rate = measured.of(workload, in_flight, Metric::RunsPerSecondOf(2))?;
        let figure = Figure::of(workload, "runs completed by 2 nodes", rate, "runs/s").in_flight(in_flight);
        Some(figure.against("by 1 node", measured.of(workload, in_flight, Metric::RunsPerSecond)?))
    };
    IN_FLIGHT.map(figure).to_vec()
}

/// The median from start to result with so many runs in flight, in milliseconds.
pub(crate) fn latency(measured: &Measurements, workload: Workload, in_flight: u32) -> Option<Figure> {
    let latency = measured.of(workload, in_flight, Metric::Latency)? / 1e3;
    Some(Figure::of(workload, "start to result, p50", latency, "ms").in_flight(in_flight))
}

/// The same of one run in flight, beside a commit of the database alone.
pub(crate) fn latency_beside_commit(measured: &Measurements, workload: Workload) -> Option<Figure> {
    let pair = measured.pair(workload, 1, Metric::Latency)?;
    let pair = Pair { value: pair.value / 1e3, limit: pair.limit / 1e3, ..pair };
    let name = format!("{}, a commit", measured.database().name());
    Some(
        Figure::of(workload, "start to result, p50", pair.value, "ms").in_flight(1).in_turns_with(name, pair),
    )
}

/// What a run costs whom on the CPU, with so many in flight: the host first.
pub(crate) fn cpu(measured: &Measurements, workload: Workload, in_flight: u32) -> [Option<Figure>; 3] {
    [
        ("CPU of the host for a run", Metric::HostCpu),
        ("CPU of PostgreSQL for a run", Metric::ServerCpu),
        ("CPU of the load generator for a run", Metric::OurCpu),
    ]
    .map(|(name, metric)| {
        let cpu = measured.of(workload, in_flight, metric)?;
        let is_there = metric != Metric::ServerCpu || measured.database() == Kind::Postgres;
        is_there.then(|| Figure::of(workload, name, cpu, "µs").in_flight(in_flight))
    })
}

/// The input of `pure_steps`.
pub(crate) fn pure(steps: u32) -> Value {
    json!({ "steps": steps })
}

/// The input of `http_steps` and `parallel_http_steps`.
pub(crate) fn requests(bench: &Bench, steps: u32) -> Value {
    json!({ "steps": steps, "effects": bench.effects.url() })
}
