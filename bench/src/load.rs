//! The load generator: one connection for each run in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::host::Host;
use crate::http::post_json;
use crate::stats;

/// The duration of a load before one that is measured.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);

/// A run to start.
pub(crate) struct Start {
    pub(crate) workflow: &'static str,
    pub(crate) input: Value,
    /// The tenant, if it is not the default one.
    pub(crate) tenant: Option<&'static str>,
}

impl Start {
    /// Encodes a request for a start, which is answered when the run has ended, or at once.
    pub(crate) fn request(&self, waits: bool) -> Arc<[u8]> {
        let query = if waits { "?wait=60" } else { "" };
        let path = format!("/_api/workflows/{}/start{query}", self.workflow);
        post_json(&path, self.tenant, &json!({ "input": self.input })).into()
    }
}

/// The end of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// No run starts after this time.
    Time(Duration),
    /// So many runs start.
    Count(u64),
}

/// The outcome of a load.
pub(crate) struct Load {
    /// The time from the first start to the last response.
    pub(crate) elapsed: Duration,
    /// The time from start to response of each run.
    latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn runs(&self) -> f64 {
        self.latencies.len() as f64
    }

    pub(crate) fn rate(&self) -> f64 {
        self.runs() / self.elapsed.as_secs_f64()
    }

    /// The median latency in microseconds.
    pub(crate) fn latency(&self) -> Result<f64> {
        stats::median_of(&self.latencies)
    }
}

/// Keeps so many runs in flight, evenly on the hosts. Every run must complete.
pub(crate) async fn load(hosts: &[Host], start: &Start, in_flight: u32, until: Until) -> Result<Load> {
    let request = start.request(true);
    let next = move |number, elapsed| {
        let goes_on = match until {
            Until::Time(time) => elapsed < time,
            Until::Count(count) => number < count,
        };
        goes_on.then(|| Arc::clone(&request))
    };
    send(hosts, in_flight, next, check_completed).await
}

/// Starts runs over so many connections; returns when all starts are acknowledged.
pub(crate) async fn start_all(host: &Host, starts: &[Start], connections: u32) -> Result<Load> {
    send(host.alone(), connections, each(starts, false), |_| Ok(())).await
}

/// Executes these runs, so many of them at once. Every run must complete.
pub(crate) async fn run_all(host: &Host, starts: &[Start], in_flight: u32) -> Result<Load> {
    send(host.alone(), in_flight, each(starts, true), check_completed).await
}

/// Returns the request of each start by its number.
fn each(
    starts: &[Start],
    waits: bool,
) -> impl Fn(u64, Duration) -> Option<Arc<[u8]>> + Send + Sync + 'static {
    let requests: Vec<Arc<[u8]>> = starts.iter().map(|start| start.request(waits)).collect();
    move |number, _| requests.get(number as usize).cloned()
}

/// Sends the requests that `next` returns for 0, 1, 2 and so on, and the time until then, until it returns none.
async fn send(
    hosts: &[Host],
    connections: u32,
    next: impl Fn(u64, Duration) -> Option<Arc<[u8]>> + Send + Sync + 'static,
    check: fn(&[u8]) -> Result<()>,
) -> Result<Load> {
    let next = Arc::new((next, AtomicU64::new(0)));
    let mut open = Vec::new();
    for (_, host) in (0..connections).zip(hosts.iter().cycle()) {
        open.push(host.connect().await?);
    }
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for mut connection in open {
        let next = Arc::clone(&next);
        clients.spawn(async move {
            let (mut latencies, (next, number)) = (Vec::new(), &*next);
            while let Some(request) = next(number.fetch_add(1, Ordering::Relaxed), began.elapsed()) {
                let sent = Instant::now();
                let body = connection.send_ok(&request).await?;
                latencies.push(sent.elapsed());
                check(body)?;
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(client) = clients.join_next().await {
        latencies.extend(client??);
    }
    ensure!(!latencies.is_empty(), "no request was sent in the time given");
    Ok(Load { elapsed: began.elapsed(), latencies })
}

/// Refuses the record of a run that did not complete.
fn check_completed(record: &[u8]) -> Result<()> {
    const COMPLETED: &[u8] = br#""status":"completed""#;
    let is_completed = record.windows(COMPLETED.len()).any(|window| window == COMPLETED);
    ensure!(is_completed, "a run did not complete: {}", String::from_utf8_lossy(record));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_completed_run_is_a_result() {
        assert!(check_completed(br#"{"id":"1","status":"completed","output":1}"#).is_ok());
        let error = check_completed(br#"{"status":"running"}"#).unwrap_err().to_string();
        assert_eq!(error, r#"a run did not complete: {"status":"running"}"#);
    }
}
