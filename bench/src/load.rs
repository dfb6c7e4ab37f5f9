//! Runs, so many in flight: each with a connection of its own on which one run follows the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::host::Host;
use crate::http::post;
use crate::observe::{Usage, cpu_of_all};

/// What is started.
pub(crate) struct Start<'a> {
    /// The workflow's name.
    pub(crate) workflow: &'a str,
    /// Its input.
    pub(crate) input: Value,
}

/// When the load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// No run begins after this time; those under way end.
    Time(Duration),
    /// So many runs began.
    Count(u64),
}

/// What came of a load.
pub(crate) struct Load {
    /// Runs that completed.
    pub(crate) runs: u64,
    /// From the first start to the last result.
    pub(crate) elapsed: Duration,
    /// From start to result, of each run.
    pub(crate) latencies: Vec<Duration>,
    /// What the hosts used meanwhile.
    pub(crate) host: Usage,
    /// What the database's server used meanwhile, if there is one.
    pub(crate) server: Usage,
    /// What the load generator and the effect server used meanwhile.
    pub(crate) ours: Usage,
    /// Time on a CPU that everything else on this machine used meanwhile, the kernel's own threads
    /// included.
    pub(crate) others: Duration,
}

impl Load {
    /// Runs a second.
    pub(crate) fn rate(&self) -> f64 {
        self.runs as f64 / self.elapsed.as_secs_f64()
    }

    /// How much of one CPU everything else on this machine used, in percent.
    pub(crate) fn disturbance(&self) -> f64 {
        self.others.as_secs_f64() / self.elapsed.as_secs_f64() * 100.0
    }

    /// An amount for each run.
    pub(crate) fn per_run(&self, amount: f64) -> f64 {
        amount / self.runs as f64
    }
}

/// Starts runs, as many on each host, waits for the result of each, and checks that each completed.
pub(crate) async fn load(hosts: &[Host], start: &Start<'_>, in_flight: u32, until: Until) -> Result<Load> {
    let path = format!("/_api/workflows/{}/start?wait=60", start.workflow);
    let body = json!({ "input": start.input }).to_string();
    let mut connections = Vec::new();
    for (_, host) in (0..in_flight).zip(hosts.iter().cycle()) {
        let request = post(host.address()?, &path, "application/json", body.as_bytes());
        connections.push((host.connect().await?, request));
    }
    let begun = Arc::new(AtomicU64::new(0));
    let before = Everybody::now(hosts)?;
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for (mut connection, request) in connections {
        let begun = Arc::clone(&begun);
        clients.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                let goes_on = match until {
                    Until::Time(time) => began.elapsed() < time,
                    Until::Count(count) => number < count,
                };
                if !goes_on {
                    return Ok(latencies);
                }
                let sent = Instant::now();
                let answer = connection.send(&request).await?;
                latencies.push(sent.elapsed());
                check(answer.status, answer.body)?;
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(client) = clients.join_next().await {
        let client: Result<Vec<Duration>> = client.context("a client broke off")?;
        latencies.extend(client?);
    }
    let elapsed = began.elapsed();
    let now = Everybody::now(hosts)?;
    ensure!(!latencies.is_empty(), "no run completed in the time given");
    let (host, server) = (now.hosts.since(before.hosts), now.server.since(before.server));
    let ours = now.ours.since(before.ours);
    let others = now.cpu.saturating_sub(before.cpu).saturating_sub(host.and(server).and(ours).cpu);
    Ok(Load { runs: latencies.len() as u64, elapsed, latencies, host, server, ours, others })
}

/// What was used so far.
struct Everybody {
    hosts: Usage,
    server: Usage,
    ours: Usage,
    /// Time on a CPU of all there is.
    cpu: Duration,
}

impl Everybody {
    fn now(hosts: &[Host]) -> Result<Self> {
        let mut of_hosts = Usage::default();
        for host in hosts {
            of_hosts = of_hosts.and(host.usage()?);
        }
        let server = hosts.first().context("there is a host")?.place().usage()?;
        Ok(Self { hosts: of_hosts, server, ours: Usage::of_ourselves()?, cpu: cpu_of_all()? })
    }
}

/// Starts runs that stay: returns when all starts are acknowledged.
pub(crate) async fn start_all(host: &Host, starts: &[Start<'_>], in_flight: usize) -> Result<()> {
    let address = host.address()?;
    let requests = starts.iter().map(|start| {
        let path = format!("/_api/workflows/{}/start", start.workflow);
        post(address, &path, "application/json", json!({ "input": start.input }).to_string().as_bytes())
    });
    let requests: Arc<[Vec<u8>]> = requests.collect();
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..in_flight {
        let mut connection = host.connect().await?;
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        clients.spawn(async move {
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                connection.send(request).await?.ok().context("a start was refused")?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client.context("a client broke off")??;
    }
    Ok(())
}

/// The result of a run that completed, and nothing else, is what was asked for.
fn check(status: u16, body: &[u8]) -> Result<()> {
    const COMPLETED: &[u8] = br#""status":"completed""#;
    let is_completed = body.windows(COMPLETED.len()).any(|window| window == COMPLETED);
    let text = || String::from_utf8_lossy(body);
    ensure!(status == 200 && is_completed, "a run did not complete: the answer is {status}: {}", text());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_completed_run_is_a_result() {
        assert!(check(200, br#"{"id":"1","status":"completed","output":1}"#).is_ok());
        assert!(check(202, br#"{"id":"1","status":"running"}"#).is_err());
        let error = check(200, br#"{"status":"failed"}"#).unwrap_err().to_string();
        assert_eq!(error, r#"a run did not complete: the answer is 200: {"status":"failed"}"#);
    }
}
