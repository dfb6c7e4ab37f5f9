use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forge_host::executor::RunFilter;
use forge_host::journal::db::{Entry, Totals};
use forge_host::journal::{Inbox, Journal, Row, Run, RunId, Timestamp, WorkflowStatus};
use forge_host::store::sqlite::SqliteStore;
use forge_host::store::{
    ChangedFilter, ChangedPage, Committed, DbFilter, DbPage, Directory, Due, Epoch, InputSchema, Loaded,
    LogFilter, LogPage, Overview, Position, Readable, RunList, RunNumbers, StepFilter, StepPage, Store,
    StoreError, VersionConflict, VersionRow, Write, Written,
};

/// A SQLite store that a test can freeze, slow down or cut off, and that records what is durable.
pub struct WatchedStore {
    store: SqliteStore,
    watch: Arc<Watch>,
}

/// The test's side of a [`WatchedStore`].
#[derive(Default)]
pub struct Watch {
    /// Batches that were committed.
    batches: AtomicU64,
    /// The number of batches that may be committed, if that is limited.
    limit: Mutex<Option<u64>>,
    /// The delay of a commit.
    delay: Mutex<Duration>,
    /// The number of component reads that fail from now on.
    lost_components: AtomicU64,
    /// Commits that wait for the thaw.
    waiting: AtomicU64,
    /// The name of a call whose row no commit can store.
    rejected_call: Mutex<Option<String>>,
    frozen: Mutex<bool>,
    thawed: Condvar,
    durable: Mutex<BTreeMap<RunId, Durable>>,
}

/// What is on disk of a run: its row, and those of its journal by `seq`.
type Durable = (Option<Run>, BTreeMap<u64, Row>);

impl WatchedStore {
    /// Opens the database file.
    pub async fn open(file: &Path) -> (Arc<Self>, Arc<Watch>) {
        let store = SqliteStore::open(file).await.expect("the database opens");
        let watch = Arc::new(Watch::default());
        (Arc::new(Self { store, watch: Arc::clone(&watch) }), watch)
    }
}

impl Watch {
    /// Freezes commits from now on.
    pub fn freeze(&self) {
        *lock(&self.frozen) = true;
    }

    /// Returns the number of frozen commits.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Continues the frozen commits.
    pub fn thaw(&self) {
        *lock(&self.frozen) = false;
        self.thawed.notify_all();
    }

    /// Fails this many reads of components.
    pub fn lose_components(&self, times: u64) {
        self.lost_components.store(times, Ordering::Release);
    }

    /// Returns how many reads of components will still fail.
    pub fn lost_components(&self) -> u64 {
        self.lost_components.load(Ordering::Acquire)
    }

    /// Rejects commits that contain a call of this name, as a database does with a value that it cannot store.
    pub fn reject(&self, call: Option<&str>) {
        *lock(&self.rejected_call) = call.map(str::to_owned);
    }

    /// Delays every commit.
    pub fn slow_down(&self, delay: Duration) {
        *lock(&self.delay) = delay;
    }

    /// Commits this many batches in all, and none after them.
    pub fn lose_after(&self, batches: u64) {
        *lock(&self.limit) = Some(batches);
    }

