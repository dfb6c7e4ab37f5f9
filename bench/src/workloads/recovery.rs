//! W4: a host is killed while thousands of runs wait for the answer to their sixth request of ten, and is
//! started again. What is left to do takes time in any case: the same runs in a host that is not killed
//! say how long. With a database that hosts share, one of two is killed, and the other one takes its runs when its
//! lease is over.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::database::{Database, Kind};
use crate::host::{Host, HostOptions};
use crate::load::{Start, start_all};
use crate::measurements::{Measurements, Metric};
use crate::plan::STEPS;
use crate::report::Figure;

/// The step whose request waits at the gate.
const GATE: u32 = STEPS / 2;

/// Clients that start runs.
const CLIENTS: usize = 64;

/// Places in memory beyond the runs.
const SPARE_PLACES: u64 = 100;

/// The lease of a host that shares its database: it is over when it was renewed for the last time so long ago, which
/// was up to a third of it before the end.
const LEASE: Duration = Duration::from_secs(3);

/// How long the runs may take to come to the gate, and then to their end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Once without a crash, once with.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let runs = bench.plan.unfinished_runs;
    bench.say(&format!("W4: {runs} runs, without a crash"));
    let mut host = bench.host(options(runs)).await?;
    park(bench, &host, runs).await?;
    let began = Instant::now();
    bench.effects.open_gate();
    let undisturbed = completed(&host, runs, began).await?;
    bench.measured.add(Workload::W4, 0, Metric::Undisturbed, undisturbed);
    host.stop().await?;
    drop(host);

    let recovered = match bench.hosts(options(runs)).await? {
        None => started_again(bench, runs).await?,
        Some(hosts) => taken_over(bench, hosts, runs).await?,
    };
    bench.measured.add(Workload::W4, 0, Metric::Recovered, recovered);
    Ok(())
}

async fn started_again(bench: &Bench, runs: u64) -> Result<f64> {
    bench.say("W4: the same, killed and started again");
    let mut host = bench.host(options(runs)).await?;
    park(bench, &host, runs).await?;
    host.kill()?;
    bench.effects.open_gate();
    let began = Instant::now();
    host.launch()?;
    completed(&host, runs, began).await
}

async fn taken_over(bench: &Bench, mut hosts: Vec<Host>, runs: u64) -> Result<f64> {
    bench.say("W4: the same, killed, and another host takes its runs");
    let (killed, other) = hosts.split_first_mut().context("there are two hosts")?;
    park(bench, killed, runs).await?;
    killed.kill()?;
    let began = Instant::now();
    bench.effects.open_gate();
    completed(other.first().context("there are two hosts")?, runs, began).await
}

fn options(runs: u64) -> HostOptions {
    let places = (runs + SPARE_PLACES).to_string();
    let lease = format!("{}s", LEASE.as_secs());
    HostOptions::with_flags([
        "--live-instances",
        &places,
        "--http-requests",
        &places,
        "--http-timeout",
        "10m",
        "--lease",
        &lease,
    ])
}

/// Lets so many runs go as far as the gate.
async fn park(bench: &Bench, host: &Host, runs: u64) -> Result<()> {
    bench.effects.close_gate();
    let mut input = steady::requests(bench, STEPS);
    if let Value::Object(fields) = &mut input {
        fields.insert("gate".to_owned(), GATE.into());
    }
    let starts: Vec<Start<'_>> =
        (0..runs).map(|_| Start { workflow: "http_steps", input: input.clone() }).collect();
    start_all(host, &starts, CLIENTS).await?;
    let until = Instant::now() + PATIENCE;
    while bench.effects.arrived_at_gate() < runs {
        ensure!(
            Instant::now() < until,
            "{} of {runs} runs came to the gate within {} s",
            bench.effects.arrived_at_gate(),
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Seconds until all runs completed.
async fn completed(host: &Host, runs: u64, began: Instant) -> Result<f64> {
    Database::open(host.place()).await?.until_completed(runs, PATIENCE).await?;
    Ok(began.elapsed().as_secs_f64())
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figures = || {
        let undisturbed = measured.of(Workload::W4, 0, Metric::Undisturbed)?;
        let recovered = measured.of(Workload::W4, 0, Metric::Recovered)?;
        let figure = |name, seconds| Figure::of(Workload::W4, name, seconds, "s");
        let left = figure("what is left of the runs, without a crash", undisturbed);
        Some(match measured.database() {
            Kind::Sqlite => [
                left,
                figure("the same from the start of the next process", recovered),
                figure("recovery itself", recovered - undisturbed).at_most(5.0),
            ],
            Kind::Postgres => [
                left,
                figure("the same on another node from the end of theirs", recovered),
                figure(
                    "recovery itself, beyond the lease of 3 s",
                    recovered - undisturbed - LEASE.as_secs_f64(),
                )
                .at_most(5.0),
            ],
        })
    };
    figures().into_iter().flatten().collect()
}
