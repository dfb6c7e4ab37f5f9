//! The runs that the workloads start, and waiting for what they lead to.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::host::Host;
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

/// How long the last runs may take to be evicted.
pub(crate) const EVICTION: Duration = Duration::from_secs(15);

/// Memory has settled when it changes by less than 1 % in this time.
const SETTLED: Duration = Duration::from_secs(2);

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

/// Runs that send a request after each of so many events.
pub(crate) fn event_requests(effects: &EffectServer, events: u32) -> Start {
    let url = format!("http://{}", effects.address());
    Start { workflow: "event_requests", input: json!({ "events": events, "effects": url }), tenant: None }
}

/// Runs that start so many children of one step.
pub(crate) fn parent(children: u32) -> Start {
    Start { workflow: "parent", input: json!({ "children": children }), tenant: None }
}

/// Runs of transactions that change one key.
pub(crate) fn transactions(key: &str, count: u32) -> Start {
    Start { workflow: "transactions", input: json!({ "key": key, "count": count }), tenant: None }
}

/// Runs that increment a counter.
pub(crate) fn increments(key: &str, count: u32) -> Start {
    Start { workflow: "increments", input: json!({ "key": key, "count": count }), tenant: None }
}

/// Starts a run and returns its id when the start is acknowledged.
pub(crate) async fn start(host: &Host, start: &Start) -> Result<String> {
    let mut connection = host.connect().await?;
    let answer: Value = serde_json::from_slice(connection.send_ok(&start.request(false)).await?)?;
    Ok(answer["run_id"].as_str().context("the response to a start has no `run_id`")?.to_owned())
}

/// Returns the host's memory in bytes when it has settled.
pub(crate) async fn settled_memory(host: &Host) -> Result<u64> {
    let until = Instant::now() + EVICTION;
    let mut last = host.memory()?;
    loop {
        tokio::time::sleep(SETTLED).await;
        let now = host.memory()?;
        if now.abs_diff(last) <= last / 100 || Instant::now() > until {
            return Ok(now);
        }
        last = now;
    }
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
