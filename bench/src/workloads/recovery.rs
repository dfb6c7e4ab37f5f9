//! W4: a host is killed while thousands of runs wait for the answer to their sixth request of ten, and is
//! started again. What is left to do takes time in any case: the same runs in a host that is not killed
//! say how long.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Workload, steady};
use crate::bench::Bench;
use crate::database::Database;
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

/// How long the runs may take to come to the gate, and then to their end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Once without a crash, once with.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say(&format!("W4: {} runs, without a crash", bench.plan.unfinished_runs));
    let mut host = parked(bench).await?;
    let began = Instant::now();
    bench.effects.open_gate();
    let undisturbed = completed(bench, &host, began).await?;
    bench.measured.add(Workload::W4, 0, Metric::Undisturbed, undisturbed);
    host.stop().await?;

    bench.say("W4: the same, killed and started again");
    let mut host = parked(bench).await?;
    host.kill()?;
    bench.effects.open_gate();
    let began = Instant::now();
    host.launch()?;
    let recovered = completed(bench, &host, began).await?;
    bench.measured.add(Workload::W4, 0, Metric::Recovered, recovered);
    Ok(())
}

/// A host in which all runs wait at the gate.
async fn parked(bench: &Bench) -> Result<Host> {
    let runs = bench.plan.unfinished_runs;
    let places = (runs + SPARE_PLACES).to_string();
    let host =
        bench.host(HostOptions::with_flags(["--live-instances", &places, "--http-timeout", "10m"])).await?;
    bench.effects.close_gate();
    let mut input = steady::requests(bench, STEPS);
    if let Value::Object(fields) = &mut input {
        fields.insert("gate".to_owned(), GATE.into());
    }
    let starts: Vec<Start<'_>> =
        (0..runs).map(|_| Start { workflow: "http_steps", input: input.clone() }).collect();
    start_all(&host, &starts, CLIENTS).await?;
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
    Ok(host)
}

/// Seconds until all runs completed.
async fn completed(bench: &Bench, host: &Host, began: Instant) -> Result<f64> {
    Database::open(&host.database())?.until_completed(bench.plan.unfinished_runs, PATIENCE).await?;
    Ok(began.elapsed().as_secs_f64())
}

pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figures = || {
        let undisturbed = measured.of(Workload::W4, 0, Metric::Undisturbed)?;
        let recovered = measured.of(Workload::W4, 0, Metric::Recovered)?;
        let figure = |name, seconds| Figure::of(Workload::W4, name, seconds, "s");
        Some([
            figure("what is left of the runs, without a crash", undisturbed),
            figure("the same from the start of the next process", recovered),
            figure("recovery itself", recovered - undisturbed).at_most(5.0),
        ])
    };
    figures().into_iter().flatten().collect()
}
