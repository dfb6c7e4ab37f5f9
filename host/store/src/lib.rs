//! The storage of runs, journals and components.
//!
//! [`Store`] is the interface of a database, [`sqlite`] and [`postgres`] implement it. [`Writer`] is the group commit in
//! front of a store. [`Feed`] tells subscribers what was committed.

mod committed;
mod database;
mod db;
pub mod directory;
mod error;
mod feed;
mod lists;
mod logs;
mod nodes;
mod open;
mod overview;
mod position;
pub mod postgres;
mod query;
mod run_writer;
mod schema;
pub mod sqlite;
mod write_outcome;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use committed::{Committed, Delivered, Written};
pub use database::{Database, InvalidDatabase, LogLimits, NodeConfig, PostgresUrl, machine_name};
pub use db::{DbFilter, DbPage};
pub use directory::Directory;
pub use error::StoreError;
pub use feed::{Batch, Change, Feed, Subscriber};
pub use logs::{LogFilter, LogPage};
pub use nodes::{
    Changed, Epoch, MOST_COUNTED, MOST_NOTIFIED, Node, Nodes, Notification, Refusal, RemoteCommand,
    RemoteRequest, RemoteResponse, Resolution,
};
pub use open::{migrate, open};
pub use overview::{Overview, Readable, RecentStep, RecentSteps, UntakenEvent, UntakenEvents};
pub use position::{ChangedFilter, ChangedPage, Position};
pub use query::{RunFilter, RunList, RunNumbers, RunSummary, StepFilter, StepPage};
pub use run_writer::RunWriter;
pub use writer::Writer;

use forge_journal::db::{Entry, Totals, Transaction};
use forge_journal::{Changes, Growth, Inbox, Message, Operation, Row, Run, RunId, Timestamp, WorkflowStatus};

/// A write of a batch.
///
/// A run that starts with `restart_of` takes its key over from that run, in the same commit, if that run still has the key
/// and [can be restarted](Run::can_be_restarted). Otherwise it starts if the key is free.
#[derive(Debug, Clone)]
pub enum Write {
    /// Inserts a run that this node executes.
    Start(Box<Run>),
    /// Inserts a run that any node can claim.
    InsertUnowned(Box<Run>),
    /// Inserts a run with its first event, on this node or, if it is `unowned`, for any node to claim.
    StartWithEvent {
        /// The run.
        run: Box<Run>,
        /// The event. It is not sent if the run does not start.
        event: Box<Message>,
        /// Any node can claim the run.
        unowned: bool,
    },
    /// Saves the changes of a run.
    Save(RunId, Changes),
    /// Appends to the inbox of a run, on whatever node it is.
    Send(Box<Message>),
    /// Performs a transaction of a tenant's store that no run has called.
    Transaction(Box<Transaction>),
}

/// Approximate bytes of a run or a row without its documents.
const ROW_BYTES: usize = 256;

impl Write {
    /// Returns the run that starts, and whether any node can claim it.
    pub(crate) fn start(&self) -> Option<(&Run, bool)> {
        match self {
            Self::Start(run) => Some((run, false)),
            Self::InsertUnowned(run) => Some((run, true)),
            Self::StartWithEvent { run, unowned, .. } => Some((run, *unowned)),
            Self::Save(..) | Self::Send(_) | Self::Transaction(_) => None,
        }
    }

    /// Returns the changes of a run that started before.
    pub(crate) fn changes(&self) -> Option<(RunId, &Changes)> {
        match self {
            Self::Save(run, changes) => Some((*run, changes)),
            _ => None,
        }
    }

