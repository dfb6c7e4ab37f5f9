//! W10: the time from sending an event to the arrival of the request that its run sends next. Runs get their events in
//! turn, one at a time, so each of them waits again when its next event comes. At the beginning of each turn, all of them are in
//! memory, or none.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::figures::Figure;
use crate::host::Host;
use crate::http::{Connection, get, post_json};
use crate::limits::Limits;
use crate::starts::{event_requests, start, wait_for};
use crate::stats;
use crate::workload::Workload;

/// Runs that get events in turn.
const RUNS: u64 = 64;

/// The events of each run. The first is not measured: after a pause, latencies are longer.
const EVENTS: u32 = 5;

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than the timeout of a run, until which it waits: no run leaves memory.
const NEVER: &str = "1h";

/// The target of a run that has left memory, in milliseconds.
const EVICTED_TARGET: f64 = 5.0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W10: events for runs in memory and for runs that have left memory");
    let mut limits = Limits::open(bench).await?;
    let in_memory = bench.host(&["--evict-after", NEVER]).await?;
    let evicted = bench.host(&["--evict-after", "1ms"]).await?;
    for _ in 0..bench.full_or_quick(8, 3) {
        let limit = 2.0 * limits.commit().await? + limits.round_trip().await?;
        let latency = median_latency(bench, &in_memory, RUNS).await?;
        let figure = Figure::new(Workload::W10, "event to request, run in memory, p50", latency, "µs");
        let figure = figure.in_flight(1).against("2 raw commits and a round trip", limit);
        bench.figures.add(figure.at_most(2.0));

        let latency = median_latency(bench, &evicted, 0).await? / 1e3;
        let figure = Figure::new(Workload::W10, "event to request, evicted run, p50", latency, "ms");
        bench.figures.add(figure.in_flight(1).at_most(EVICTED_TARGET));
    }
    Ok(())
}

/// Returns the median of the time from an event to the request in microseconds. So many runs are in memory when a turn begins.
async fn median_latency(bench: &Bench, host: &Host, in_memory: u64) -> Result<f64> {
    let (mut connection, mut runs) = (host.connect().await?, Vec::new());
    for _ in 0..RUNS {
        runs.push(start(host, &event_requests(&bench.effects, EVENTS)).await?);
    }
    let mut latencies = Vec::new();
    for number in 0..EVENTS {
        let are_in_place = async || {
            let health: Value = serde_json::from_slice(connection.send_ok(&get("/_api/health")).await?)?;
            Ok((health["runs_in_memory"] == in_memory).then_some(()))
        };
        wait_for("loading or evicting the runs of W10", are_in_place).await?;
        for run in &runs {
            let latency = one_event(bench, &mut connection, run, number).await?;
            if number > 0 {
                latencies.push(latency);
            }
        }
    }
    stats::median_of(&latencies)
}

/// Sends an event, and returns the time until the request of its run arrives.
async fn one_event(bench: &Bench, connection: &mut Connection, run: &str, number: u32) -> Result<Duration> {
    let event = post_json(&format!("/_api/runs/{run}/events/number"), None, &json!({ "payload": number }));
    let mut arrival = bench.effects.arrival();
    let sent = Instant::now();
    connection.send_ok(&event).await?;
    let arrived = tokio::time::timeout(PATIENCE, arrival.changed()).await;
    arrived.with_context(|| format!("run {run} sent no request within {PATIENCE:?} of its event"))??;
    let arrived = arrival.borrow().context("no request has arrived")?;
    Ok(arrived.duration_since(sent))
}
