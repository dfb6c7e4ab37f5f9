//! The embedded store: one SQLite file, one host process.
//!
//! WAL with `synchronous=FULL`: a commit is on disk when it returns. One connection writes; reads
//! have their own.

mod connection;
mod decode;
mod modules;
mod open;
mod runs;
mod steps;

use std::fs::File;

use async_trait::async_trait;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use self::connection::WriteConnection;
use super::{Store, StoreError, VersionRow, Write, Written};
use crate::executor::{RunFilter, RunSummary};
use crate::journal::{Row, Run, RunId};

/// An SQLite database that this process owns.
pub struct SqliteStore {
    writer: Mutex<WriteConnection>,
    readers: SqlitePool,
    /// Held for as long as the store is open: no other process may use the file.
    _lock: File,
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let mut writer = self.writer.lock().await;
        let written = match writer.begin().await {
            Ok(connection) => commit(connection, batch).await,
            Err(error) => Err(error),
        };
        writer.end(written).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        runs::get(&self.readers, id).await
    }

    async fn run_with_key(&self, workflow: &str, key: &str) -> Result<Option<Run>, StoreError> {
        runs::with_key(&self.readers, workflow, key).await
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
        let mut writer = self.writer.lock().await;
        let registered = match writer.begin().await {
            Ok(connection) => modules::register(connection, digest, component, versions).await,
            Err(error) => Err(error),
        };
        writer.end(registered).await
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        modules::component(&self.readers, digest).await
    }

    async fn versions(&self, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        modules::versions(&self.readers, workflow).await
    }

    async fn activate(&self, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let found = match writer.begin().await {
            Ok(connection) => modules::activate(connection, workflow, version).await,
            Err(error) => Err(error),
        };
        writer.end(found).await
    }

    async fn deprecate(&self, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let found = match writer.begin().await {
            Ok(connection) => modules::deprecate(connection, workflow, version).await,
            Err(error) => Err(error),
        };
        writer.end(found).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}

async fn commit(connection: &mut SqliteConnection, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
    let written = runs::start(connection, batch).await?;
    runs::save(connection, batch).await?;
    steps::save(connection, batch).await?;
    Ok(written)
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
