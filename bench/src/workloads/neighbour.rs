//! W9: the latency of one tenant's runs while another tenant saturates the host: with runs that compute, with runs that
//! write long journals, and with starts as fast as the host answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::figures::Figure;
use crate::host::Host;
use crate::http::{post, post_json};
use crate::load::{Start, WARM_UP};
use crate::starts::pure_steps;
use crate::stats::percentile;
use crate::workload::Workload;

/// Connections of the noisy tenant for each of its workflows.
const CONNECTIONS: usize = 64;

/// Rounds of a run that computes: some tenths of a second of a core.
const ROUNDS: u64 = 50_000_000;

/// Steps of a run with a long journal.
const STEPS: u32 = 200;

/// A guest that computes yields after this time, in milliseconds.
const TICK_MS: f64 = 10.0;

const QUIET: &str = "quiet";
const NOISY: &str = "noisy";

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("W9: a tenant beside one that saturates the host");
    let host = bench.host(&[]).await?;
    for tenant in [QUIET, NOISY] {
        let mut connection = host.connect().await?;
        let create = post_json("/_api/tenants", None, &json!({ "name": tenant }));
        connection.send_ok(&create).await.context("a tenant was refused")?;
        let upload = post("/_api/workflows", Some(tenant), "application/wasm", &bench.component);
        connection.send_ok(&upload).await.context("the component was refused")?;
    }
    let time = Duration::from_secs(bench.full_or_quick(6, 2));
    quiet(&host, WARM_UP).await?;
    let alone = quiet(&host, time).await?;
    let completed = Arc::new(AtomicU64::new(0));
    let noise = noise(&host, &completed).await?;
    // The load takes a while to reach its full height.
    quiet(&host, WARM_UP).await?;
    let (before, began) = (completed.load(Ordering::Relaxed), Instant::now());
    let beside = quiet(&host, time).await?;
    let rate = (completed.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    // Its runs may take long: they end with the host.
    drop(noise);
    let alone_p99 = percentile(&alone, 99.0)?;
    let figure = |name, value| Figure::new(Workload::W9, name, value, "ms").in_flight(1);
    for figure in [
        figure("start to result of a tenant that is alone, p99", alone_p99),
        figure("beside a tenant that saturates the host, p50", percentile(&beside, 50.0)?),
        figure("beside a tenant that saturates the host, p99", percentile(&beside, 99.0)?)
            .against("twice the time alone and a tick of 10 ms", 2.0 * alone_p99 + TICK_MS)
            .at_most(1.0),
        Figure::new(Workload::W9, "runs of the other tenant", rate, "runs/s"),
    ] {
        bench.figures.add(figure);
    }
    Ok(())
}

/// Executes runs of the quiet tenant, one after the other; returns their latencies in milliseconds.
async fn quiet(host: &Host, time: Duration) -> Result<Vec<f64>> {
    let request = Start { tenant: Some(QUIET), ..pure_steps(1) }.request(true);
    let mut connection = host.connect().await?;
    let (began, mut latencies) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let sent = Instant::now();
        connection.send_ok(&request).await.context("a run of the quiet tenant failed")?;
        latencies.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

/// Starts the load of the noisy tenant, which goes on until it is dropped.
async fn noise(host: &Host, completed: &Arc<AtomicU64>) -> Result<JoinSet<()>> {
    let computing = Start { workflow: "computing", input: json!({ "rounds": ROUNDS }), tenant: Some(NOISY) };
    let mut clients = JoinSet::new();
    for start in [computing, Start { tenant: Some(NOISY), ..pure_steps(STEPS) }] {
        let request = start.request(true);
        for _ in 0..CONNECTIONS {
            let mut connection = host.connect().await?;
            let (request, completed) = (Arc::clone(&request), Arc::clone(completed));
            clients.spawn(async move {
                // The next start follows at once, also after one that was refused.
                while let Ok((is_ok, _)) = connection.send(&request).await {
                    completed.fetch_add(u64::from(is_ok), Ordering::Relaxed);
                }
            });
        }
    }
    Ok(clients)
}
