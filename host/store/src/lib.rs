//! Where runs, journals and components are kept.
//!
//! [`Store`] is what a database must do; [`Writer`] is the group commit in front of it, the same
//! for every store.

mod database;
pub mod directory;
mod error;
mod feed;
mod nodes;
mod open;
pub mod postgres;
mod query;
pub mod sqlite;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

pub use database::{Database, InvalidDatabase, NodeConfig, PostgresUrl, machine_name};
pub use directory::Directory;
pub use error::StoreError;
pub use feed::{Batch, Change, Feed, Subscriber};
pub use nodes::{Epoch, Node, Nodes, Notification, RemoteCommand, RemoteRequest, RemoteResponse};
pub use open::{migrate, open};
pub use query::{RunFilter, RunSummary};
pub use writer::{RunWriter, Writer};

use forge_journal::{Changes, Row, Run, RunId, Timestamp};

/// Something to write.
#[derive(Debug, Clone)]
pub enum Write {
    /// A run that begins here.
    Start(Box<Run>),
    /// A run that begins on whatever node claims it.
    InsertUnowned(Box<Run>),
    /// What changed of a run.
    Save(RunId, Changes),
}

/// Bytes that a run or a row takes beside its documents, about.
const ROW_BYTES: usize = 256;

impl Write {
    /// Rows that it writes.
    fn rows(&self) -> usize {
        match self {
            Self::Start(_) | Self::InsertUnowned(_) => 1,
            Self::Save(_, changes) => changes.rows.len() + usize::from(changes.run.is_some()),
        }
    }

    /// Bytes that it holds in memory, about.
    fn size(&self) -> usize {
        let length = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len);
        let of_run = |run: &Run| ROW_BYTES + run.input.len() + length(&run.output);
        match self {
            Self::Start(run) | Self::InsertUnowned(run) => of_run(run),
            Self::Save(_, changes) => {
                let rows =
                    changes.rows.iter().map(|row| ROW_BYTES + length(&row.input) + length(&row.result));
                changes.run.as_deref().map_or(0, of_run) + rows.sum::<usize>()
            }
        }
    }
}

/// What became of a [`Write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Done,
    /// Nothing was written: this run was started with the same workflow and key before.
    KeyTaken(RunId),
}

/// A run as the store has it.
#[derive(Debug)]
pub struct Loaded {
    /// The run.
    pub run: Run,
    /// Its journal, in order of `seq`. Rows that cannot be read do not hide the run.
    pub rows: Result<Vec<Row>, StoreError>,
}

/// A run that was to be executed here.
#[derive(Debug)]
pub enum Acquired {
    /// It is this node's, and nobody else writes it.
    Here(Box<Loaded>),
    /// Another node, which lives, executes it.
    Elsewhere,
    /// There is no such run.
    Unknown,
}

/// When a run must be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// From then on.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub tenant: Arc<str>,
}

/// A version of a workflow as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Whose it is.
    pub tenant: String,
    /// The workflow's name.
    pub workflow: String,
    /// The version.
    pub version: u32,
    /// The SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// How long a run may take, in milliseconds.
    pub timeout_ms: u64,
    /// New runs do not take it unless they ask for it.
    pub deprecated: bool,
    /// New runs take it although another version is higher.
    pub active: bool,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// What a database must do for Forge.
///
/// Every method is atomic. A method that changes something returns `Ok` only when the change is
/// durable: it survives a crash of the host and of the machine.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Tenants with what is theirs, the audit log, and what was used.
    fn directory(&self) -> &dyn Directory;

    /// In what it may write now. Changes when this node has lost its lease and got another.
    fn epoch(&self) -> Epoch {
        Epoch::default()
    }

    /// The other nodes that share this store; `None`: there can be none.
    fn nodes(&self) -> Option<&dyn Nodes> {
        None
    }

    /// Applies all writes of a batch, in order, or none of them; the answers are in their order.
    /// Of two rows with the same run and `seq`, the later one stays. A run with a key is not saved
    /// in the batch that starts it. Runs that
    /// start are this node's. Called by the [`Writer`], one batch at a time.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch is over: nothing was written then, and never will be.
    async fn commit(&self, epoch: Epoch, batch: &[Write]) -> Result<Vec<Written>, StoreError>;

    /// Makes runs this node's that are nobody's and due until then, the first ones first.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch is over.
    async fn claim(&self, epoch: Epoch, until: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let _ = (epoch, until, limit);
        Ok(Vec::new())
    }

    /// Runs to be executed here, as [`Store::load`] gives them. Those that are nobody's are this
    /// node's from now on.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch is over.
    async fn acquire(
        &self,
        epoch: Epoch,
        ids: &[RunId],
    ) -> Result<Vec<Result<Acquired, StoreError>>, StoreError> {
        let _ = epoch;
        let taken =
            |loaded: Option<Loaded>| loaded.map_or(Acquired::Unknown, |run| Acquired::Here(Box::new(run)));
        Ok(self.load(ids).await?.into_iter().map(|loaded| loaded.map(taken)).collect())
    }

    /// A run.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// The run of this tenant's workflow that this key started.
    async fn run_with_key(&self, tenant: &str, workflow: &str, key: &str) -> Result<Option<Run>, StoreError>;

    /// Runs with their journals, each as it is at one moment; the answers are in the order of `ids`, which has each once.
    /// That one of them cannot be read does not keep the others from being.
    async fn load(&self, ids: &[RunId]) -> Result<Vec<Result<Option<Loaded>, StoreError>>, StoreError>;

    /// A tenant's runs, the newest first. `filter.limit` is taken as it is.
    async fn list(&self, tenant: &str, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError>;

    /// Runs of this node that are due ([`Run::due_at`]) until then, in order of that time, after
    /// `after`.
    async fn due(
        &self,
        epoch: Epoch,
        after: Option<(Timestamp, RunId)>,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError>;

    /// How many runs are neither final nor paused, on whatever node.
    async fn unfinished(&self) -> Result<u64, StoreError>;

    /// Keeps a component (`None`: somebody else does) and its versions, which are of one tenant, all or none. `Ok(Some(_))`: nothing was written,
    /// because this version exists with another component. Versions that exist with the same
    /// component stay as they are.
    async fn register(
        &self,
        digest: &str,
        component: Option<&[u8]>,
        versions: &[VersionRow],
    ) -> Result<Option<VersionRow>, StoreError>;

    /// A component by its digest.
    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The versions of a tenant's workflow, or of all, by name and then from the highest down.
    async fn versions(&self, tenant: &str, workflow: Option<&str>) -> Result<Vec<VersionRow>, StoreError>;

    /// Makes a version the one that new runs take, and no longer deprecated. False: there is none.
    async fn activate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError>;

    /// Marks a version as deprecated, and no longer active. False: there is none.
    async fn deprecate(&self, tenant: &str, workflow: &str, version: u32) -> Result<bool, StoreError>;

    /// Writes what is buffered and closes the database.
    async fn close(&self);
}
