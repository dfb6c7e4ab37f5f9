//! The store of several nodes: one PostgreSQL database.
//!
//! A batch is one statement on the write connection. The statement locks the node's row, so that the epoch cannot end
//! meanwhile, and writes nothing if the epoch has ended. Reads and claims use a pool; the lease and the listener have a
//! connection each.

mod batch;
mod claim;
mod commit;
mod components;
mod connection;
mod db;
mod decode;
mod directory;
mod error;
mod exposure;
mod inbox;
mod journals;
mod lease;
mod lists;
mod logs;
mod migrate;
mod notifications;
mod open;
mod operations;
mod options;
mod overview;
#[cfg(test)]
mod plan;
mod pooler;
mod position;
mod requests;
mod runs;
mod server;
mod statement;
mod text;
mod write_connection;

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use uuid::Uuid;

pub use self::options::PostgresOptions;

use self::connection::{Connections, Endpoint};
use self::error::QueryError;
use self::journals::{Found, Purpose};
use self::lease::Lease;
use self::notifications::{Message, Notifier};
use self::write_connection::WriteConnection;
use super::directory::{
    AuditEntry, AuditFilter, Change, Directory, EntryId, SigningSecret, Stored, Update, UsageRow,
};
use super::{
    Acquired, Committed, Due, Epoch, Loaded, Node, Nodes, Notification, RemoteCommand, RemoteRequest,
    RemoteResponse, Store, StoreError, VersionRow, Write,
};
use crate::{
    ChangedFilter, ChangedPage, DbFilter, DbPage, InputSchema, LogFilter, LogPage, Overview, Position,
    Readable, RunFilter, RunList, RunNumbers, StepFilter, StepPage, VersionConflict,
};
use forge_journal::db::{Entry, Totals};
use forge_journal::{Inbox, Run, RunId, Timestamp, WorkflowStatus};
use forge_scheduling::Attempts;

/// A PostgreSQL database that any number of processes share.
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// Stops the tasks of the lease and the listener. If the store is dropped without being closed, its lease expires.
    stop: DropGuard,
}

struct Shared {
    notifier: Notifier,
    writer: tokio::sync::Mutex<WriteConnection>,
    readers: Connections,
    endpoint: Endpoint,
    /// The time limit of a statement.
    limit: Duration,
    /// The lease as this node knows it.
    lease: watch::Sender<Lease>,
    /// A batch failed, and may have been or still be committed.
    outcome_unknown: AtomicBool,
    /// Attempts to make sure that no failed batch is committed later.
    fencing_off: Attempts<StoreError>,
    /// A claim failed, and may have claimed runs.
    lost_claim: AtomicBool,
    notifications: mpsc::UnboundedSender<Notification>,
    /// The receiving end, until [`Nodes::listen`] takes it.
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Notification>>>,
    /// Changes when there is a response to a request of any node.
    responded: watch::Sender<()>,
    /// The revision of the directory that the last renewal of the lease has read, and when it was asked for.
    directory_revision: Mutex<Option<(i64, Instant)>>,
    /// Another process has taken this node's name.
    replaced: Notify,
    /// Requests without a response that [`Nodes::requests`] has returned.
    returned: Mutex<HashSet<i64>>,
}

#[async_trait]
impl Store for PostgresStore {
    fn concurrent_reads(&self) -> usize {
        self.shared.readers.most()
    }

    fn directory(&self) -> &dyn Directory {
        self
    }

    fn epoch(&self) -> Epoch {
        self.shared.notifier.epoch()
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }

    fn holds_lease(&self, epoch: Epoch) -> bool {
        self.shared.lease.borrow().is_held(epoch)
    }

