//! W6: a run with a long journal sleeps, is evicted, and is replayed when its timer fires. The replay takes the time by
//! which its end is later than that of a run with an empty journal.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::database::{Kind, Reader};
use crate::figures::Figure;
use crate::host::Host;
use crate::starts::{sleep, start, wait_for};
use crate::stats;
use crate::workload::Workload;

/// Steps in the journal, and the names of the figures. The others are compared with the first.
const LENGTHS: [(u32, &str); 4] = [
    (0, ""),
    (1_000, "replay of 1,000 steps"),
    (10_000, "replay of 10,000 steps"),
    (50_000, "replay of 50,000 steps"),
];

/// The length that has a target.
const TARGET_LENGTH: u32 = 10_000;

/// How long the run without a journal sleeps: longer than the others take to execute their steps.
const SLEEP: Duration = Duration::from_secs(3);

/// How much longer each of the others sleeps, so that replays do not overlap.
const APART: Duration = Duration::from_millis(600);

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W6: replays");
    let host = bench.host(&["--evict-after", "0s"]).await?;
    let mut reader = host.read().await?;
    let mut lateness = LENGTHS.map(|_| Vec::new());
    for _ in 0..bench.full_or_quick(7, 2) {
        let mut runs = Vec::new();
        for (number, (length, _)) in (0..).zip(LENGTHS) {
            runs.push(start_sleeper(&host, &mut reader, length, SLEEP + number * APART).await?);
        }
        for (run, lateness) in runs.iter().zip(&mut lateness) {
            let late = async || Ok(reader.lateness(Some(run)).await?.first().copied());
            lateness.push(wait_for("a replay", late).await?);
        }
    }
    let target = match bench.database {
        Kind::Sqlite => 400_000.0,
        Kind::Postgres => 200_000.0,
    };
    let base = stats::median(&lateness[0])?;
    for ((length, name), lateness) in LENGTHS.into_iter().zip(&lateness).skip(1) {
        let milliseconds = stats::median(lateness)? - base;
        // The database has whole milliseconds, so a short replay may seem to take none.
        let rate = f64::from(length) / milliseconds.max(1.0) * 1e3;
        let figure = Figure::new(Workload::W6, name, rate, "steps/s");
        bench.figures.add(if length == TARGET_LENGTH { figure.at_least(target) } else { figure });
    }
    Ok(())
}

/// Starts a run, waits until it sleeps, and returns its id.
async fn start_sleeper(host: &Host, reader: &mut Reader, steps: u32, time: Duration) -> Result<String> {
    let run = start(host, &sleep(steps, time)).await?;
    wait_for("a step of W6", async || Ok(reader.is_waiting(&run).await?.then_some(()))).await?;
    Ok(run)
}