    /// Returns the number of committed batches.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Acquire)
    }

    /// Checks that the durable journal is valid and has this request.
    pub fn has_request(&self, key: &str) -> Result<(), String> {
        let run = key.split(':').next().unwrap_or_default();
        let run: RunId = run.parse().map_err(|_| format!("{key} names no run"))?;
        let durable =
            lock(&self.durable).get(&run).cloned().ok_or(format!("{key}: nothing of it is durable"))?;
        let (Some(run), rows) = durable else { return Err(format!("{key}: its start is not durable")) };
        let journal = Journal::load(run, rows.into_values().collect());
        let journal = journal.map_err(|error| format!("{key}: what is durable is no prefix: {error}"))?;
        let mut requests = journal.rows().iter().filter(|row| row.kind.as_str() == "http");
        // Some bring a key of their own.
        let has_key = |row: &Row| row.input.as_deref().is_some_and(|input| input.contains(key));
        let is_durable = requests.any(|row| journal.idempotency_key(row) == key || has_key(row));
        if is_durable { Ok(()) } else { Err(format!("{key} is not durable")) }
    }

    #[expect(clippy::disallowed_methods, reason = "a disk that is slow")]
    fn wait_and_admit(&self, is_empty: bool) -> Result<(), StoreError> {
        std::thread::sleep(*lock(&self.delay));
        let mut frozen = lock(&self.frozen);
        self.waiting.fetch_add(1, Ordering::AcqRel);
        while *frozen {
            frozen = self.thawed.wait(frozen).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        let lost = lock(&self.limit).is_some_and(|limit| self.batches() >= limit);
        if lost && !is_empty {
            return Err(StoreError::Unavailable("the test has taken the disk away".to_owned()));
        }
        Ok(())
    }

    fn check_storable(&self, batch: &[Write]) -> Result<(), StoreError> {
        let Some(name) = lock(&self.rejected_call).clone() else { return Ok(()) };
        let has_call = |write: &Write| match write {
            Write::Save(_, changes) => changes.rows.iter().any(|row| *row.name == *name),
            _ => false,
        };
        let why = || StoreError::Rejected(format!("the test cannot store `{name}`"));
        if batch.iter().any(has_call) { Err(why()) } else { Ok(()) }
    }

    fn committed(&self, batch: &[Write], committed: &Committed) {
        self.batches.fetch_add(1, Ordering::AcqRel);
        let mut durable = lock(&self.durable);
        for (write, written) in batch.iter().zip(&committed.written) {
            match write {
                Write::Start(run) | Write::InsertUnowned(run) if *written == Written::Done => {
                    durable.entry(run.id).or_default().0 = Some(run.as_ref().clone());
                }
                Write::StartWithEvent { run, .. } if *written == Written::Done => {
                    durable.entry(run.id).or_default().0 = Some(run.as_ref().clone());
                }
                Write::Start(_)
                | Write::InsertUnowned(_)
                | Write::StartWithEvent { .. }
                | Write::Send(_)
                | Write::Transaction(_) => {}
                Write::Save(id, changes) => {
                    let (run, rows) = durable.entry(*id).or_default();
                    if let Some(changed) = &changes.run {
                        *run = Some(changed.as_ref().clone());
                    }
                    rows.extend(changes.rows.iter().map(|row| (row.seq, row.clone())));
                }
            }
        }
        for run in &committed.started {
            durable.entry(run.id).or_default().0 = Some(run.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait::async_trait]
impl Store for WatchedStore {
    fn concurrent_reads(&self) -> usize {
        self.store.concurrent_reads()
    }

    fn directory(&self) -> &dyn Directory {
        self.store.directory()
    }

    async fn commit(&self, epoch: Epoch, batch: &[Write]) -> Result<Committed, StoreError> {
        let (watch, is_empty) = (Arc::clone(&self.watch), batch.is_empty());
        let admitted = tokio::task::spawn_blocking(move || watch.wait_and_admit(is_empty)).await;
        admitted.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        self.watch.check_storable(batch)?;
        let committed = self.store.commit(epoch, batch).await?;
        self.watch.committed(batch, &committed);
        Ok(committed)
    }

    async fn probe(&self, _: Epoch) -> Result<(), StoreError> {
        let watch = Arc::clone(&self.watch);
        let admitted = tokio::task::spawn_blocking(move || watch.wait_and_admit(false)).await;
        admitted.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.store.run(id).await
    }

    async fn readable(&self, id: RunId) -> Result<Option<Readable>, StoreError> {
        self.store.readable(id).await
    }

    async fn overview(&self, id: RunId) -> Result<Option<Overview>, StoreError> {
        self.store.overview(id).await
    }

    async fn inbox(&self, id: RunId, after: u64, limit: u32) -> Result<Option<Inbox>, StoreError> {
        self.store.inbox(id, after, limit).await
    }

    async fn db_entry(&self, tenant: &str, key: &str) -> Result<Option<Entry>, StoreError> {
        self.store.db_entry(tenant, key).await
    }

    async fn db_entries(&self, tenant: &str, filter: &DbFilter) -> Result<DbPage, StoreError> {
        self.store.db_entries(tenant, filter).await
    }

    async fn db_totals(&self, tenant: &str) -> Result<Totals, StoreError> {
        self.store.db_totals(tenant).await
    }

    async fn logs(&self, id: RunId, filter: &LogFilter) -> Result<Option<LogPage>, StoreError> {
        self.store.logs(id, filter).await
    }

    async fn steps(&self, id: RunId, filter: StepFilter) -> Result<Option<StepPage>, StoreError> {
        self.store.steps(id, filter).await
    }

    async fn position(
        &self,
        id: RunId,
        since: Option<u64>,
        after: u64,
    ) -> Result<Option<Position>, StoreError> {
        self.store.position(id, since, after).await
    }

    async fn changed_steps(&self, id: RunId, filter: ChangedFilter) -> Result<ChangedPage, StoreError> {
        self.store.changed_steps(id, filter).await
    }

    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError> {
        self.store.run_with_key(tenant, workflow, key).await
    }

    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError> {
        let loaded = self.store.load(ids).await?;
        // What another host has written is durable, too.
        for Loaded { run, rows, .. } in loaded.iter().filter_map(|loaded| loaded.as_ref().ok()?.as_ref()) {
            let rows = rows.iter().flatten().map(|row| (row.seq, row.clone())).collect();
            lock(&self.watch.durable).entry(run.id).or_insert((Some(run.clone()), rows));
        }
        Ok(loaded)
    }

    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<RunList, StoreError> {
        self.store.list(tenant, filter).await
    }

    async fn counts(&self, tenant: &str, filter: &RunFilter, most: u32) -> Result<RunNumbers, StoreError> {
        self.store.counts(tenant, filter, most).await
    }

    async fn due(
        &self,
        epoch: Epoch,
        after: Option<(Timestamp, RunId)>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        self.store.due(epoch, after, until, limit).await
    }

    async fn unfinished(&self, most: u32) -> Result<u64, StoreError> {
        self.store.unfinished(most).await
    }

    async fn expired(
        &self,
        tenant: &str,
        workflow: &str,
        status: WorkflowStatus,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunId>, StoreError> {
        self.store.expired(tenant, workflow, status, before, limit).await
    }

    async fn delete(&self, runs: &[RunId]) -> Result<Vec<RunId>, StoreError> {
        self.store.delete(runs).await
    }

    async fn register(
        &self,
        digest: &str,
        component: Option<Bytes>,
        versions: &[VersionRow],
        schemas: &[InputSchema],
        conflict: VersionConflict,
    ) -> Result<Vec<VersionRow>, StoreError> {
        self.store.register(digest, component, versions, schemas, conflict).await
    }

    async fn input_schema(&self, digest: &str) -> Result<Option<String>, StoreError> {
        self.store.input_schema(digest).await
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let take = |times: u64| times.checked_sub(1);
        if self.watch.lost_components.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok() {
            return Err(StoreError::Unavailable("the test has lost the component".to_owned()));
        }
        self.store.component(digest).await
    }

    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        self.store.versions(tenant, workflow).await
    }

    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        self.store.activate(tenant, workflow, version).await
    }

    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        self.store.deprecate(tenant, workflow, version).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
