//! The embedded store: one SQLite file, one host process.
//!
//! WAL mode with `synchronous=FULL`: a commit is on disk when it returns. One connection writes; a pool of connections
//! reads.

mod checkpoint;
mod components;
mod connection;
mod db;
mod decode;
mod directory;
mod files;
mod inbox;
mod inspect;
mod lists;
mod log;
mod logs;
mod open;
mod operations;
mod overview;
#[cfg(test)]
mod plan;
mod position;
mod reading;
mod runs;
mod steps;
mod tags;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};

use self::connection::{READERS, Readers, WriteConnection};
use self::files::Files;
use self::inspect::LogWatch;
use self::reading::{EndWithCaller, Reading};
use super::directory::{
    AuditEntry, AuditFilter, Change, Directory, EntryId, SigningSecret, Stored, Update, UsageRow,
};
use super::{Committed, Due, Epoch, Loaded, Store, StoreError, VersionRow, Write};
use crate::{
    ChangedFilter, ChangedPage, DbFilter, DbPage, InputSchema, LogFilter, LogLimits, LogPage, Overview,
    Position, Readable, RunFilter, RunList, RunNumbers, StepFilter, StepPage, VersionConflict,
};
use forge_journal::db::{Entry, Totals};
use forge_journal::{Inbox, Run, RunId, Timestamp, WorkflowStatus};

/// The number of writes from which on a batch counts as large.
const LARGE_BATCH: usize = 4;

/// The time from which on a commit counts as slow: then the disk is busy, and the next commit may take long, too.
const SLOW_COMMIT: Duration = Duration::from_millis(5);

/// An SQLite database that this process owns.
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// A connection that is idle for as long as the store is open: SQLite deletes the log with its last connection, and the
    /// writing connection is closed after an error. Closed before the writing connection.
    anchor: Mutex<Option<Connection>>,
    writer: Mutex<WriteConnection>,
    /// Whether the last commit was slow.
    is_slow: AtomicBool,
    readers: Readers,
    path: PathBuf,
    /// Why no work must begin, as the last look found it.
    trouble: RwLock<Option<StoreError>>,
    /// What the last look at the log found.
    log: Mutex<LogWatch>,
    log_limits: LogLimits,
    /// The files, while the store is open. They are closed after the connections.
    files: Mutex<Option<Files>>,
}

#[async_trait]
impl Store for SqliteStore {
    fn concurrent_reads(&self) -> usize {
        READERS
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        self.on_another_thread(Shared::inspect).await
    }

    fn trouble(&self) -> Option<StoreError> {
        self.shared.trouble.read().clone()
    }

    fn directory(&self) -> &dyn Directory {
        self
    }

    /// Commits a small batch on the calling thread: a hand-over to another thread would take as long as the commit.
    /// Before a large batch, the thread hands its other tasks over, so that they can queue the next batch.
    async fn commit(&self, _: Epoch, batch: &[Write]) -> Result<Committed, StoreError> {
        let shared = &self.shared;
        let commit = || {
            let started = Instant::now();
            let committed = shared.transaction(|connection| apply(connection, batch));
            shared.is_slow.store(started.elapsed() > SLOW_COMMIT, Ordering::Relaxed);
            committed
        };
        let is_shared = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        let may_take_long = || shared.is_slow.load(Ordering::Relaxed) || shared.writer.is_locked();
        if is_shared && (batch.len() >= LARGE_BATCH || may_take_long()) {
            tokio::task::block_in_place(commit)
        } else {
            commit()
        }
    }

    /// Writes a page: an empty transaction would not reach the disk.
    async fn probe(&self, _: Epoch) -> Result<(), StoreError> {
        self.write(|connection| {
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            Ok(connection.pragma_update(None, "user_version", version)?)
        })
        .await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.read(move |connection| runs::get(connection, id)).await
    }

    async fn readable(&self, id: RunId) -> Result<Option<Readable>, StoreError> {
        self.read(move |connection| runs::readable(connection, id)).await
    }

    async fn overview(&self, id: RunId) -> Result<Option<Overview>, StoreError> {
        self.read(move |connection| overview::overview(connection, id)).await
    }

