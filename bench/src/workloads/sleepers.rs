//! W5: runs that sleep: what they cost while they do, and whether they wake up on time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{Workload, pure_steps};
use crate::bench::Bench;
use crate::database::Database;
use crate::host::{Host, HostOptions};
use crate::load::{Start, Until, load, start_all};
use crate::measurements::{Measurements, Metric};
use crate::observe;
use crate::report::Figure;
use crate::stats;

/// Clients that start runs.
const CLIENTS: usize = 64;

/// Runs before memory is looked at: caches are warm, and buffers as large as they get.
const RUNS_BEFORE: u64 = 2_000;

/// Sleepers that do not wake up here, by which the rate of starts is known beforehand: one of so many.
const SCOUTS: u64 = 50;

/// Longer than the benchmark, shorter than what a run in memory may wait.
const LONG: Duration = Duration::from_secs(3_000);

/// How long all may take to fall asleep, beyond the time in which they are started.
const REST: Duration = Duration::from_secs(15);

/// Memory is at rest when it has changed by less than a hundredth for so long.
const SETTLED: Duration = Duration::from_secs(2);

/// How much later than the last wake-up all may be done.
const PATIENCE: Duration = Duration::from_secs(120);

/// First those that leave memory, then those that stay.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    evicted(bench).await?;
    parked(bench).await
}

async fn evicted(bench: &mut Bench) -> Result<()> {
    let sleepers = bench.plan.sleepers;
    bench.say(&format!("W5: {sleepers} sleepers"));
    let host = bench.host(HostOptions::with_flags(["--evict-after", "100ms"])).await?;
    let scouts = sleepers.div_ceil(SCOUTS);
    load(host.alone(), &pure_steps::start(), CLIENTS as u32, Until::Count(RUNS_BEFORE)).await?;
    let rate = scouts as f64 / fall_asleep(&host, (0..scouts).map(|_| LONG)).await?.as_secs_f64();
    let before = settled_memory(&host).await?;
    let mut database = Database::open(host.place()).await?;
    let completed_before = database.completed().await?;

    let starting = Duration::from_secs_f64(sleepers as f64 / rate);
    let first = starting.mul_f64(1.5) + REST;
    let waking = bench.plan.waking;
    // Who is started later sleeps shorter, so that they wake up evenly.
    let durations = (0..sleepers).map(|number| {
        let share = number as f64 / sleepers as f64;
        (first + waking.mul_f64(share)).saturating_sub(starting.mul_f64(share))
    });
    let began = Instant::now();
    let started = fall_asleep(&host, durations).await?;
    let rate = sleepers as f64 / started.as_secs_f64();
    bench.measured.add(Workload::W5, 0, Metric::StartsPerSecond, rate);
    let asleep = settled_memory(&host).await?;
    ensure!(
        database.completed().await? == completed_before,
        "some woke up before all slept: {sleepers} starts took {} s, {} s were expected",
        started.as_secs(),
        starting.as_secs()
    );
    let memory = asleep.saturating_sub(before) as f64 / sleepers as f64;
    bench.measured.add(Workload::W5, 0, Metric::SleeperMemory, memory);

    bench.say(&format!("W5: they wake up over {} s", waking.as_secs()));
    // Counting rows costs the machine milliseconds: not while wake-ups are to be on time.
    tokio::time::sleep((first + waking).saturating_sub(began.elapsed())).await;
    database.until_completed(completed_before + sleepers, PATIENCE).await?;
    let lateness = database.lateness().await?;
    ensure!(lateness.len() as u64 == sleepers, "{} of {sleepers} sleepers are found", lateness.len());
    for (metric, percent) in [(Metric::LatenessMedian, 50.0), (Metric::LatenessHigh, 99.0)] {
        let value = stats::percentile(&lateness, percent).context("nobody slept")?;
        bench.measured.add(Workload::W5, 0, metric, value);
    }
    Ok(())
}

async fn parked(bench: &mut Bench) -> Result<()> {
    let runs = bench.plan.parked_runs;
    bench.say(&format!("W5: {runs} runs that sleep in memory"));
    let places = (runs + runs / 4).to_string();
    let flags = ["--evict-after", "1h", "--live-instances", &places];
    let host = bench.host(HostOptions::with_flags(flags)).await?;
    load(host.alone(), &pure_steps::start(), CLIENTS as u32, Until::Count(RUNS_BEFORE)).await?;
    let before = settled_memory(&host).await?;
    fall_asleep(&host, (0..runs).map(|_| LONG)).await?;
    let memory = settled_memory(&host).await?.saturating_sub(before) as f64 / runs as f64;
    bench.measured.add(Workload::W5, 0, Metric::ParkedMemory, memory);
    Ok(())
}

/// Starts runs that sleep so long; how long the starts took.
async fn fall_asleep(host: &Host, durations: impl Iterator<Item = Duration>) -> Result<Duration> {
    let start = |duration: Duration| Start {
        workflow: "pure_steps",
        input: json!({ "steps": 0, "sleep_ms": duration.as_millis() as u64 }),
    };
    let starts: Vec<Start<'_>> = durations.map(start).collect();
    let began = Instant::now();
    start_all(host, &starts, CLIENTS).await?;
    Ok(began.elapsed())
}

/// The host's memory once it is at rest, or after some time in any case.
async fn settled_memory(host: &Host) -> Result<u64> {
    let pid = host.pid()?;
    let until = Instant::now() + REST;
    let mut last = observe::memory(pid)?;
    loop {
        tokio::time::sleep(SETTLED).await;
        let now = observe::memory(pid)?;
        if now.abs_diff(last) <= last / 100 || Instant::now() > until {
            return Ok(now);
        }
        last = now;
    }
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = |name, metric, scale, unit| {
        let value = measured.of(Workload::W5, 0, metric)? / scale;
        Some(Figure::of(Workload::W5, name, value, unit))
    };
    let at_most = |figure: Option<Figure>, target| figure.map(|figure| figure.at_most(target));
    let figures = [
        figure("starts acknowledged", Metric::StartsPerSecond, 1.0, "/s"),
        at_most(figure("memory of a sleeper that left memory", Metric::SleeperMemory, 1.0, "bytes"), 1_024.0),
        at_most(figure("memory of a sleeper that stays", Metric::ParkedMemory, 1_024.0, "KiB"), 80.0),
        figure("lateness of wake-ups, p50", Metric::LatenessMedian, 1.0, "ms"),
        at_most(figure("lateness of wake-ups, p99", Metric::LatenessHigh, 1.0, "ms"), 10.0),
    ];
    figures.into_iter().flatten().collect()
}
