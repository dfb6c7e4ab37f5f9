//! W14: the memory of runs that wait for an event. They leave memory like runs that sleep.

use anyhow::Result;

use super::sleepers::RUNS_BEFORE;
use crate::bench::Bench;
use crate::figures::Figure;
use crate::host::Host;
use crate::load::{Start, Until, load, start_all};
use crate::starts::{MANY, STEPS, event_requests, pure_steps, settled_memory, wait_for};
use crate::workload::Workload;

/// Runs that wait before memory is measured, so that the structures for them have begun to grow.
const SAMPLE: u64 = 1_000;

/// The target of one run, in bytes.
const TARGET: f64 = 1_024.0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let waiters: u64 = bench.full_or_quick(100_000, 20_000);
    bench.say(&format!("W14: {waiters} runs that wait for an event"));
    let host = bench.host(&["--evict-after", "1ms"]).await?;
    load(host.alone(), &pure_steps(STEPS), MANY, Until::Count(RUNS_BEFORE)).await?;
    start_waiters(bench, &host, SAMPLE).await?;
    let before = settled_memory(&host).await?;
    start_waiters(bench, &host, waiters).await?;
    let mut reader = host.read().await?;
    // A run leaves memory when the database has that it waits.
    let waiting = async || Ok((reader.waiting().await? >= SAMPLE + waiters).then_some(()));
    wait_for("the wait of all runs", waiting).await?;
    let memory = (settled_memory(&host).await? as f64 - before as f64) / waiters as f64;
    let figure = Figure::new(Workload::W14, "memory of a run that waits for an event", memory, "bytes");
    bench.figures.add(figure.at_most(TARGET));
    Ok(())
}

async fn start_waiters(bench: &Bench, host: &Host, count: u64) -> Result<()> {
    let starts: Vec<Start> = (0..count).map(|_| event_requests(&bench.effects, 1)).collect();
    start_all(host, &starts, MANY).await?;
    Ok(())
}
