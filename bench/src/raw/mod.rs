//! The limits of the database: the rows of a host's journal, inserted again without a host.

mod postgres;
mod sqlite;

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::database::SQLITE;
use crate::stats;

/// The table of the journal.
const JOURNAL: &str = "forge_steps";

/// The most rows that are read.
const MOST_ROWS: usize = 50_000;

/// The rows of a journal, and the empty table that they are inserted into: the host's own.
pub(crate) enum Journal {
    Sqlite(sqlite::Journal),
    Postgres(postgres::Journal),
}

impl Journal {
    /// Reads the journal of a host that has ended.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let journal = match url.strip_prefix(SQLITE) {
            Some(file) => Self::Sqlite(sqlite::Journal::open(file)?),
            None => Self::Postgres(postgres::Journal::open(url).await?),
        };
        ensure!(journal.rows() > 0, "the host's journal {JOURNAL} is empty");
        Ok(journal)
    }

    /// Returns rows a second with so many rows in a commit.
    pub(crate) async fn rows_per_second(&mut self, batch: usize) -> Result<f64> {
        self.empty().await?;
        let began = Instant::now();
        for first in (0..self.rows()).step_by(batch) {
            self.insert(first..self.rows().min(first + batch)).await?;
        }
        Ok(self.rows() as f64 / began.elapsed().as_secs_f64())
    }

    /// Commits one row after the other; returns the median latency in microseconds.
    pub(crate) async fn commit_latency(&mut self, time: Duration) -> Result<f64> {
        self.empty().await?;
        let (began, mut latencies) = (Instant::now(), Vec::new());
        for row in 0..self.rows() {
            let sent = Instant::now();
            self.insert(row..row + 1).await?;
            latencies.push(sent.elapsed());
            if began.elapsed() >= time {
                break;
            }
        }
        stats::median_of(&latencies)
    }

    fn rows(&self) -> usize {
        match self {
            Self::Sqlite(journal) => journal.rows.len(),
            Self::Postgres(journal) => journal.rows,
        }
    }

    async fn empty(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(journal) => journal.empty(),
            Self::Postgres(journal) => journal.empty().await,
        }
    }

    /// Inserts rows in one commit.
    async fn insert(&mut self, rows: Range<usize>) -> Result<()> {
        match self {
            Self::Sqlite(journal) => journal.insert(rows),
            Self::Postgres(journal) => journal.insert(rows).await,
        }
    }
}
