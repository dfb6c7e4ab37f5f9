//! W9: the runs of one tenant while another one saturates the host, with runs that compute without end in sight, runs
//! that journal a lot, and starts as fast as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::host::{Host, HostOptions};
use crate::http::post_as;
use crate::measurements::{Measurements, Metric};
use crate::report::Figure;
use crate::stats;

/// Clients of the noisy tenant for each of its workflows.
const CLIENTS: usize = 64;

/// Rounds of a run that only computes: some tenths of a second of a core.
const ROUNDS: u64 = 50_000_000;

/// Steps of a run that journals a lot.
const STEPS: u32 = 200;

/// A guest that computes gives way after this, in milliseconds.
const TICK_MS: f64 = 10.0;

const QUIET: &str = "quiet";
const NOISY: &str = "noisy";

/// Once, on a host of its own.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W9: a tenant beside one that saturates the host");
    let host = bench.host(HostOptions::default()).await?;
    for tenant in [QUIET, NOISY] {
        let request = |path: &str, kind: &str, body: &[u8]| {
            anyhow::Ok(post_as(host.address()?, tenant, path, kind, body))
        };
        let make = crate::http::post(
            host.address()?,
            "/_api/tenants",
            "application/json",
            json!({ "name": tenant }).to_string().as_bytes(),
        );
        let mut connection = host.connect().await?;
        connection.send(&make).await?.ok().context("a tenant was refused")?;
        let upload = request("/_api/workflows", "application/wasm", bench.component())?;
        connection.send(&upload).await?.ok().context("the component was refused")?;
    }
    let time = bench.plan.load * 2;
    quiet(&host, bench.plan.warm_up).await?;
    let alone = quiet(&host, time).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let noise = noise(&host, &stop, &done).await?;
    // It is a while until the noisy tenant is at its worst.
    quiet(&host, bench.plan.warm_up).await?;
    let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
    let beside = quiet(&host, time).await?;
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    // Its runs may take long: they end with the host.
    drop(noise);
    let milliseconds = |latencies: &[Duration]| -> Vec<f64> {
        stats::microseconds(latencies).into_iter().map(|time| time / 1_000.0).collect()
    };
    let (alone, beside) = (milliseconds(&alone), milliseconds(&beside));
    for (metric, value) in [
        (Metric::AloneHigh, stats::percentile(&alone, 99.0)),
        (Metric::BesideHigh, stats::percentile(&beside, 99.0)),
        (Metric::BesideMedian, stats::median(&beside)),
        (Metric::NoisyRunsPerSecond, Some(rate)),
    ] {
        bench.measured.add(Workload::W9, 1, metric, value.context("no run completed")?);
    }
    Ok(())
}

/// Runs of the quiet tenant, one after the other for a while.
async fn quiet(host: &Host, time: Duration) -> Result<Vec<Duration>> {
    let request = start(host, QUIET, "pure_steps", &steady::pure(1))?;
    let mut connection = host.connect().await?;
    let (began, mut latencies) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let sent = Instant::now();
        connection.send(&request).await?.ok().context("a run of the quiet tenant failed")?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// The noisy tenant, until it is dropped.
async fn noise(host: &Host, stop: &Arc<AtomicBool>, done: &Arc<AtomicU64>) -> Result<JoinSet<()>> {
    let requests = [
        start(host, NOISY, "computing", &json!({ "rounds": ROUNDS }))?,
        start(host, NOISY, "pure_steps", &steady::pure(STEPS))?,
    ];
    let mut clients = JoinSet::new();
    for request in requests {
        let request = Arc::new(request);
        for _ in 0..CLIENTS {
            let (mut connection, request) = (host.connect().await?, Arc::clone(&request));
            let (stop, done) = (Arc::clone(stop), Arc::clone(done));
            clients.spawn(async move {
                // Whether it is refused or answered, the next one follows at once.
                while !stop.load(Ordering::Relaxed) && connection.send(&request).await.is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    Ok(clients)
}

fn start(host: &Host, tenant: &str, workflow: &str, input: &Value) -> Result<Vec<u8>> {
    let path = format!("/_api/workflows/{workflow}/start?wait=60");
    let body = json!({ "input": input }).to_string();
    Ok(post_as(host.address()?, tenant, &path, "application/json", body.as_bytes()))
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let of = |metric, name: &str, unit| {
        let value = measured.of(Workload::W9, 1, metric)?;
        Some(Figure::of(Workload::W9, name, value, unit).in_flight(1))
    };
    let beside = of(Metric::BesideHigh, "start to result beside a tenant that saturates the host, p99", "ms");
    let bound = measured.of(Workload::W9, 1, Metric::AloneHigh).map(|alone| 2.0 * alone + TICK_MS);
    let beside = beside.zip(bound).map(|(figure, bound)| {
        figure.against("twice what it is alone, and a tick of 10 ms", bound).at_most(1.0)
    });
    [
        of(Metric::AloneHigh, "start to result of a tenant that is alone, p99", "ms"),
        of(Metric::BesideMedian, "the same beside a tenant that saturates the host, p50", "ms"),
        beside,
        of(Metric::NoisyRunsPerSecond, "runs of the other tenant meanwhile", "runs/s"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