    async fn inbox(&self, id: RunId, after: u64, limit: u32) -> Result<Option<Inbox>, StoreError> {
        self.read(move |connection| inbox::pending(connection, id, after, limit)).await
    }

    async fn steps(&self, id: RunId, filter: StepFilter) -> Result<Option<StepPage>, StoreError> {
        self.read(move |connection| steps::page(connection, id, filter)).await
    }

    async fn position(
        &self,
        id: RunId,
        since: Option<u64>,
        after: u64,
    ) -> Result<Option<Position>, StoreError> {
        self.read(move |connection| position::position(connection, id, since, after)).await
    }

    async fn changed_steps(&self, id: RunId, filter: ChangedFilter) -> Result<ChangedPage, StoreError> {
        self.read(move |connection| position::changed_steps(connection, id, filter)).await
    }

    async fn logs(&self, id: RunId, filter: &LogFilter) -> Result<Option<LogPage>, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| logs::page(connection, id, &filter)).await
    }

    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError> {
        let (tenant, workflow, key) = (tenant.to_owned(), workflow.to_owned(), key.to_owned());
        self.read(move |connection| runs::with_key(connection, &tenant, &workflow, &key)).await
    }

    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |connection| Ok(ids.iter().map(|id| loaded(connection, *id)).collect())).await
    }

    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<RunList, StoreError> {
        let (tenant, filter) = (tenant.to_owned(), filter.clone());
        self.read(move |connection| lists::list(connection, &tenant, &filter)).await
    }

    async fn counts(&self, tenant: &str, filter: &RunFilter, most: u32) -> Result<RunNumbers, StoreError> {
        let (tenant, filter) = (tenant.to_owned(), filter.clone());
        self.read(move |connection| lists::counts(connection, &tenant, &filter, most)).await
    }

    async fn due(
        &self,
        _: Epoch,
        after: Option<(Timestamp, RunId)>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        self.read(move |connection| runs::due(connection, after, until, limit)).await
    }

    async fn unfinished(&self, most: u32) -> Result<u64, StoreError> {
        self.read(move |connection| runs::unfinished(connection, most)).await
    }

    async fn expired(
        &self,
        tenant: &str,
        workflow: &str,
        status: WorkflowStatus,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunId>, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.to_owned());
        self.read(move |connection| runs::expired(connection, &tenant, &workflow, status, before, limit))
            .await
    }

    async fn delete(&self, ids: &[RunId]) -> Result<Vec<RunId>, StoreError> {
        let ids = ids.to_vec();
        self.write(move |connection| runs::delete(connection, &ids)).await
    }

    async fn db_entry(&self, tenant: &str, key: &str) -> Result<Option<Entry>, StoreError> {
        let (tenant, key) = (tenant.to_owned(), key.to_owned());
        self.read(move |connection| db::entry(connection, &tenant, &key)).await
    }

    async fn db_entries(&self, tenant: &str, filter: &DbFilter) -> Result<DbPage, StoreError> {
        let (tenant, filter) = (tenant.to_owned(), filter.clone());
        self.read(move |connection| db::entries(connection, &tenant, &filter)).await
    }

    async fn db_totals(&self, tenant: &str) -> Result<Totals, StoreError> {
        let tenant = tenant.to_owned();
        self.read(move |connection| db::totals(connection, &tenant)).await
    }

    async fn register(
        &self,
        digest: &str,
        component: Option<Bytes>,
        versions: &[VersionRow],
        schemas: &[InputSchema],
        conflict: VersionConflict,
    ) -> Result<Vec<VersionRow>, StoreError> {
        let (digest, versions, schemas) = (digest.to_owned(), versions.to_vec(), schemas.to_vec());
        self.write(move |connection| {
            components::register(connection, &digest, component.as_deref(), &versions, &schemas, conflict)
        })
        .await
    }

    async fn input_schema(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let digest = digest.to_owned();
        self.read(move |connection| components::input_schema(connection, &digest)).await
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = digest.to_owned();
        self.read(move |connection| components::component(connection, &digest)).await
    }

    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.map(str::to_owned));
        self.read(move |connection| components::versions(connection, &tenant, workflow.as_deref())).await
    }

    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.to_owned());
        self.write(move |connection| components::activate(connection, &tenant, &workflow, version)).await
    }

    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        let (tenant, workflow) = (tenant.to_owned(), workflow.to_owned());
        self.write(move |connection| components::deprecate(connection, &tenant, &workflow, version)).await
    }

    async fn close(&self) {
        let closed = self.on_another_thread(|shared| {
            shared.readers.close();
            drop(shared.anchor.lock().take());
            shared.writer.lock().close();
            drop(shared.files.lock().take());
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the database could not be closed");
        }
    }
}