    /// Returns the transactions of tenants' stores, in their order.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let own = match self {
            Self::Transaction(transaction) => Some(&**transaction),
            _ => None,
        };
        let operations = self.changes().into_iter().flat_map(|(_, changes)| &changes.operations);
        let of_calls = operations.filter_map(|(_, operation)| match operation {
            Operation::Transaction(transaction) => Some(transaction),
            _ => None,
        });
        own.into_iter().chain(of_calls)
    }

    /// Returns the run that starts, if it may take the key of another one over, with that run.
    fn restart(&self) -> Option<(&Run, RunId)> {
        self.start().and_then(|(run, _)| Some((run, run.restart_of?)))
    }

    /// Returns the number of rows that are written.
    fn rows(&self) -> usize {
        match self {
            Self::Start(_) | Self::InsertUnowned(_) | Self::StartWithEvent { .. } | Self::Send(_) => 1,
            Self::Transaction(transaction) => transaction.operations.len(),
            Self::Save(_, changes) => {
                let others = changes.operations.len() + changes.taken.len() + changes.outbox.len();
                changes.rows.len() + changes.lines.len() + others + usize::from(changes.run.is_some())
            }
        }
    }

    /// Returns a tenant, and what is added to its totals. A start whose key is taken adds nothing.
    fn grown(&self) -> (&Arc<str>, Growth) {
        match self {
            Self::Start(run) | Self::InsertUnowned(run) | Self::StartWithEvent { run, .. } => {
                (&run.tenant, run.growth())
            }
            Self::Save(_, changes) => (&changes.tenant, changes.grown),
            // The inbox counts its entries itself.
            Self::Send(message) => (&message.tenant, Growth::default()),
            // The tenant's store has totals of its own.
            Self::Transaction(transaction) => (&transaction.tenant, Growth::default()),
        }
    }

    /// Returns the approximate size in memory, in bytes.
    fn size(&self) -> usize {
        let length = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len);
        let of_run =
            |run: &Run| ROW_BYTES + run.input.len() + length(&run.output) + run.published.json_length();
        match self {
            Self::Start(run) | Self::InsertUnowned(run) => of_run(run),
            Self::StartWithEvent { run, event, .. } => of_run(run) + ROW_BYTES + event.payload.len(),
            Self::Send(message) => ROW_BYTES + message.payload.len(),
            Self::Transaction(transaction) => transaction.size(),
            Self::Save(_, changes) => {
                let rows =
                    changes.rows.iter().map(|row| ROW_BYTES + length(&row.input) + length(&row.result));
                let lines = changes.lines.iter().map(|line| ROW_BYTES + line.message.len());
                let outbox = changes.outbox.iter().map(|message| ROW_BYTES + message.payload.len());
                let operations = changes.operations.iter().map(|(_, operation)| match operation {
                    Operation::Send(message) => ROW_BYTES + message.payload.len(),
                    Operation::Start(run) => of_run(run),
                    Operation::Transaction(transaction) => transaction.size(),
                });
                changes.run.as_deref().map_or(0, of_run)
                    + rows.sum::<usize>()
                    + lines.sum::<usize>()
                    + outbox.sum::<usize>()
                    + operations.sum::<usize>()
            }
        }
    }
}

/// A run with its journal.
#[derive(Debug)]
pub struct Loaded {
    /// The run.
    pub run: Run,
    /// The journal, in the order of `seq`, or why it cannot be read.
    pub rows: Result<Vec<Row>, StoreError>,
    /// What others have sent to the run and it has not taken. Known if the run was acquired.
    pub inbox: Inbox,
}

/// The result of acquiring a run.
#[derive(Debug)]
pub enum Acquired {
    /// This node owns the run.
    Here(Box<Loaded>),
    /// Another live node owns the run.
    Elsewhere,
    /// The run does not exist.
    Unknown,
}

/// The time at which a run is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The time.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// The tenant of the run.
    pub tenant: Arc<str>,
}

/// What a registration does with versions that exist with another component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VersionConflict {
    /// They keep their component: versions are immutable.
    #[default]
    Keep,
    /// They get the new component. Runs keep the one that they were started with.
    Replace,
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// The tenant.
    pub tenant: String,
    /// The workflow's name.
    pub workflow: String,
    /// The version.
    pub version: u32,
    /// The SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// The timeout of a run, in milliseconds.
    pub timeout_ms: u64,
    /// Whether new runs use the version only if they ask for it.
    pub deprecated: bool,
    /// Whether new runs use the version although another one is higher.
    pub active: bool,
    /// When the version was uploaded.
    pub created_at: Timestamp,
    /// The digest of the [`InputSchema`], if the input has one.
    pub input_schema: Option<String>,
}

/// The JSON Schema of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSchema {
    /// The SHA-256 of the text, in hexadecimal.
    pub digest: String,
    /// The schema.
    pub text: String,
}

