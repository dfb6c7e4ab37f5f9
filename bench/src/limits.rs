//! The limits that latencies with one run in flight are compared with: a raw commit and a round trip.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::bench::Bench;
use crate::host::Host;
use crate::http::{Connection, post_json};
use crate::load::{Until, load};
use crate::raw::Journal;
use crate::starts::{MANY, STEPS, pure_steps};
use crate::stats;

/// The time for which each side of a comparison is measured, and for which it runs before: after a pause the kernel
/// keeps threads that wake each other on one core for about a tenth of a second, and they are slower by a third there.
pub(crate) const SIDE: Duration = Duration::from_millis(200);

/// The runs whose journal is inserted again.
const JOURNAL_RUNS: u64 = 5_000;

/// The journal of a host that has ended, and a connection to the effect server.
pub(crate) struct Limits {
    journal: Journal,
    effects: Connection,
    /// The host, whose files are deleted with it.
    _ended: Host,
}

impl Limits {
    /// Executes the runs of W1 whose journal is inserted again.
    pub(crate) async fn open(bench: &Bench) -> Result<Self> {
        let mut ended = bench.host(&[]).await?;
        load(ended.alone(), &pure_steps(STEPS), MANY, Until::Count(JOURNAL_RUNS)).await?;
        ended.kill()?;
        Ok(Self {
            journal: Journal::open(ended.database()).await?,
            effects: Connection::open(bench.effects.address()).await?,
            _ended: ended,
        })
    }

    /// Returns the median latency of a raw commit in microseconds.
    pub(crate) async fn commit(&mut self) -> Result<f64> {
        self.journal.commit_latency(SIDE).await?;
        self.journal.commit_latency(SIDE).await
    }

    /// Returns the median latency of a request to the effect server in microseconds.
    pub(crate) async fn round_trip(&mut self) -> Result<f64> {
        let request = post_json("/effect", None, &json!({ "step": 1 }));
        let (began, mut latencies) = (Instant::now(), Vec::new());
        while began.elapsed() < 2 * SIDE {
            let sent = Instant::now();
            self.effects.send_ok(&request).await?;
            if began.elapsed() > SIDE {
                latencies.push(sent.elapsed());
            }
        }
        stats::median_of(&latencies)
    }

    /// Returns the journal rows a second with so many rows in a raw commit.
    pub(crate) async fn rows_per_second(&mut self, batch: usize) -> Result<f64> {
        self.journal.rows_per_second(batch).await
    }
}
