//! The store of many nodes: one PostgreSQL database.
//!
//! A batch is one statement on a connection of its own. It holds the node's row, so that nobody declares the
//! node dead while it is written, and writes nothing if somebody has. Reads and claims have a few connections, and the
//! lease and the notices one each.

mod batch;
mod claim;
mod commit;
mod connection;
mod decode;
mod directory;
mod error;
mod journals;
mod lease;
mod migrate;
mod modules;
mod notices;
mod open;
mod options;
mod questions;
mod runs;
mod statement;
mod text;
mod writing;

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

pub use self::options::PostgresOptions;

use self::connection::Connections;
use self::journals::Found;
use self::notices::{Message, Notifier};
use self::writing::WriteConnection;
use super::directory::{AuditEntry, AuditFilter, Change, Directory, Entry, UsageRow};
use super::{
    Acquired, Due, Epoch, Loaded, Node, Nodes, Notification, RemoteCommand, RemoteRequest, RemoteResponse,
    Store, StoreError, VersionRow, Write, Written,
};
use crate::{RunFilter, RunSummary};
use forge_journal::{Run, RunId, Timestamp};

/// A PostgreSQL database that this process and others use.
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// Ends the tasks of the lease and of the notices. A store that is dropped and not closed is a node that died.
    stop: DropGuard,
}

struct Shared {
    voice: Notifier,
    writer: tokio::sync::Mutex<WriteConnection>,
    readers: Connections,
    options: PgConnectOptions,
    /// How long a statement may take.
    limit: Duration,
    /// Of a batch nobody knows whether it is written, or still will be.
    doubtful: AtomicBool,
    /// Of a claim nobody knows what it claimed.
    lost_claim: AtomicBool,
    notices: mpsc::UnboundedSender<Notification>,
    /// The other end, until somebody listens.
    heard: Mutex<Option<mpsc::UnboundedReceiver<Notification>>>,
    /// Changes when a question was answered, of whomever.
    answered: watch::Sender<()>,
    /// Another process has this node's name.
    replaced: Notify,
    /// Questions that were given out and are not answered.
    given: Mutex<HashSet<i64>>,
}

#[async_trait]
impl Store for PostgresStore {
    fn directory(&self) -> &dyn Directory {
        self
    }

    fn epoch(&self) -> Epoch {
        self.shared.voice.epoch()
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }

    async fn commit(&self, epoch: Epoch, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        self.shared.writer.lock().await.write(&self.shared, epoch, batch).await
    }

    async fn claim(&self, epoch: Epoch, until: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let claimed = claim::claim(&self.shared.readers, epoch, until, limit).await;
        if matches!(claimed, Err(StoreError::Unavailable(_) | StoreError::Corrupt { .. })) {
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
        shared.settle().await?;
        let mut found = journals::load(&shared.readers, epoch, ids).await?;
        let others: Vec<Uuid> = found.iter().filter(|(_, found)| !found.mine).map(|(id, _)| id.0).collect();
        if !others.is_empty() {
            claim::take(&shared.readers, epoch, &others).await?;
            let others: Vec<RunId> = others.into_iter().map(RunId).collect();
            found.extend(journals::load(&shared.readers, epoch, &others).await?);
        }
        if found.values().any(|found| !found.live) {
            return Err(StoreError::Fenced);
        }
        let taken = |id| match found.remove(id) {
            Some(Found { mine: true, loaded, .. }) => loaded.map(|loaded| Acquired::Here(Box::new(loaded))),
            Some(_) => Ok(Acquired::Elsewhere),
            None => Ok(Acquired::Unknown),
        };
        Ok(ids.iter().map(taken).collect())
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        runs::get(&self.shared.readers, id).await
    }

    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError> {
        runs::with_key(&self.shared.readers, tenant, workflow, key).await
    }

    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError> {
        self.shared.settle().await?;
        let mut found = journals::load(&self.shared.readers, self.epoch(), ids).await?;
        Ok(ids.iter().map(|id| found.remove(id).map(|found| found.loaded).transpose()).collect())
    }

    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        runs::list(&self.shared.readers, tenant, filter).await
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

    async fn unfinished(&self) -> Result<u64, StoreError> {
        runs::unfinished(&self.shared.readers).await
    }

    async fn register(
        &self,
        digest: &str,
        component: Option<&[u8]>,
        versions: &[VersionRow],
    ) -> Result<Option<VersionRow>, StoreError> {
        modules::register(&self.shared.readers, &self.shared.voice, digest, component, versions).await
    }

    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        modules::component(&self.shared.readers, digest).await
    }

    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError> {
        modules::versions(&self.shared.readers, tenant, workflow).await
    }

    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        modules::activate(&self.shared.readers, &self.shared.voice, tenant, workflow, version).await
    }

    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError> {
        modules::deprecate(&self.shared.readers, &self.shared.voice, tenant, workflow, version).await
    }

    async fn close(&self) {
        self.stop.token().cancel();
        self.shared.writer.lock().await.close(&self.shared).await;
        self.shared.readers.close().await;
    }
}

