//! Latencies and rates that are held against what the disk does alone. A disk may be twice as fast a second later, so
//! that both take turns, a part of a second each: the ratio is the median of the turns' ratios.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::host::Host;
use crate::limits::http::RoundTrips;
use crate::limits::{self, Journal, at_once};
use crate::load::{Load, Start, Until, load};
use crate::measurements::Metric;
use crate::plan::STEPS;
use crate::stats;
use crate::workloads::{Workload, http_steps, one_step, pure_steps};

/// How long each side of a turn lasts.
const TURN: Duration = Duration::from_millis(200);

/// How long each side has been at work before its latency is measured. After a rest, as the other side's turn is one, the
/// kernel puts those who wake each other on one core until they have been busy for a tenth of a second; on two they are
/// faster by a third. Which of the two a turn had more of was a matter of chance.
const WARM_UP: Duration = TURN;

/// The same where runs are counted: it takes some milliseconds until all clients are at work, and as many until the last
/// one is done.
const COUNTED_TURN: Duration = Duration::from_millis(600);

/// Runs in flight where rows are compared.
const MANY: u32 = pure_steps::ROWS_IN_FLIGHT;

/// The turns of one round.
pub(crate) async fn measure(bench: &mut Bench, journal: &mut Journal, host: &Host) -> Result<()> {
    run(host, &pure_steps::start(), MANY, bench.plan.warm_up).await?;
    for _ in 0..bench.plan.turns {
        let commit = commit(journal).await?;
        if bench.has(Workload::W1) {
            let run = latency(host, &pure_steps::start()).await?;
            bench.measured.add_pair(Workload::W1, 1, Metric::Latency, run, commit);
            let alone = journal.rows_per_second(pure_steps::BATCH).await?;
            let rows = run_rate(host).await? * f64::from(STEPS);
            bench.measured.add_pair(Workload::W1, MANY, Metric::Rows, rows, alone);
        }
        if bench.has(Workload::W2) {
            let round_trip = warm(async |time| limits::http::latency(&bench.effects, time).await).await?;
            let commit = self::commit(journal).await?;
            let mut trips = RoundTrips::open(&bench.effects).await?;
            let both =
                warm(async |time| journal.commits(time, async || trips.one().await).await).await?.median;
            let run = latency(host, &http_steps::start(bench, STEPS)).await?;
            let longer = latency(host, &http_steps::start(bench, 2 * STEPS)).await?;
            let [step, further] = [run, longer - run].map(|time| time / f64::from(STEPS));
            bench.measured.add_pair(Workload::W2, 1, Metric::Latency, step, round_trip + commit);
            bench.measured.add_pair(Workload::W2, 1, Metric::FurtherStep, further, round_trip + commit);
            bench.measured.add_pair(Workload::W2, 1, Metric::StepInTurns, step, both);
        }
        if bench.has(Workload::W3) {
            let commit = self::commit(journal).await?;
            let run = latency(host, &one_step::start()).await?;
            bench.measured.add_pair(Workload::W3, 1, Metric::Latency, run, commit);
        }
    }
    Ok(())
}

/// One side of a turn, which has been at work before.
async fn warm<T>(mut side: impl AsyncFnMut(Duration) -> Result<T>) -> Result<T> {
    side(WARM_UP).await?;
    side(TURN).await
}

/// A commit of one row after the other, the median in microseconds.
async fn commit(journal: &mut Journal) -> Result<f64> {
    Ok(warm(async |time| journal.commits(time, at_once).await).await?.median)
}

/// From start to result with one run in flight, the median in microseconds.
async fn latency(host: &Host, start: &Start<'_>) -> Result<f64> {
    let load = warm(async |time| run(host, start, 1, time).await).await?;
    stats::median(&stats::microseconds(&load.latencies)).context("no run completed")
}

/// Runs of W1 a second.
async fn run_rate(host: &Host) -> Result<f64> {
    Ok(run(host, &pure_steps::start(), MANY, COUNTED_TURN).await?.rate())
}

async fn run(host: &Host, start: &Start<'_>, in_flight: u32, time: Duration) -> Result<Load> {
    load(host.alone(), start, in_flight, Until::Time(time)).await
}