/// A database for runs, journals and components.
///
/// Each method is atomic: after an error, either all of its changes were committed or none. A method that changes something
/// returns `Ok` only when the change is durable: it survives a crash of the host and of the machine. After
/// [`StoreError::OutcomeUnknown`], which methods that change something can return, it may have been committed; after every
/// other error nothing was written.
///
/// # Errors
/// Each method can return [`StoreError::Unavailable`] and [`StoreError::Closed`], each method that reads rows also
/// [`StoreError::Corrupt`]. Other errors are listed with the methods.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the number of reads that the store executes at the same time.
    fn concurrent_reads(&self) -> usize;

    /// Looks at the files of the database, and puts in order what can be. Called every few seconds.
    ///
    /// # Errors
    /// What [`Store::trouble`] returns from then on.
    async fn inspect(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns why no run must be started, as the last [`Store::inspect`] found it.
    fn trouble(&self) -> Option<StoreError> {
        None
    }

    /// Returns the directory: tenants, the audit log and usage.
    fn directory(&self) -> &dyn Directory;

    /// Returns the epoch in which this node writes. It changes when the node loses its lease and gets another one.
    fn epoch(&self) -> Epoch {
        Epoch::default()
    }

    /// Returns whether this node certainly has its lease in this epoch, by a clock that goes on while the node is stopped. If
    /// not, another node may execute its runs.
    fn holds_lease(&self, epoch: Epoch) -> bool {
        let _ = epoch;
        true
    }

    /// Returns when this node certainly has its lease in this epoch. Waits for the next renewal if that is late.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch has ended.
    async fn await_lease(&self, epoch: Epoch) -> Result<(), StoreError> {
        let _ = epoch;
        Ok(())
    }

    /// Returns the nodes that share this store; `None` if the store supports only one node.
    fn nodes(&self) -> Option<&dyn Nodes> {
        None
    }

    /// Commits all writes of a batch, in order, or none, with the operations of calls. Returns their outcomes in the same
    /// order. All writes with another outcome than [`Written::KeyTaken`] are durable when the method returns, and so are the
    /// outcomes of operations, in the rows of their calls.
    ///
    /// Of several rows with the same run and `seq`, the last one is stored. Runs that start belong to the epoch. A run with
    /// a key must not be saved in the batch that starts it. The [`Writer`] commits one batch at a time.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch has ended: the batch was not and never will be committed.
    /// [`StoreError::Rejected`] if the database cannot store one of the writes. [`StoreError::Outdated`] if a write would
    /// replace a run or a row by an older state; the statement that writes refuses it.
    async fn commit(&self, epoch: Epoch, batch: &[Write]) -> Result<Committed, StoreError>;

    /// Commits something that changes nothing, to find out whether commits work.
    ///
    /// # Errors
    /// As [`Store::commit`].
    async fn probe(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.commit(epoch, &[]).await.map(|_| ())
    }

    /// Makes unowned runs that are due at `until` this node's, the first ones first, and returns them. The change of owner is
    /// durable when the method returns. After [`StoreError::OutcomeUnknown`], runs may have been claimed:
    /// [`Store::due`] returns them.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch has ended.
    async fn claim(&self, epoch: Epoch, until: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let _ = (epoch, until, limit);
        Ok(Vec::new())
    }

    /// Loads runs to execute them on this node, in the order of `ids`. Unowned runs become this node's, which is durable when
    /// the method returns. No write that failed before is committed later. After [`StoreError::Unavailable`], runs may have
    /// become this node's.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch has ended.
    async fn acquire(
        &self,
        epoch: Epoch,
        ids: &[RunId],
    ) -> Result<Vec<Result<Acquired, StoreError>>, StoreError> {
        let _ = epoch;
        let acquired =
            |loaded: Option<Loaded>| loaded.map_or(Acquired::Unknown, |run| Acquired::Here(Box::new(run)));
        Ok(self.load(ids).await?.into_iter().map(|loaded| loaded.map(acquired)).collect())
    }

    /// Returns a run without its journal. It reads committed data only.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// Returns what can be read of a run, even if [`Store::run`] fails with [`StoreError::Corrupt`].
    async fn readable(&self, id: RunId) -> Result<Option<Readable>, StoreError>;

    /// Returns a run with its last steps and the events that it has not taken. It costs the same however long the journal and
    /// the inbox are.
    async fn overview(&self, id: RunId) -> Result<Option<Overview>, StoreError>;

    /// Returns entries of a run's inbox after this position that the run has not taken, the first ones first. `None`: there is
    /// no such run.
    async fn inbox(&self, id: RunId, after: u64, limit: u32) -> Result<Option<Inbox>, StoreError>;

    /// Returns a page of a run's journal.
    async fn steps(&self, id: RunId, filter: StepFilter) -> Result<Option<StepPage>, StoreError>;

    /// Returns the position of a run's journal, of the run and the calls after the one with the `seq` `after`; the last call
    /// that has changed is one whose revision is above `since`. The cost is proportional to the calls after `after`.
    async fn position(
        &self,
        id: RunId,
        since: Option<u64>,
        after: u64,
    ) -> Result<Option<Position>, StoreError>;

    /// Returns a page of the calls of a run that have changed; an empty one if there is no such run. The cost is proportional
    /// to the calls between `filter.after` and the end of the page.
    async fn changed_steps(&self, id: RunId, filter: ChangedFilter) -> Result<ChangedPage, StoreError>;

    /// Returns a page of the lines that a run has logged. `None`: there is no such run. The cost is proportional to the lines
    /// after `filter.after`, up to the end of the page.
    async fn logs(&self, id: RunId, filter: &LogFilter) -> Result<Option<LogPage>, StoreError>;

    /// Returns the run that was started with this tenant, workflow and key.
    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError>;

    /// Returns runs with their journals, in the order of `ids`, which must be unique. Each run is read in one snapshot of
    /// committed data. A run that cannot be read does not keep the others from being read. No write that failed before is
    /// committed later.
    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError>;

    /// Returns runs of a tenant, the newest first. `filter.limit` is not adjusted. With conditions that no index combines, the
    /// list may be shorter and go on: see [`RunList::examined_to`].
    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<RunList, StoreError>;

    /// Returns the number of a tenant's runs with each status that the filter selects, up to `most`. With conditions that no
    /// index combines, some of the runs are looked at: see [`RunNumbers::at_least`].
    async fn counts(&self, tenant: &str, filter: &RunFilter, most: u32) -> Result<RunNumbers, StoreError>;

    /// Returns runs of this node that are due ([`Run::due_at`]) at `until`, in the order of that time, after `after`.
    async fn due(
        &self,
        epoch: Epoch,
        after: Option<(Timestamp, RunId)>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError>;

    /// Returns the number of runs of all nodes that are neither final nor paused, and `most` if there are more: it reads no
    /// more of them.
    async fn unfinished(&self, most: u32) -> Result<u64, StoreError>;

    /// Returns final runs of a workflow with this status that ended before this time, the first ones first. A failed run with
    /// steps that are not compensated is none: a person has something to do. The cost is proportional to the runs that were
    /// started before this time.
    async fn expired(
        &self,
        tenant: &str,
        workflow: &str,
        status: WorkflowStatus,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunId>, StoreError>;

    /// Deletes those of the runs that are final, with their journals and lines, and returns them. That is durable when the method
    /// returns. A key that started a deleted run is free again.
    async fn delete(&self, runs: &[RunId]) -> Result<Vec<RunId>, StoreError>;

    /// Returns an entry of a tenant's store.
    async fn db_entry(&self, tenant: &str, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Returns entries of a tenant's store, in the order of their keys. The cost is proportional to the page.
    async fn db_entries(&self, tenant: &str, filter: &DbFilter) -> Result<DbPage, StoreError>;

    /// Returns the totals of a tenant's store. Transactions keep the numbers; nothing is scanned.
    async fn db_totals(&self, tenant: &str) -> Result<Totals, StoreError>;

    /// Stores a component and its versions, all of one tenant, with the schemas that they name. They are durable when the
    /// method returns. Returns the versions that exist with another component and keep it, as `conflict` says; if all do, nothing is written.
    /// Versions that exist with the same component are not changed. `component` is `None` if its bytes are in an object
    /// store.
    async fn register(
        &self,
        digest: &str,
        component: Option<Bytes>,
        versions: &[VersionRow],
        schemas: &[InputSchema],
        conflict: VersionConflict,
    ) -> Result<Vec<VersionRow>, StoreError>;

    /// Returns the bytes of the component with this digest; `None` if it does not exist or is in an object store.
    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the text of the [`InputSchema`] with this digest.
    async fn input_schema(&self, digest: &str) -> Result<Option<String>, StoreError>;

    /// Returns the versions of one or all workflows of a tenant, by name and descending version.
    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError>;

    /// Makes a version the active one, and not deprecated. The change is durable when the method returns `true`. Returns
    /// `false` if the version does not exist.
    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError>;

    /// Marks a version as deprecated, and not active. The change is durable when the method returns `true`. Returns `false`
    /// if the version does not exist.
    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError>;

    /// Closes the database, and releases the lease of this node. Later calls return [`StoreError::Closed`].
    async fn close(&self);
}