#[async_trait]
impl Directory for PostgresStore {
    async fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        directory::entries(&self.shared.readers).await
    }

    async fn change(&self, change: Option<&Change>, deed: &AuditEntry) -> Result<bool, StoreError> {
        directory::change(&self.shared.readers, &self.shared.voice, change, deed).await
    }

    async fn deeds(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError> {
        directory::deeds(&self.shared.readers, filter).await
    }

    async fn charge(&self, used: &[UsageRow]) -> Result<(), StoreError> {
        directory::charge(&self.shared.readers, used).await
    }

    async fn used(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        directory::used(&self.shared.readers, tenant, &hours).await
    }
}

#[async_trait]
impl Nodes for PostgresStore {
    fn listen(&self) -> Option<mpsc::UnboundedReceiver<Notification>> {
        self.shared.heard.lock().take()
    }

    async fn tell(&self, notice: Notification) -> Result<(), StoreError> {
        let Some(word) = Option::<Message>::from(notice) else { return Ok(()) };
        notices::tell(&self.shared, word).await
    }

    async fn ask(&self, run: RunId, ask: RemoteCommand) -> Result<Option<RemoteResponse>, StoreError> {
        questions::ask(&self.shared, run, ask).await
    }

    async fn questions(&self) -> Result<Vec<RemoteRequest>, StoreError> {
        questions::questions(&self.shared).await
    }

    async fn answer(&self, question: i64, answer: &RemoteResponse) -> Result<(), StoreError> {
        questions::answer(&self.shared, question, answer).await
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
    fn notify(&self, notice: Notification) {
        // Nobody may ever have listened.
        let _ = self.notices.send(notice);
    }

    /// What became of a batch is not known.
    fn doubt(&self) {
        self.doubtful.store(true, Ordering::Release);
    }

    /// What was committed is all that ever will be of the batches before.
    fn settled(&self) {
        if self.doubtful.swap(false, Ordering::AcqRel) {
            self.notify(Notification::Reconnected);
        }
    }

    /// Waits until nothing is doubtful: what is read must not change behind the back of who reads it.
    async fn settle(&self) -> Result<(), StoreError> {
        if self.doubtful.load(Ordering::Acquire) {
            self.writer.lock().await.settle(self).await?;
        }
        Ok(())
    }

    /// The same for those who read nothing now.
    fn settle_soon(self: &Arc<Self>) {
        if self.doubtful.load(Ordering::Acquire) {
            let shared = Arc::clone(self);
            // The lease does not wait for it. If it fails, the next beat tries again.
            tokio::spawn(async move { shared.settle().await });
        }
    }

    /// The lease was renewed.
    fn beaten(&self) {
        if self.lost_claim.swap(false, Ordering::AcqRel) {
            self.notify(Notification::Reconnected);
        }
    }

    /// Those of the open questions that were given out before. From now on all of them were.
    fn given(&self, open: HashSet<i64>) -> HashSet<i64> {
        let mut given = self.given.lock();
        std::mem::replace(&mut *given, open)
    }
}
