//! The workloads.

pub(crate) mod ageing;
pub(crate) mod comparison;
pub(crate) mod neighbour;
pub(crate) mod recovery;
pub(crate) mod replay;
pub(crate) mod sleepers;
pub(crate) mod throughput;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::json;

use crate::http::EffectServer;
use crate::load::Start;

/// Runs in flight, and connections that start runs, where many runs share commits.
pub(crate) const MANY: u32 = 64;

/// Steps of a run of W1 and W2.
pub(crate) const STEPS: u32 = 10;

/// The longest time to wait for something.
const PATIENCE: Duration = Duration::from_secs(300);

/// The interval of [`wait_for`]. Counting completed runs takes some milliseconds of a core.
const POLL: Duration = Duration::from_millis(50);

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Workload {
    /// Runs of 10 steps without effects.
    W1,
    /// Runs of 10 steps with one request each.
    W2,
    /// Runs of one step without effects, one at a time.
    W3,
    /// Recovery of 10,000 unfinished runs after SIGKILL.
    W4,
    /// 100,000 runs that sleep.
    W5,
    /// Replay of long journals.
    W6,
    /// The latency of a tenant's runs while another tenant saturates the host.
    W9,
    /// W1 in a database with 100,000 finished runs.
    Ageing,
}

/// Runs of steps without effects.
pub(crate) fn pure_steps(steps: u32) -> Start {
    Start { workflow: "pure_steps", input: json!({ "steps": steps }), tenant: None }
}

/// Runs that sleep after their steps.
pub(crate) fn sleep(steps: u32, time: Duration) -> Start {
    let input = json!({ "steps": steps, "sleep_ms": time.as_millis() as u64 });
    Start { workflow: "pure_steps", input, tenant: None }
}

/// Runs of steps with one request each.
pub(crate) fn requests(effects: &EffectServer, steps: u32) -> Start {
    let url = format!("http://{}", effects.address());
    Start { workflow: "http_steps", input: json!({ "steps": steps, "effects": url }), tenant: None }
}

/// Polls until there is a value.
pub(crate) async fn wait_for<T>(what: &str, mut poll: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = poll().await? {
            return Ok(value);
        }
        ensure!(Instant::now() < until, "{what} takes longer than {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
}
