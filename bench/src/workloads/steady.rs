//! What workloads that go on for a while have in common: a load that is measured.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Workload;
use crate::bench::Bench;
use crate::host::{Host, HostOptions};
use crate::load::{Load, Start, Until, load};
use crate::measurements::{Measurements, Metric};
use crate::observe::SyncCounter;
use crate::report::Figure;
use crate::stats;

/// Runs before syncs are counted: connections are made, and the component's pages are there.
const RUNS_BEFORE_COUNTING: u64 = 20;

/// Lets a workload run for a while with so many runs in flight, after a warm-up.
pub(crate) async fn measure(
    bench: &mut Bench,
    host: &Host,
    workload: Workload,
    start: &Start<'_>,
    in_flight: u32,
) -> Result<()> {
    load(host, start, in_flight, Until::Time(bench.plan.warm_up)).await?;
    let load = load(host, start, in_flight, Until::Time(bench.plan.load)).await?;
    record(&mut bench.measured, workload, in_flight, &load)
}

fn record(measured: &mut Measurements, workload: Workload, in_flight: u32, load: &Load) -> Result<()> {
    let latency = stats::median(&stats::microseconds(&load.latencies)).context("no run completed")?;
    let cpu = |usage: crate::observe::Usage| load.per_run(usage.cpu.as_secs_f64() * 1e6);
    for (metric, value) in [
        (Metric::RunsPerSecond, load.rate()),
        (Metric::Latency, latency),
        (Metric::HostCpu, cpu(load.host)),
        (Metric::OurCpu, cpu(load.ours)),
        (Metric::Written, load.per_run(load.host.written as f64)),
    ] {
        measured.add(workload, in_flight, metric, value);
    }
    measured.add_limit(Metric::Disturbance, load.disturbance());
    Ok(())
}

/// Counts the syncs for each run with one in flight, in a host of its own.
pub(crate) async fn count_syncs(bench: &Bench, starts: &[Start<'_>]) -> Result<Vec<f64>> {
    let counter = SyncCounter::compile(bench.folder())?;
    let options = HostOptions { sync_counter: Some(counter.clone()), ..HostOptions::default() };
    let host = bench.host(options).await?;
    let mut counts = Vec::new();
    for start in starts {
        load(&host, start, 1, Until::Count(RUNS_BEFORE_COUNTING)).await?;
        let before = counter.count()?;
        let counted = load(&host, start, 1, Until::Count(bench.plan.counted_runs)).await?;
        counts.push(counted.per_run((counter.count()? - before) as f64));
    }
    Ok(counts)
}

/// The rate and the latency of a workload with so many runs in flight.
pub(crate) fn rate(measured: &Measurements, workload: Workload, in_flight: u32) -> Option<Figure> {
    let rate = measured.of(workload, in_flight, Metric::RunsPerSecond)?;
    Some(Figure::of(workload, "runs completed", rate, "runs/s").in_flight(in_flight))
}

/// The median from start to result with so many runs in flight, in milliseconds.
pub(crate) fn latency(measured: &Measurements, workload: Workload, in_flight: u32) -> Option<Figure> {
    let latency = measured.of(workload, in_flight, Metric::Latency)? / 1e3;
    Some(Figure::of(workload, "start to result, p50", latency, "ms").in_flight(in_flight))
}

/// What a run costs whom on the CPU, with so many in flight.
pub(crate) fn cpu(measured: &Measurements, workload: Workload, in_flight: u32) -> [Option<Figure>; 2] {
    [("CPU of the host for a run", Metric::HostCpu), ("CPU of the load generator for a run", Metric::OurCpu)]
        .map(|(name, metric)| {
            let cpu = measured.of(workload, in_flight, metric)?;
            Some(Figure::of(workload, name, cpu, "µs").in_flight(in_flight))
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