    async fn await_lease(&self, epoch: Epoch) -> Result<(), StoreError> {
        let mut lease = self.shared.lease.subscribe();
        loop {
            {
                let lease = lease.borrow_and_update();
                if lease.is_held(epoch) {
                    return Ok(());
                }
                if lease.is_over(epoch) {
                    return Err(StoreError::Fenced);
                }
            }
            lease.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }

    async fn commit(&self, epoch: Epoch, batch: &[Write]) -> Result<Committed, StoreError> {
        self.shared.writer.lock().await.commit(&self.shared, epoch, batch).await
    }

    async fn claim(&self, epoch: Epoch, until: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let claimed = claim::claim(&self.shared.readers, epoch, until, limit).await;
        if matches!(claimed, Err(StoreError::OutcomeUnknown(_) | StoreError::Corrupt { .. })) {
            self.shared.lost_claim.store(true, Ordering::Release);
        }
        claimed
    }

    async fn acquire(
        &self,
        epoch: Epoch,
        ids: &[RunId],
    ) -> Result<Vec<Result<Acquired, StoreError>>, StoreError> {
        let shared = &self.shared;
        shared.fence_off_failed().await?;
        let mut found = journals::load(&shared.readers, epoch, ids, Purpose::Execute).await?;
        let others: Vec<Uuid> = found.iter().filter(|(_, found)| !found.mine).map(|(id, _)| id.0).collect();
        if !others.is_empty() {
            claim::acquire(&shared.readers, epoch, &others).await?;
            let others: Vec<RunId> = others.into_iter().map(RunId).collect();
            found.extend(journals::load(&shared.readers, epoch, &others, Purpose::Execute).await?);
        }
        if found.values().any(|found| !found.live) {
            return Err(StoreError::Fenced);
        }
        // After the journals: an entry that is taken in them is not pending.
        let mine: Vec<Uuid> = found.iter().filter(|(_, found)| found.mine).map(|(id, _)| id.0).collect();
        for (id, inbox) in inbox::pending(&shared.readers, &mine, 0, u32::MAX).await? {
            if let Some(Found { loaded: Ok(loaded), .. }) = found.get_mut(&id) {
                loaded.inbox = inbox;
            }
        }
        let acquired = |id| match found.remove(id) {
            Some(Found { mine: true, loaded, .. }) => loaded.map(|loaded| Acquired::Here(Box::new(loaded))),
            Some(_) => Ok(Acquired::Elsewhere),
            None => Ok(Acquired::Unknown),
        };
        Ok(ids.iter().map(acquired).collect())
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        runs::get(&self.shared.readers, id).await
    }

    async fn readable(&self, id: RunId) -> Result<Option<Readable>, StoreError> {
        runs::readable(&self.shared.readers, id).await
    }

    async fn overview(&self, id: RunId) -> Result<Option<Overview>, StoreError> {
        overview::overview(&self.shared.readers, id).await
    }

    async fn inbox(&self, id: RunId, after: u64, limit: u32) -> Result<Option<Inbox>, StoreError> {
        Ok(inbox::pending(&self.shared.readers, &[id.0], after, limit).await?.remove(&id))
    }

    async fn steps(&self, id: RunId, filter: StepFilter) -> Result<Option<StepPage>, StoreError> {
        overview::page(&self.shared.readers, id, filter).await
    }

    async fn position(
        &self,
        id: RunId,
        since: Option<u64>,
        after: u64,
    ) -> Result<Option<Position>, StoreError> {
        position::position(&self.shared.readers, id, since, after).await
    }

    async fn changed_steps(&self, id: RunId, filter: ChangedFilter) -> Result<ChangedPage, StoreError> {
        position::changed_steps(&self.shared.readers, id, filter).await
    }

    async fn logs(&self, id: RunId, filter: &LogFilter) -> Result<Option<LogPage>, StoreError> {
        logs::page(&self.shared.readers, id, filter).await
    }

    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError> {
        runs::with_key(&self.shared.readers, tenant, workflow, key).await
    }

    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError> {
        self.shared.fence_off_failed().await?;
        let mut found = journals::load(&self.shared.readers, self.epoch(), ids, Purpose::Show).await?;
        Ok(ids.iter().map(|id| found.remove(id).map(|found| found.loaded).transpose()).collect())
    }

    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<RunList, StoreError> {
        lists::list(&self.shared.readers, tenant, filter).await
    }

    async fn counts(&self, tenant: &str, filter: &RunFilter, most: u32) -> Result<RunNumbers, StoreError> {
        lists::counts(&self.shared.readers, tenant, filter, most).await
    }

    async fn due(
        &self,
        epoch: Epoch,
        after: Option<(Timestamp, RunId)>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        runs::due(&self.shared.readers, epoch, after, until, limit).await
    }

    async fn unfinished(&self, most: u32) -> Result<u64, StoreError> {
        runs::unfinished(&self.shared.readers, most).await
    }

    async fn expired(
        &self,
        tenant: &str,
        workflow: &str,
        status: WorkflowStatus,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunId>, StoreError> {
        runs::expired(&self.shared.readers, tenant, workflow, status, before, limit).await
    }

    async fn delete(&self, ids: &[RunId]) -> Result<Vec<RunId>, StoreError> {
        runs::delete(&self.shared.readers, ids).await
    }

    async fn db_entry(&self, tenant: &str, key: &str) -> Result<Option<Entry>, StoreError> {
        db::entry(&self.shared.readers, tenant, key).await
    }

    async fn db_entries(&self, tenant: &str, filter: &DbFilter) -> Result<DbPage, StoreError> {
        db::entries(&self.shared.readers, tenant, filter).await
    }

    async fn db_totals(&self, tenant: &str) -> Result<Totals, StoreError> {
        db::totals(&self.shared.readers, tenant).await
    }

    async fn register(
        &self,
        digest: &str,
        component: Option<Bytes>,
        versions: &[VersionRow],
        schemas: &[InputSchema],
        conflict: VersionConflict,
    ) -> Result<Vec<VersionRow>, StoreError> {
        components::register(
            &self.shared.readers,
            &self.shared.notifier,
            digest,
            component,
            versions,
            schemas,
            conflict,
        )
        .await
    }

    async fn input_schema(&self, digest: &str) -> Result<Option<String>, StoreError> {
        components::input_schema(&self.shared.readers, digest).await
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        components::component(&self.shared.readers, digest).await
    }

    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        components::versions(&self.shared.readers, tenant, workflow).await
    }

    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        components::activate(&self.shared.readers, &self.shared.notifier, tenant, workflow, version).await
    }

    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        components::deprecate(&self.shared.readers, &self.shared.notifier, tenant, workflow, version).await
    }

    async fn close(&self) {
        self.stop.token().cancel();
        self.shared.writer.lock().await.close(&self.shared).await;
        self.shared.readers.close().await;
    }
}

