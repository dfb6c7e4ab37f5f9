//! The tenant's store, for runs and for clients.

use std::sync::Arc;

use super::turns::{Turn, Turns};
use super::{ExecutorError, Inner, WorkflowExecutor};
use forge_clock as clock;
use forge_journal::TenantId;
use forge_journal::db::{Entry, Limits, Operation, Transaction, check_key, check_prefix};
use forge_scheduling::TurnPermits;
use forge_store::{DbFilter, DbPage, Store, StoreError};
use parking_lot::Mutex;

/// Entries in a page by default.
const PAGE: u32 = 50;

/// The most entries in a page.
const LARGEST_PAGE: u32 = 500;

/// The bytes of keys and values in a page. With them, a response takes some megabytes of memory.
const PAGE_BYTES: u64 = 2 << 20;

/// Reads the store of a tenant for one run. Reads of one tenant do not delay those of others. Cheap to clone.
#[derive(Clone)]
pub(super) struct DbReader {
    store: Arc<dyn Store>,
    reads: Arc<TurnPermits<TenantId>>,
    turns: Arc<Turns>,
    /// The turns that the run has.
    held: Arc<Mutex<Vec<Turn>>>,
    tenant: TenantId,
}

impl DbReader {
    /// Creates the reader of a tenant's store.
    pub(super) fn new(inner: &Inner, tenant: &TenantId) -> Self {
        let (store, reads) = (Arc::clone(&inner.store), Arc::clone(&inner.reads));
        let (turns, held) = (Arc::clone(&inner.turns), Arc::default());
        Self { store, reads, turns, held, tenant: Arc::clone(tenant) }
    }

    /// Waits until it is the run's turn to change a key. The run has the turn until [`DbReader::turns`] is dropped.
    pub(super) async fn take_turn(&self, key: &str) {
        let turn = self.turns.take(&self.tenant, key).await;
        self.held.lock().push(turn);
    }

    /// Returns the turns that the run has.
    pub(super) fn turns(&self) -> Vec<Turn> {
        std::mem::take(&mut *self.held.lock())
    }

    /// Returns an entry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let _permit = self.reads.acquire(&self.tenant).await;
        self.store.db_entry(&self.tenant, key).await
    }

    /// Returns a page of entries.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn entries(&self, filter: &DbFilter) -> Result<DbPage, StoreError> {
        let _permit = self.reads.acquire(&self.tenant).await;
        self.store.db_entries(&self.tenant, filter).await
    }
}

impl WorkflowExecutor {
    /// Returns an entry of the tenant's store.
    ///
    /// # Errors
    /// [`ExecutorError::DbKey`] if it cannot be a key.
    pub async fn db_get(&self, key: &str) -> Result<Option<Entry>, ExecutorError> {
        check_key(key, &self.db_limits().await?).map_err(ExecutorError::DbKey)?;
        self.reading(async || Ok(self.inner.store.db_entry(&self.tenant, key).await?)).await
    }

    /// Returns a page of the tenant's store, in the order of the keys. A limit of 0 stands for 50; the most is 500. A page may
    /// be shorter, because its bytes are bounded.
    ///
    /// # Errors
    /// [`ExecutorError::DbKey`] if the prefix or the key before the page cannot be one.
    pub async fn db_list(&self, filter: DbFilter) -> Result<DbPage, ExecutorError> {
        let limits = self.db_limits().await?;
        check_prefix(&filter.prefix, &limits).map_err(ExecutorError::DbKey)?;
        filter.after.iter().try_for_each(|after| check_key(after, &limits)).map_err(ExecutorError::DbKey)?;
        let limit = if filter.limit == 0 { PAGE } else { filter.limit.min(LARGEST_PAGE) };
        let filter = DbFilter { limit, bytes: PAGE_BYTES, ..filter };
        self.reading(async || Ok(self.inner.store.db_entries(&self.tenant, &filter).await?)).await
    }

    /// Returns the limits of the tenant's store.
    pub(crate) async fn db_limits(&self) -> Result<Limits, ExecutorError> {
        Ok(self.inner.tenants.get(&self.tenant).await?.limits().db())
    }

    /// Performs a transaction of the tenant's store. It is durable when the method returns. Returns the version of the entry
    /// after each `put`, and 0 for other operations.
    ///
    /// # Errors
    /// [`ExecutorError::DbKey`] if a key cannot be one; [`ExecutorError::Db`] if a requirement is not met, or a limit is
    /// reached. Nothing was changed.
    pub async fn db_commit(&self, operations: Vec<Operation>) -> Result<Vec<u64>, ExecutorError> {
        if self.inner.shutdown.is_cancelled() {
            return Err(ExecutorError::ShuttingDown);
        }
        if let Some(trouble) = self.inner.store.trouble() {
            return Err(trouble.into());
        }
        let tenant = self.inner.tenants.get(&self.tenant).await?;
        tenant.check_active()?;
        let limits = tenant.limits().db();
        let mut keys = operations.iter().map(Operation::key);
        keys.try_for_each(|key| check_key(key, &limits)).map_err(ExecutorError::DbKey)?;
        let transaction =
            Transaction { tenant: Arc::clone(&self.tenant), operations, limits, at: clock::now() };
        tenant.account.transacted(&transaction);
        let writer = self.inner.writer_for(clock::new_run_id(), &self.tenant);
        let result = writer.transact(transaction).await??;
        let corrupt = |why| StoreError::Corrupt { table: "forge_db", why };
        Ok(forge_journal::db::decode(result.as_deref().unwrap_or("[]")).map_err(corrupt)?)
    }
}
