//! The embedded store: one SQLite file, one host process.
//!
//! WAL with `synchronous=FULL`: a commit is on disk when it returns. One connection writes; reads
//! have their own.

mod checkpoint;
mod connection;
mod decode;
mod directory;
mod log;
mod modules;
mod open;
mod runs;
mod steps;

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};

use self::connection::{Readers, WriteConnection};
use super::directory::{AuditEntry, AuditFilter, Change, Directory, Entry, UsageRow};
use super::{Due, Epoch, Loaded, Store, StoreError, VersionRow, Write, Written};
use crate::{RunFilter, RunSummary};
use forge_journal::{Run, RunId, Timestamp};

/// Writes from which on a batch counts as large.
const LARGE_BATCH: usize = 4;

/// An SQLite database that this process owns.
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Mutex<WriteConnection>,
    readers: Readers,
    /// Held for as long as the store is open: no other process may use the file.
    lock: Mutex<Option<File>>,
}

#[async_trait]
impl Store for SqliteStore {
    fn directory(&self) -> &dyn Directory {
        self
    }

    /// A small batch is committed on the calling thread: the way to another thread and back would take as long as the
    /// commit. Before a large one, the thread gives its other tasks away: they gather the next batch.
    async fn commit(&self, _: Epoch, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        let commit = || self.shared.write(|connection| apply(connection, batch));
        let is_shared = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        if is_shared && (batch.len() >= LARGE_BATCH || self.shared.writer.is_locked()) {
            tokio::task::block_in_place(commit)
        } else {
            commit()
        }
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.reading(move |connection| runs::get(connection, id)).await
    }

    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError> {
        let (tenant, workflow, key) = (tenant.to_owned(), workflow.to_owned(), key.to_owned());
        self.reading(move |connection| runs::with_key(connection, &tenant, &workflow, &key)).await
    }

    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError> {
        let ids = ids.to_vec();
        self.reading(move |connection| Ok(ids.iter().map(|id| loaded(connection, *id)).collect())).await
    }

    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let (tenant, filter) = (tenant.to_owned(), filter.clone());
        self.reading(move |connection| runs::list(connection, &tenant, &filter)).await
    }

    async fn due(
        &self,
        _: Epoch,
        after: Option<(Timestamp, RunId)>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        self.reading(move |connection| runs::due(connection, after, until, limit)).await
    }

    async fn unfinished(&self) -> Result<u64, StoreError> {
        self.reading(runs::unfinished).await
    }

    async fn register(
        &self,
        digest: &str,
        component: Option<&[u8]>,
        versions: &[VersionRow],
    ) -> Result<Option<VersionRow>, StoreError> {
        let (digest, versions) = (digest.to_owned(), versions.to_vec());
        let component = component.map(<[u8]>::to_vec);
        self.writing(move |connection| {
            modules::register(connection, &digest, component.as_deref(), &versions)
        })
        .await
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = digest.to_owned();
        self.reading(move |connection| modules::component(connection, &digest)).await
    }

    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.map(str::to_owned));
        self.reading(move |connection| modules::versions(connection, &tenant, workflow.as_deref())).await
    }

    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.to_owned());
        self.writing(move |connection| modules::activate(connection, &tenant, &workflow, version)).await
    }

    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.to_owned());
        self.writing(move |connection| modules::deprecate(connection, &tenant, &workflow, version)).await
    }

    async fn close(&self) {
        let closed = self.on_another_thread(|shared| {
            shared.readers.close();
            shared.writer().close();
            drop(shared.lock.lock().take());
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the database was not closed");
        }
    }
}

#[async_trait]
impl Directory for SqliteStore {
    async fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        self.reading(directory::entries).await
    }

    async fn change(&self, change: Option<&Change>, deed: &AuditEntry) -> Result<bool, StoreError> {
        let (change, deed) = (change.cloned(), deed.clone());
        self.writing(move |connection| directory::change(connection, change.as_ref(), &deed)).await
    }

    async fn deeds(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        let filter = filter.clone();
        self.reading(move |connection| directory::deeds(connection, &filter)).await
    }

    async fn charge(&self, used: &[UsageRow]) -> Result<(), StoreError> {
        let used = used.to_vec();
        self.writing(move |connection| directory::charge(connection, &used)).await
    }

    async fn used(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.reading(move |connection| directory::used(connection, tenant.as_deref(), &hours)).await
    }
}

fn loaded(connection: &Connection, id: RunId) -> Result<Option<Loaded>, StoreError> {
    let run = runs::get(connection, id)?;
    Ok(run.map(|run| Loaded { run, rows: steps::of_run(connection, id) }))
}

fn apply(connection: &Connection, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
    let written = runs::start(connection, batch)?;
    runs::save(connection, batch)?;
    steps::save(connection, batch)?;
    Ok(written)
}

impl SqliteStore {
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.on_another_thread(move |shared| shared.readers.read(read)).await
    }

    async fn writing<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.on_another_thread(move |shared| shared.write(write)).await
    }

    /// SQLite blocks, so nothing but the writer calls it on its own thread.
    async fn on_another_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(done) => done,
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, WriteConnection> {
        self.writer.lock()
    }

    fn write<T>(&self, write: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.writer().transaction(write)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(column, _, why) => {
                Self::Corrupt { table: "a table", why: format!("column {column}: {why}") }
            }
            rusqlite::Error::SqliteFailure(error, None) => Self::Unavailable(error.to_string()),
            rusqlite::Error::SqliteFailure(_, Some(message)) => Self::Unavailable(message),
            error => Self::Unavailable(error.to_string()),
        }
    }
}
