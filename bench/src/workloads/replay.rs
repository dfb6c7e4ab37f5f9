//! W6: runs with a long journal leave memory and come back by replay. The replay takes what such a run is
//! later at its end than one without a journal.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Workload;
use crate::bench::Bench;
use crate::database::Database;
use crate::host::{Host, HostOptions};
use crate::http::post;
use crate::measurements::{Measurements, Metric};
use crate::report::Figure;

/// Steps in the journal. The first is what the others are held against.
const LENGTHS: [u32; 4] = [0, 1_000, 10_000, 50_000];

/// The length that the target is about.
const TARGET_LENGTH: u32 = 10_000;

/// How long the run without a journal sleeps: longer than the others take to get there.
const SLEEP: Duration = Duration::from_secs(3);

/// How much longer each next one sleeps, so that no two replays meet.
const APART: Duration = Duration::from_millis(600);

/// How long a run may take to get where it sleeps, and then to its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Replays of each length, some times.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W6: replays");
    let host = bench.host(HostOptions::with_flags(["--evict-after", "0s"])).await?;
    let mut database = Database::open(host.place()).await?;
    for _ in 0..bench.plan.replays {
        let mut runs = Vec::new();
        for (number, length) in (0..).zip(LENGTHS) {
            runs.push((length, start(&host, length, SLEEP + number * APART).await?));
        }
        for (length, run) in runs {
            let lateness = lateness(&mut database, &run).await?;
            bench.measured.add(Workload::W6, 0, Metric::Replay(length), lateness);
        }
    }
    Ok(())
}

/// Starts a run, waits until it sleeps, and gives its id.
async fn start(host: &Host, steps: u32, sleep: Duration) -> Result<String> {
    let body = json!({ "input": { "steps": steps, "sleep_ms": sleep.as_millis() as u64 } }).to_string();
    let path = "/_api/workflows/pure_steps/start";
    let request = post(host.address()?, path, "application/json", body.as_bytes());
    let answer: Value = serde_json::from_slice(host.connect().await?.send(&request).await?.ok()?)?;
    let run = answer["run_id"].as_str().context("a start gives the run's id")?.to_owned();
    let until = Instant::now() + PATIENCE;
    loop {
        let record = host.get(&format!("/_api/runs/{run}")).await?;
        if record["status"] == "waiting" {
            return Ok(run);
        }
        ensure!(Instant::now() < until, "run {run} does not get to sleep: it is {}", record["status"]);
        // Asking reads the whole journal.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn lateness(database: &mut Database, run: &str) -> Result<f64> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(lateness) = database.lateness_of(run).await? {
            return Ok(lateness);
        }
        ensure!(Instant::now() < until, "run {run} does not complete");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let lateness = |length| measured.of(Workload::W6, 0, Metric::Replay(length));
    let figure = |length| {
        let milliseconds = lateness(length)? - lateness(0)?;
        // Times are whole milliseconds, so that a short replay may seem to take none.
        let rate = f64::from(length) / milliseconds.max(1.0) * 1e3;
        let figure = Figure::of(
            Workload::W6,
            format!("replay of {length} steps ({milliseconds} ms)"),
            rate,
            "steps/s",
        );
        Some(if length == TARGET_LENGTH { figure.at_least(500_000.0) } else { figure })
    };
    let longer = LENGTHS.into_iter().filter(|length| *length > 0);
    longer.filter_map(figure).collect()
}
