//! What a host does that counts what it does, for `cargo xtask release`: the workflows of the workloads, one after the
//! other. Nothing is measured.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::bench::Bench;
use crate::host::HostOptions;
use crate::load::{Start, Until, load};
use crate::plan::{IN_FLIGHT, PARALLEL_STEPS, STEPS};
use crate::workloads::{http_steps, one_step, pure_steps, steady};

/// How long each of them lasts.
const TIME: Until = Until::Time(Duration::from_secs(1));

/// Steps of a run that leaves memory, comes back and is replayed.
const REPLAYED_STEPS: u32 = 200;

/// For a database of the kind that was asked for. The program finds the workflows compiled: the process that compiles
/// components is bounded, and may not write what it has counted.
pub(crate) async fn train(bench: &Bench, program: &Path) -> Result<()> {
    let mut host = bench.host(HostOptions::with_flags(["--evict-after", "0s"])).await?;
    host.go_on_as(program).await?;
    let sleeps = json!({ "steps": REPLAYED_STEPS, "sleep_ms": 20 });
    let starts = [
        pure_steps::start(),
        one_step::start(),
        http_steps::start(bench, STEPS),
        Start { workflow: "parallel_http_steps", input: steady::requests(bench, PARALLEL_STEPS) },
        Start { workflow: "pure_steps", input: sleeps },
    ];
    for start in &starts {
        for in_flight in IN_FLIGHT {
            load(host.alone(), start, in_flight, TIME).await.context("a host that counts")?;
        }
    }
    // It writes what it has counted when it ends.
    let ended = host.stop().await?;
    ensure!(ended.success(), "the host that counts ended with {ended}");
    Ok(())
}
