//! The embedded store: one SQLite file, one host process.
//!
//! WAL with `synchronous=FULL`: a commit is on disk when it returns. One connection writes; reads
//! have their own.

mod decode;
mod modules;
mod open;
mod runs;
mod steps;

use std::fs::File;
use std::path::PathBuf;

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use super::{Store, StoreError, VersionRow, Write, Written};
use crate::executor::{RunFilter, RunSummary};
use crate::journal::{Row, Run, RunId};

/// An SQLite database that this process owns.
pub struct SqliteStore {
    path: PathBuf,
    /// The connection that writes.
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    /// Held for as long as the store is open: no other process may use the file.
    _lock: File,
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let mut connection = self.writer.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let written = runs::start(&mut transaction, batch).await?;
        runs::save(&mut transaction, batch).await?;
        steps::save(&mut transaction, batch).await?;
        transaction.commit().await?;
        Ok(written)
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        runs::get(&self.readers, id).await
    }

    async fn rows(&self, id: RunId) -> Result<Vec<Row>, StoreError> {
        steps::of_run(&self.readers, id).await
    }

    async fn list(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        runs::list(&self.readers, filter).await
    }

    async fn unfinished(&self, after: Option<RunId>, limit: u32) -> Result<Vec<RunId>, StoreError> {
        runs::unfinished(&self.readers, after, limit).await
    }

    async fn register(
        &self,
        digest: &str,
        component: &[u8],
        versions: &[VersionRow],
    ) -> Result<Option<VersionRow>, StoreError> {
        let mut connection = self.writer.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if let Some(taken) = modules::taken(&mut transaction, digest, versions).await? {
            return Ok(Some(taken));
        }
        modules::insert(&mut transaction, digest, component, versions).await?;
        transaction.commit().await?;
        Ok(None)
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        modules::component(&self.readers, digest).await
    }

    async fn versions(&self, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        modules::versions(&self.readers, workflow).await
    }

    async fn activate(&self, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let mut connection = self.writer.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let found = modules::activate(&mut transaction, workflow, version).await?;
        transaction.commit().await?;
        Ok(found)
    }

    async fn deprecate(&self, workflow: &str, version: u32) -> Result<bool, StoreError> {
        modules::deprecate(&mut *self.writer.lock().await, workflow, version).await
    }

    async fn close(&self) {
        self.readers.close().await;
        // Merges the write-ahead log, so that what is left is one file. Failing to is no loss.
        let mut connection = self.writer.lock().await;
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await {
            tracing::warn!(%error, path = %self.path.display(), "cannot merge the write-ahead log");
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { index, source } => {
                Self::Corrupt { table: "a table", why: format!("column {index}: {source}") }
            }
            sqlx::Error::Database(error) => Self::Unavailable(error.message().to_owned()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}