#[async_trait]
impl Directory for PostgresStore {
    async fn update(&self, since: Option<i64>) -> Result<Update, StoreError> {
        directory::update(&self.shared.readers, since).await
    }

    async fn purge(&self, entries: &[EntryId]) -> Result<(), StoreError> {
        directory::purge(&self.shared.readers, &self.shared.notifier, entries).await
    }

    async fn change(&self, change: Option<&Change>, audit: &AuditEntry) -> Result<bool, StoreError> {
        directory::change(&self.shared.readers, &self.shared.notifier, change, audit).await
    }

    async fn signing_secret(&self, new: &SigningSecret) -> Result<SigningSecret, StoreError> {
        directory::signing_secret(&self.shared.readers, new).await
    }

    async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        directory::audit_entries(&self.shared.readers, filter).await
    }

    async fn add_usage(&self, usage: &[UsageRow]) -> Result<(), StoreError> {
        directory::add_usage(&self.shared.readers, usage).await
    }

    async fn stored(&self) -> Result<Vec<Stored>, StoreError> {
        directory::stored(&self.shared.readers).await
    }

    async fn usage(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        directory::usage(&self.shared.readers, tenant, &hours).await
    }
}

#[async_trait]
impl Nodes for PostgresStore {
    fn listen(&self) -> Option<mpsc::UnboundedReceiver<Notification>> {
        self.shared.receiver.lock().take()
    }

    fn directory_revision(&self) -> Option<(i64, Instant)> {
        *self.shared.directory_revision.lock()
    }

    async fn notify(&self, notification: Notification) -> Result<(), StoreError> {
        let Some(message) = Option::<Message>::from(notification) else { return Ok(()) };
        notifications::send(&self.shared, message).await
    }

    async fn send_command(
        &self,
        run: RunId,
        command: &RemoteCommand,
    ) -> Result<Option<RemoteResponse>, StoreError> {
        requests::send_command(&self.shared, run, command).await
    }

    async fn requests(&self) -> Result<Vec<RemoteRequest>, StoreError> {
        requests::requests(&self.shared).await
    }

    async fn respond(&self, request: i64, response: &RemoteResponse) -> Result<(), StoreError> {
        requests::respond(&self.shared, request, response).await
    }

    async fn list(&self) -> Result<Vec<Node>, StoreError> {
        lease::list(&self.shared).await
    }

    async fn is_leader(&self) -> Result<bool, StoreError> {
        lease::is_leader(&self.shared).await
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        lease::sweep(&self.shared).await
    }
}

impl Shared {
    fn notify(&self, notification: Notification) {
        // Fails if the store has no listener any more.
        let _ = self.notifications.send(notification);
    }

    /// Records that the outcome of a batch is unknown.
    fn set_outcome_unknown(&self) {
        self.outcome_unknown.store(true, Ordering::Release);
    }

    /// Records that no failed batch can be committed any more.
    fn set_outcomes_known(&self) {
        if self.outcome_unknown.swap(false, Ordering::AcqRel) {
            self.notify(Notification::Reconnected);
        }
    }

    /// Makes sure that no failed batch is committed later: what is read from now on must stay true.
    async fn fence_off_failed(&self) -> Result<(), StoreError> {
        if !self.outcome_unknown.load(Ordering::Acquire) {
            return Ok(());
        }
        let attempt = async {
            let fenced = timeout(self.limit, async { self.writer.lock().await.fence_off_failed(self).await });
            fenced.await.map_err(|_| QueryError::TimedOut(self.limit))?
        };
        self.fencing_off.make(attempt).await
    }

    /// The same in the background.
    fn fence_off_failed_soon(self: &Arc<Self>) {
        if self.outcome_unknown.load(Ordering::Acquire) {
            let shared = Arc::clone(self);
            // If it fails, it is repeated after the next renewal of the lease.
            tokio::spawn(async move { shared.fence_off_failed().await });
        }
    }

    /// Called after each renewal of the lease.
    fn renewed(&self) {
        if self.lost_claim.swap(false, Ordering::AcqRel) {
            self.notify(Notification::Reconnected);
        }
    }
}