#[async_trait]
impl Directory for SqliteStore {
    async fn update(&self, since: Option<i64>) -> Result<Update, StoreError> {
        self.read(move |connection| directory::update(connection, since)).await
    }

    async fn purge(&self, entries: &[EntryId]) -> Result<(), StoreError> {
        let entries = entries.to_vec();
        self.write(move |connection| directory::purge(connection, &entries)).await
    }

    async fn change(&self, change: Option<&Change>, audit: &AuditEntry) -> Result<bool, StoreError> {
        let (change, audit) = (change.cloned(), audit.clone());
        self.write(move |connection| directory::change(connection, change.as_ref(), &audit)).await
    }

    async fn signing_secret(&self, new: &SigningSecret) -> Result<SigningSecret, StoreError> {
        if let Some(stored) = self.read(directory::signing_secret).await? {
            return Ok(stored);
        }
        let new = *new;
        self.write(move |connection| directory::make_signing_secret(connection, &new)).await
    }

    async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| directory::audit_entries(connection, &filter)).await
    }

    async fn add_usage(&self, usage: &[UsageRow]) -> Result<(), StoreError> {
        let usage = usage.to_vec();
        self.write(move |connection| directory::add_usage(connection, &usage)).await
    }

    async fn stored(&self) -> Result<Vec<Stored>, StoreError> {
        self.read(directory::stored).await
    }

    async fn usage(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let tenant = tenant.map(str::to_owned);
        self.read(move |connection| directory::usage(connection, tenant.as_deref(), &hours)).await
    }
}

fn loaded(connection: &Connection, id: RunId) -> Result<Option<Loaded>, StoreError> {
    let Some(run) = runs::get(connection, id)? else { return Ok(None) };
    let inbox = inbox::pending(connection, id, 0, u32::MAX)?.unwrap_or_default();
    Ok(Some(Loaded { run, rows: steps::of_run(connection, id), inbox }))
}

fn apply(connection: &Connection, batch: &[Write]) -> Result<Committed, StoreError> {
    let mut committed = Committed { written: runs::start(connection, batch)?, ..Committed::default() };
    // A run that has just started may send to itself.
    runs::save(connection, batch)?;
    operations::perform(connection, batch, &mut committed)?;
    steps::save(connection, batch, &committed.written)?;
    logs::save(connection, batch)?;
    operations::finish(connection, batch, &mut committed)?;
    directory::grow(connection, batch, &committed)?;
    Ok(committed)
}

impl SqliteStore {
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reading = Arc::new(Reading::default());
        // Dropped with this future.
        let _caller = EndWithCaller(Arc::clone(&reading));
        self.on_another_thread(move |shared| {
            shared.check_files_are_there()?;
            shared.readers.read(&reading, read)
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.on_another_thread(move |shared| shared.transaction(write)).await
    }

    /// Runs `work`, which blocks, on a thread for blocking work.
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
    fn transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check_files_are_there()?;
        self.writer.lock().transaction(work)
    }

    /// What was committed to a deleted file would be lost, and a new connection would open another file.
    fn check_files_are_there(&self) -> Result<(), StoreError> {
        match &*self.trouble.read() {
            Some(gone @ StoreError::FilesGone { .. }) => Err(gone.clone()),
            _ => Ok(()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(error, message) => {
                let too_large = error.code == rusqlite::ErrorCode::TooBig;
                let why = message.unwrap_or_else(|| error.to_string());
                if too_large { Self::Rejected(why) } else { Self::Unavailable(why) }
            }
            error => Self::Unavailable(error.to_string()),
        }
    }
}
