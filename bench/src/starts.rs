//! The runs that the workloads start, and waiting for what they lead to.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
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
