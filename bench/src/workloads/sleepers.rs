//! W5: the memory of runs that sleep, and whether they wake up on time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::Bench;
use crate::figures::Figure;
use crate::host::Host;
use crate::load::{Start, Until, load, start_all};
use crate::starts::{EVICTION, MANY, STEPS, pure_steps, settled_memory, sleep, wait_for};
use crate::stats::percentile;
use crate::workload::Workload;

/// Runs before memory is measured, so that caches and buffers have their final size.
pub(super) const RUNS_BEFORE: u64 = 2_000;

/// One of so many sleepers is started beforehand to measure the rate of starts.
const SAMPLE: u64 = 50;

/// Longer than the benchmark, shorter than `--evict-after` of runs that stay in memory.
const LONG: Duration = Duration::from_secs(3_000);

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    evicted(bench).await?;
    in_memory(bench).await
}

async fn evicted(bench: &mut Bench) -> Result<()> {
    let sleepers: u64 = bench.full_or_quick(100_000, 5_000);
    let waking = Duration::from_secs(bench.full_or_quick(60, 8));
    bench.say(&format!("W5: {sleepers} runs that sleep and are evicted"));
    let host = bench.host(&["--evict-after", "100ms"]).await?;
    let sample = sleepers.div_ceil(SAMPLE);
    load(host.alone(), &pure_steps(STEPS), MANY, Until::Count(RUNS_BEFORE)).await?;
    let starting =
        start_sleepers(&host, (0..sample).map(|_| LONG)).await?.mul_f64(sleepers as f64 / sample as f64);
    let before = settled_memory(&host).await?;
    let mut reader = host.read().await?;
    let completed_before = reader.completed().await?;

    // Runs that are started later sleep for a shorter time, so that they wake up evenly.
    let first = starting.mul_f64(1.5) + EVICTION;
    let durations = (0..sleepers).map(|number| {
        let share = number as f64 / sleepers as f64;
        (first + waking.mul_f64(share)).saturating_sub(starting.mul_f64(share))
    });
    let began = Instant::now();
    let started = start_sleepers(&host, durations).await?;
    let asleep = settled_memory(&host).await?;
    let all_sleep = reader.completed().await? == completed_before;
    ensure!(all_sleep, "runs woke up before all slept: {started:?} for the starts instead of {starting:?}");

    bench.say(&format!("W5: they wake up over {} s", waking.as_secs()));
    // Reading the database takes CPU time, so it waits for the last timer.
    tokio::time::sleep((first + waking).saturating_sub(began.elapsed())).await;
    let all = completed_before + sleepers;
    let completed = async || Ok((reader.completed().await? >= all).then_some(()));
    wait_for("the end of all runs", completed).await?;
    let lateness = reader.lateness(None).await?;
    ensure!(lateness.len() as u64 == sleepers, "{} of {sleepers} sleepers are found", lateness.len());
    let figure = |name, value, unit| Figure::new(Workload::W5, name, value, unit);
    let memory = asleep.saturating_sub(before) as f64 / sleepers as f64;
    for figure in [
        figure("acknowledged starts", sleepers as f64 / started.as_secs_f64(), "/s"),
        figure("memory of a run that sleeps, evicted", memory, "bytes").at_most(1_024.0),
        figure("lateness of timers, p50", percentile(&lateness, 50.0)?, "ms"),
        figure("lateness of timers, p99", percentile(&lateness, 99.0)?, "ms").at_most(10.0),
    ] {
        bench.figures.add(figure);
    }
    Ok(())
}

async fn in_memory(bench: &mut Bench) -> Result<()> {
    let runs: u64 = bench.full_or_quick(2_000, 500);
    bench.say(&format!("W5: {runs} runs that sleep in memory"));
    let instances = (runs + runs / 4).to_string();
    let host = bench.host(&["--evict-after", "1h", "--live-instances", &instances]).await?;
    load(host.alone(), &pure_steps(STEPS), MANY, Until::Count(RUNS_BEFORE)).await?;
    let before = settled_memory(&host).await?;
    start_sleepers(&host, (0..runs).map(|_| LONG)).await?;
    let memory = settled_memory(&host).await?.saturating_sub(before) as f64 / runs as f64 / 1_024.0;
    let figure = Figure::new(Workload::W5, "memory of a run that sleeps, in memory", memory, "KiB");
    bench.figures.add(figure.at_most(80.0));
    Ok(())
}

/// Starts runs that sleep so long; returns how long the starts took.
async fn start_sleepers(host: &Host, durations: impl Iterator<Item = Duration>) -> Result<Duration> {
    let starts: Vec<Start> = durations.map(|duration| sleep(0, duration)).collect();
    Ok(start_all(host, &starts, MANY).await?.elapsed)
}
