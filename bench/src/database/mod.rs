//! Where hosts keep what they know, and what it says of runs: read beside the hosts, through the views, which
//! stay when the tables change.

mod postgres;
mod server;
mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub(crate) use server::{PostgresServer, connect};

use crate::observe::Usage;

/// Between two looks at how many runs are done: a look costs the machine a few milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// What keeps the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A file of one host.
    #[default]
    Sqlite,
    /// A server that several hosts share.
    Postgres,
}

impl Kind {
    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// One database.
#[derive(Clone)]
pub(crate) enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A database of a server, by its URL.
    Postgres(Arc<PostgresServer>, String),
}

impl Place {
    /// What `forge serve --database` takes.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite:{}", file.display()),
            Self::Postgres(_, url) => url.clone(),
        }
    }

    /// What the server has used so far, if there is one.
    pub(crate) fn usage(&self) -> Result<Usage> {
        match self {
            Self::Sqlite(_) => Ok(Usage::default()),
            Self::Postgres(server, _) => server.usage(),
        }
    }
}

/// A host's database, read only. The host may be running.
pub(crate) enum Database {
    /// A file.
    Sqlite(sqlite::Database),
    /// A database of a server.
    Postgres(postgres::Database),
}

impl Database {
    /// Opens it.
    pub(crate) async fn open(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Sqlite(file) => Self::Sqlite(sqlite::Database::open(file)?),
            Place::Postgres(_, url) => Self::Postgres(postgres::Database::open(url).await?),
        })
    }

    /// Runs that completed.
    pub(crate) async fn completed(&mut self) -> Result<u64> {
        match self {
            Self::Sqlite(database) => database.completed(),
            Self::Postgres(database) => database.completed().await,
        }
    }

    /// How much later than it should have woken up each run completed that slept once, in milliseconds.
    pub(crate) async fn lateness(&mut self) -> Result<Vec<f64>> {
        match self {
            Self::Sqlite(database) => database.lateness(),
            Self::Postgres(database) => database.lateness().await,
        }
    }

    /// The same of one run; `None`: it has not completed.
    pub(crate) async fn lateness_of(&mut self, run: &str) -> Result<Option<f64>> {
        match self {
            Self::Sqlite(database) => database.lateness_of(run),
            Self::Postgres(database) => database.lateness_of(run).await,
        }
    }

    /// Waits until so many runs completed.
    pub(crate) async fn until_completed(&mut self, runs: u64, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        loop {
            let completed = self.completed().await?;
            if completed >= runs {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{completed} of {runs} runs completed within {} s",
                patience.as_secs()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}
