//! W4: a host is killed while thousands of runs wait for the response to their sixth request of ten, and is started
//! again. The same runs in a host that is not killed tell how long the rest of them takes; the difference is the
//! recovery. With PostgreSQL, one of two nodes is killed, and the other one takes over its runs when its lease expires.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::{Bench, NODES};
use crate::database::Kind;
use crate::figures::Figure;
use crate::load::start_all;
use crate::starts::{MANY, STEPS, requests, wait_for};
use crate::workload::Workload;

/// The step whose request is held.
const HELD_STEP: u32 = STEPS / 2;

/// Instances beyond the runs.
const SPARE_INSTANCES: u64 = 100;

/// The lease of a node. It is renewed after a third, so it may expire so much earlier after a node was killed.
const LEASE: Duration = Duration::from_secs(3);

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let runs = bench.full_or_quick(10_000, 1_000);
    bench.say(&format!("W4: {runs} runs without a crash"));
    let undisturbed = rest_of_runs(bench, runs, false).await?;
    bench.say("W4: the same with a crash");
    let recovered = rest_of_runs(bench, runs, true).await?;
    let (name, expiry) = match bench.database {
        Kind::Sqlite => ("recovery", Duration::ZERO),
        Kind::Postgres => ("recovery beyond the lease of 3 s", LEASE),
    };
    let figure = |name, seconds| Figure::new(Workload::W4, name, seconds, "s");
    bench.figures.add(figure("rest of the runs without a crash", undisturbed));
    bench.figures.add(figure("rest of the runs after a crash", recovered));
    bench.figures.add(figure(name, recovered - undisturbed - expiry.as_secs_f64()).at_most(5.0));
    Ok(())
}

/// Starts runs, waits until the request of each is held, and returns the seconds from there to the end of all.
async fn rest_of_runs(bench: &Bench, runs: u64, crash: bool) -> Result<f64> {
    let (instances, lease) = ((runs + SPARE_INSTANCES).to_string(), format!("{}s", LEASE.as_secs()));
    let flags = [
        "--live-instances",
        &instances,
        "--http-requests",
        &instances,
        "--http-timeout",
        "10m",
        "--lease",
        &lease,
    ];
    let mut hosts = bench.hosts(&flags, if crash { NODES } else { 1 }).await?;
    let mut first = hosts.remove(0);
    bench.effects.hold();
    let start = |_| {
        let mut start = requests(&bench.effects, STEPS);
        start.input["held_step"] = HELD_STEP.into();
        start
    };
    start_all(&first, &(0..runs).map(start).collect::<Vec<_>>(), MANY).await?;
    let held = async || Ok((bench.effects.held() >= runs).then_some(()));
    wait_for("the request of each run", held).await?;
    if crash {
        first.kill()?;
    }
    let began = Instant::now();
    bench.effects.release();
    if crash && hosts.is_empty() {
        first.launch()?;
    }
    let mut reader = hosts.first().unwrap_or(&first).read().await?;
    let completed = async || Ok((reader.completed().await? >= runs).then_some(()));
    wait_for("the end of all runs", completed).await?;
    Ok(began.elapsed().as_secs_f64())
}
