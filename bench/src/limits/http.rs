//! HTTP alone: the load generator's client against the effect server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::http::{Connection, EffectServer, post};
use crate::stats;

/// What the workflows send, about.
const BODY: &[u8] = br#"{"step":1}"#;

/// Round trips over one connection.
pub(crate) struct RoundTrips {
    connection: Connection,
    request: Vec<u8>,
}

impl RoundTrips {
    /// Connects.
    pub(crate) async fn open(effects: &EffectServer) -> Result<Self> {
        Ok(Self { connection: Connection::open(effects.address()).await?, request: request(effects) })
    }

    /// One of them.
    pub(crate) async fn one(&mut self) -> Result<()> {
        self.connection.send(&self.request).await?.ok().map(drop)
    }

    async fn repeat(mut self, time: Duration) -> Result<Vec<Duration>> {
        let began = Instant::now();
        let mut latencies = Vec::new();
        while began.elapsed() < time {
            let sent = Instant::now();
            self.one().await?;
            latencies.push(sent.elapsed());
        }
        Ok(latencies)
    }
}

/// Round trips over one connection: the median in microseconds.
pub(crate) async fn latency(effects: &EffectServer, time: Duration) -> Result<f64> {
    let latencies = RoundTrips::open(effects).await?.repeat(time).await?;
    stats::median(&stats::microseconds(&latencies)).context("no request was answered")
}

/// Round trips a second over so many connections.
pub(crate) async fn rate(effects: &EffectServer, connections: u32, time: Duration) -> Result<f64> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(RoundTrips::open(effects).await?.repeat(time));
    }
    let mut count = 0;
    while let Some(client) = clients.join_next().await {
        count += client.context("a client broke off")??.len();
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn request(effects: &EffectServer) -> Vec<u8> {
    post(effects.address(), "/effect", "application/json", BODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_effect_server_answers_and_holds_what_comes_to_the_gate() {
        let effects = EffectServer::start().unwrap();
        let mut connection = Connection::open(effects.address()).await.unwrap();
        assert_eq!(connection.send(&request(&effects)).await.unwrap().ok().unwrap(), b"1");

        effects.close_gate();
        let gate = post(effects.address(), "/gate", "application/json", BODY);
        let held = tokio::spawn(async move { connection.send(&gate).await.unwrap().status });
        while effects.arrived_at_gate() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!held.is_finished());
        effects.open_gate();
        assert_eq!(held.await.unwrap(), 200);
    }
}
