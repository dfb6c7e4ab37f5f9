//! What the machine could do if nobody did anything besides: the same work without the host.

pub(crate) mod http;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod wasm;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::database::Place;
use crate::measurements::{Measurements, Metric};
use crate::plan::BATCHES;
use crate::report::Figure;

/// A journal's rows as a host stored them, which the database gets again without the host.
pub(crate) enum Journal {
    /// In files of a folder.
    Sqlite(sqlite::Journal, PathBuf),
    /// In the database that the host used.
    Postgres(postgres::Journal),
}

/// Commits of one row, and what came before each.
pub(crate) struct Commits {
    /// How many a second.
    pub(crate) rate: f64,
    /// The median of one, in microseconds.
    pub(crate) median: f64,
}

/// Nothing comes before a commit.
pub(crate) async fn at_once() -> Result<()> {
    Ok(())
}

impl Journal {
    /// Reads it from the database of a host that has stopped.
    pub(crate) async fn read(place: &Place, folder: &Path) -> Result<Self> {
        Ok(match place {
            Place::Sqlite(file) => Self::Sqlite(sqlite::Journal::read(file)?, folder.to_owned()),
            Place::Postgres(_, url) => Self::Postgres(postgres::Journal::read(url).await?),
        })
    }

    /// Rows a second, in commits of so many.
    pub(crate) async fn rows_per_second(&mut self, batch: usize) -> Result<f64> {
        match self {
            Self::Sqlite(journal, folder) => journal.rows_per_second(folder, batch),
            Self::Postgres(journal) => journal.rows_per_second(batch).await,
        }
    }

    /// Commits of one row, one after the other, and each after something else.
    pub(crate) async fn commits(
        &mut self,
        time: Duration,
        before: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Commits> {
        match self {
            Self::Sqlite(journal, folder) => journal.commits(folder, time, before).await,
            Self::Postgres(journal) => journal.commits(time, before).await,
        }
    }
}

/// The limits themselves.
pub(crate) fn figures(measured: &Measurements) -> Vec<Figure> {
    let figure = |name: String, metric, unit| Some(Figure::of_limit(name, measured.limit(metric)?, unit));
    let database = measured.database().name();
    let mut figures = vec![
        figure(format!("{database}, commits of one row"), Metric::CommitsPerSecond, "/s"),
        figure(format!("{database}, a commit of one row, p50"), Metric::CommitLatency, "µs"),
    ];
    figures.extend(BATCHES.map(|batch| {
        figure(format!("{database}, {batch} rows a commit"), Metric::RowsPerSecond(batch), "rows/s")
    }));
    figures.extend([
        figure("HTTP, a round trip, p50".to_owned(), Metric::RoundTrip, "µs"),
        figure("HTTP, 64 connections".to_owned(), Metric::RoundTripsPerSecond, "/s"),
        figure("wasmtime, an instance and a call of W1".to_owned(), Metric::BareCall, "µs"),
        figure("the same without fuel".to_owned(), Metric::BareCallWithoutFuel, "µs"),
        figure("CPU used by everything else meanwhile".to_owned(), Metric::Disturbance, "% of one"),
    ]);
    figures.into_iter().flatten().collect()
}
