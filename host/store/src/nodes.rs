//! Several nodes with one store.
//!
//! A node has a lease, which it renews. From when it gets the lease until it loses it is an [`Epoch`],
//! and every batch is written in one: a node that was declared dead cannot write another row. Runs belong
//! to an epoch, so that all runs of a dead node are nobody's at once.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::StoreError;
use forge_journal::{RunId, WorkflowStatus};

/// The time in which a node has its lease. No two have the same number, and later ones have higher numbers.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A node as the others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Node {
    /// Its name, which it has again after a restart.
    pub name: String,
    /// The epoch in which it writes.
    pub epoch: Epoch,
    /// Forge's version there.
    pub version: String,
    /// When it got its lease.
    pub started_at: DateTime<Utc>,
    /// Until when the others wait for it to renew its lease.
    pub lease_until: DateTime<Utc>,
    /// When it ended, or was declared dead. It is listed for an hour, and for as long as runs of it wait for
    /// another node.
    pub ended_at: Option<DateTime<Utc>>,
    /// Runs of it that are neither final nor paused.
    pub runs: u64,
    /// It is the one that answers.
    pub here: bool,
}

/// What a node may ask of the one that has a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteCommand {
    /// Roll it back.
    Cancel,
    /// Stop it.
    Pause,
    /// Let it go on.
    Resume,
}

impl RemoteCommand {
    /// What was asked, as a participle.
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

/// What another node asks of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRequest {
    /// Names it in the answer.
    pub id: i64,
    /// The run.
    pub run: RunId,
    /// What is asked.
    pub command: RemoteCommand,
}

/// What became of a [`RemoteRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteResponse {
    /// It is done, and durable.
    Done,
    /// The run's status does not allow it.
    Conflict(WorkflowStatus),
    /// There is no such run.
    Unknown,
    /// It was not done: whoever asked may ask again.
    Failed(String),
}

/// Something happened that a node may want to know. Notices can be lost; whatever depends on one is
/// looked at from time to time in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// There are runs that are nobody's and due.
    Free,
    /// Somebody asks something of this node ([`Nodes::questions`]).
    Asked,
    /// Somebody waits for this run, which may be this node's.
    Awaited(RunId),
    /// This run, for which somebody waits, is final or paused.
    Rested(RunId),
    /// Workflows or their versions have changed.
    Versions,
    /// Notices may have been lost, or writes of which nobody knows whether they were done.
    Reconnected,
    /// This node has lost its lease, and has another epoch now: what it had in memory is others'.
    Fenced,
    /// Another process has taken this node's name: this one must end.
    Replaced,
}

/// What nodes have to do with each other.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// What happens from now on. There is one listener: the second one gets `None`.
    fn listen(&self) -> Option<mpsc::UnboundedReceiver<Notification>>;

    /// Tells all nodes, this one apart. [`Notification::Awaited`], [`Notification::Rested`] and [`Notification::Free`]; the
    /// store itself tells the others.
    async fn tell(&self, notice: Notification) -> Result<(), StoreError>;

    /// Asks the node that has this run, and waits for its answer. `None`: it has not answered in time,
    /// or no node has the run any more.
    async fn ask(&self, run: RunId, ask: RemoteCommand) -> Result<Option<RemoteResponse>, StoreError>;

    /// What this node was asked and has not been given by this method before.
    async fn questions(&self) -> Result<Vec<RemoteRequest>, StoreError>;

    /// Answers one.
    async fn answer(&self, question: i64, answer: &RemoteResponse) -> Result<(), StoreError>;

    /// All nodes, by name.
    async fn list(&self) -> Result<Vec<Node>, StoreError>;

    /// Returns whether this node leads: of the live nodes, it has the lowest epoch. One node leads at a time, but may
    /// have lost the lead when the caller reads the answer.
    async fn is_leader(&self) -> Result<bool, StoreError>;

    /// Deletes the rows of nodes that ended more than an hour ago and own no unfinished runs, and old requests.
    async fn sweep(&self) -> Result<(), StoreError>;
}
