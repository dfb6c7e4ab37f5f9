//! Ageing: whether W1 is slower in a database with many finished runs than in a fresh one.

use anyhow::Result;

use super::{Workload, pure_steps};
use crate::bench::Bench;
use crate::host::{Host, HostOptions};
use crate::load::{Until, load};
use crate::measurements::{Measurements, Metric};
use crate::report::Figure;

/// Runs in flight.
const IN_FLIGHT: u32 = 64;

/// Both take turns, so that what disturbs the machine for a while disturbs both.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let runs = bench.plan.aged_runs;
    bench.say(&format!("ageing: {runs} runs, then a comparison with a fresh database"));
    let aged = bench.host(HostOptions::default()).await?;
    load(aged.alone(), &pure_steps::start(), IN_FLIGHT, Until::Count(runs)).await?;
    for _ in 0..bench.plan.comparisons {
        let fresh = bench.host(HostOptions::default()).await?;
        measure_one(bench, &fresh, Metric::FreshRunsPerSecond).await?;
        drop(fresh);
        measure_one(bench, &aged, Metric::AgedRunsPerSecond).await?;
    }
    Ok(())
}

async fn measure_one(bench: &mut Bench, host: &Host, metric: Metric) -> Result<()> {
    load(host.alone(), &pure_steps::start(), IN_FLIGHT, Until::Time(bench.plan.warm_up)).await?;
    let load = load(host.alone(), &pure_steps::start(), IN_FLIGHT, Until::Time(bench.plan.load)).await?;
    bench.measured.add(Workload::Ageing, IN_FLIGHT, metric, load.rate());
    Ok(())
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let rate = |metric| measured.of(Workload::Ageing, IN_FLIGHT, metric);
    let figure = || {
        let figure =
            Figure::of(Workload::Ageing, "W1 after many runs", rate(Metric::AgedRunsPerSecond)?, "runs/s");
        let fresh = rate(Metric::FreshRunsPerSecond)?;
        Some(figure.in_flight(IN_FLIGHT).against("on a fresh database", fresh).at_least(0.9))
    };
    figure().into_iter().collect()
}
