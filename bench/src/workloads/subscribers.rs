//! W15: subscribers. The time from an event to the frame that shows it; what 1,000 subscribers of one busy run, and 10,000 of idle
//! runs, cost W1; the memory of an idle subscriber.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::throughput::rate;
use crate::bench::Bench;
use crate::figures::Figure;
use crate::host::Host;
use crate::http::{Socket, get, post_json};
use crate::load::{Start, start_all};
use crate::starts::{MANY, STEPS, event_requests, pure_steps, settled_memory, sleep, start};
use crate::stats;
use crate::workload::Workload;

/// Events whose frames are timed.
const EVENTS: u32 = 50;

/// The time between two events whose frames are timed: the first change after such a pause is read at once.
const PAUSE: Duration = Duration::from_millis(1_100);

/// The target of the time from an event to its frame, in milliseconds.
const LATENCY_TARGET: f64 = 10.0;

/// Subscribers of the busy run, with a WebSocket each.
const OF_ONE_RUN: usize = 1_000;

/// The time between two events of the busy run: it changes more often than it is read.
const BUSY: Duration = Duration::from_millis(50);

/// Idle subscribers, each of a run of its own.
const IDLE: usize = 10_000;

/// The WebSockets of the idle subscribers.
const IDLE_SOCKETS: usize = 20;

/// How long idle runs sleep.
const LONG: Duration = Duration::from_secs(3_600);

/// W1 with subscribers compared with W1 without.
const RATE_TARGET: f64 = 0.95;

/// The target of the memory of an idle subscriber, in bytes.
const MEMORY_TARGET: f64 = 4_096.0;

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W15: subscribers");
    latency(bench).await?;
    busy(bench).await?;
    idle(bench).await
}

async fn latency(bench: &mut Bench) -> Result<()> {
    let host = bench.host(&[]).await?;
    let events = bench.full_or_quick(EVENTS, 10);
    let run = start(&host, &event_requests(&bench.effects, events + 1)).await?;
    let mut socket = host.socket().await?;
    socket.follow(&run).await?;
    socket.receive_group().await?;
    let mut latencies = Vec::new();
    let mut connection = host.connect().await?;
    for number in 0..events {
        tokio::time::sleep(PAUSE).await;
        // Frames of the previous event.
        while tokio::time::timeout(Duration::ZERO, socket.receive_group()).await.is_ok() {}
        let event = event(&run, number);
        let sent = Instant::now();
        connection.send_ok(&event).await?;
        socket.receive_group().await?;
        latencies.push(sent.elapsed());
    }
    let latency = stats::median_of(&latencies)? / 1e3;
    let figure = Figure::new(Workload::W15, "event to frame, with the commit, p50", latency, "ms");
    bench.figures.add(figure.in_flight(1).at_most(LATENCY_TARGET));
    Ok(())
}

fn event(run: &str, number: u32) -> Vec<u8> {
    post_json(&format!("/_api/runs/{run}/events/number"), None, &json!({ "payload": number }))
}

/// W1 beside a busy run: without subscribers of it, and with.
async fn busy(bench: &mut Bench) -> Result<()> {
    let host = bench.host(&[]).await?;
    for _ in 0..bench.full_or_quick(5, 2) {
        let run = start(&host, &event_requests(&bench.effects, u32::MAX)).await?;
        let mut connection = host.connect().await?;
        let busy = {
            let run = run.clone();
            tokio::spawn(async move {
                for number in 0.. {
                    tokio::time::sleep(BUSY).await;
                    connection.send_ok(&event(&run, number)).await?;
                }
                anyhow::Ok(())
            })
        };
        let without = rate(bench, host.alone(), &pure_steps(STEPS), MANY).await?;
        let mut subscribers = JoinSet::new();
        for _ in 0..OF_ONE_RUN {
            let mut socket = host.socket().await?;
            socket.follow(&run).await?;
            socket.receive_group().await?;
            subscribers.spawn(async move {
                // Until the task is dropped.
                while socket.receive().await.is_ok() {}
            });
        }
        let with = rate(bench, host.alone(), &pure_steps(STEPS), MANY).await?;
        drop(subscribers);
        busy.abort();
        let figure = Figure::new(Workload::W15, "W1 with 1,000 subscribers of one busy run", with, "runs/s");
        bench.figures.add(figure.in_flight(MANY).against("W1 with the run", without).at_least(RATE_TARGET));
    }
    Ok(())
}

/// W1 without subscribers, and with many that have nothing to receive; their memory.
async fn idle(bench: &mut Bench) -> Result<()> {
    let subscribers = bench.full_or_quick(IDLE, IDLE / 10);
    let host = bench.host(&["--evict-after", "1ms"]).await?;
    let starts: Vec<Start> = (0..subscribers).map(|_| sleep(1, LONG)).collect();
    start_all(&host, &starts, MANY).await?;
    let runs = all_runs(&host).await?;
    let start = pure_steps(STEPS);
    let rounds = bench.full_or_quick(5, 2);
    let mut without = Vec::new();
    for _ in 0..rounds {
        without.push(rate(bench, host.alone(), &start, MANY).await?);
    }
    let before = settled_memory(&host).await?;
    let sockets = subscribe(&host, &runs).await.context("the idle subscribers")?;
    let memory = (settled_memory(&host).await? as f64 - before as f64) / runs.len() as f64;
    let figure = Figure::new(Workload::W15, "memory of an idle subscriber", memory, "bytes");
    bench.figures.add(figure.at_most(MEMORY_TARGET));
    for without in without {
        let with = rate(bench, host.alone(), &start, MANY).await?;
        let figure = Figure::new(Workload::W15, "W1 with 10,000 idle subscribers", with, "runs/s");
        bench.figures.add(figure.in_flight(MANY).against("W1", without).at_least(RATE_TARGET));
    }
    drop(sockets);
    Ok(())
}

/// Returns the ids of all runs.
async fn all_runs(host: &Host) -> Result<Vec<String>> {
    let (mut connection, mut runs) = (host.connect().await?, Vec::new());
    let mut path = "/_api/runs?limit=500".to_owned();
    loop {
        let page: Value = serde_json::from_slice(connection.send_ok(&get(&path)).await?)?;
        let page_runs = page["runs"].as_array().context("a page has runs")?;
        runs.extend(page_runs.iter().filter_map(|run| run["id"].as_str()).map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/_api/runs?limit=500&cursor={cursor}"),
            None => return Ok(runs),
        }
    }
}

/// Subscribes to each of these runs, over a few sockets.
async fn subscribe(host: &Host, runs: &[String]) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for runs in runs.chunks(runs.len().div_ceil(IDLE_SOCKETS).max(1)) {
        let mut socket = host.socket().await?;
        for run in runs {
            socket.follow(run).await?;
            socket.receive_group().await?;
        }
        sockets.push(socket);
    }
    Ok(sockets)
}
