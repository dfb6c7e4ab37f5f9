//! Several nodes that share a store.
//!
//! A node has a lease, which it renews. The time from when it gets a lease until it loses it is an [`Epoch`]. Every batch is
//! committed in an epoch: a node whose lease has expired cannot write. Each run belongs to an epoch, so that all runs of a
//! node become unowned at once when its epoch ends.

use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::StoreError;
use forge_journal::{Failure, PauseReason, RunId, WorkflowStatus};

/// A period in which a node has its lease. Numbers are unique; later epochs have higher numbers.
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

/// The most runs that are counted for people: the health and the list of nodes cost the same, whatever is stored.
pub const MOST_COUNTED: u32 = 10_000;

/// The most runs that a notification names. The payload of a notification in PostgreSQL has at most 8,000 bytes.
pub const MOST_NOTIFIED: usize = 90;

/// What tells a reader that follows a run which part of its journal is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The lowest revision of the changes.
    pub revision: u64,
    /// The highest revision of the changes.
    pub last: u64,
    /// The first call that has changed; [`Changed::NO_CALL`] if only the run has.
    pub first: u64,
}

impl Changed {
    /// A position behind all calls, which have 24 bits.
    pub const NO_CALL: u64 = 1 << 24;

    /// Returns both changes as one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            revision: self.revision.min(other.revision),
            last: self.last.max(other.last),
            first: self.first.min(other.first),
        }
    }
}

/// A node, as other nodes see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Node {
    /// The name, which stays the same after a restart.
    pub name: String,
    /// The epoch in which the node writes.
    pub epoch: Epoch,
    /// The version of Forge on the node.
    pub version: String,
    /// When the node got its lease.
    pub started_at: DateTime<Utc>,
    /// When the lease expires.
    pub lease_until: DateTime<Utc>,
    /// When the epoch ended. The node is listed for another hour, and until all its runs are claimed.
    pub ended_at: Option<DateTime<Utc>>,
    /// The number of its runs that are neither final nor paused. They are counted up to 10,000.
    pub runs: u64,
    /// Whether it is the node that answers.
    pub here: bool,
}

/// A command to the node that executes a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteCommand {
    /// Rolls the run back.
    Cancel,
    /// Pauses the run.
    Pause,
    /// Resumes the run.
    Resume,
    /// Ends the run without its code.
    Terminate,
    /// Gives the outcome of a call in doubt or of a compensation.
    Resolve {
        /// The name of the step or call, or its position in the run.
        step: String,
        /// The outcome.
        resolution: Resolution,
        /// Who found it, as the audit log names them.
        #[serde(default)]
        by: String,
    },
    /// Deletes the run.
    Delete,
}

/// The outcome that a person gives to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The call completed, with this result, a JSON document.
    Completed(String),
    /// The call failed.
    Failed(Failure),
}

impl std::fmt::Display for Resolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Completed(_) => f.write_str("completed"),
            Self::Failed(failure) => write!(f, "failed: {failure}"),
        }
    }
}

/// Why a run cannot do what a command asks, other than because of its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Its handlers cannot run.
    #[error("run {run} cannot be rolled back and is paused ({reason}): {why}")]
    CannotRollBack {
        /// The run.
        run: RunId,
        /// The reason of the pause.
        reason: PauseReason,
        /// What happened, and what to do.
        why: String,
    },
    /// It would be paused again before it has done anything.
    #[error("run {run} cannot be resumed and stays as it is ({reason}): {why}")]
    CannotResume {
        /// The run.
        run: RunId,
        /// The reason of the pause.
        reason: PauseReason,
        /// What happened, and what to do.
        why: String,
    },
    /// Its journal cannot be read.
    #[error(
        "run {run} cannot be executed, because its journal cannot be read ({why}): restore the database, or end the run \
         with `forge runs terminate {run}`"
    )]
    CorruptJournal {
        /// The run.
        run: RunId,
        /// What is wrong with the journal.
        why: String,
    },
    /// It has no such step.
    #[error("run {run} has no step or call `{step}`; `forge runs show {run}` lists them")]
    UnknownStep {
        /// The run.
        run: RunId,
        /// The step.
        step: String,
    },
    /// The outcome of the step is not in doubt.
    #[error(
        "run {run}: {why}. A person can resolve a call of a run that is paused as `in_doubt`, a compensation of a run that \
         is rolled back or has failed, and what `in_doubt` of a final run names"
    )]
    NotInDoubt {
        /// The run.
        run: RunId,
        /// Why not.
        why: String,
    },
    /// The result does not fit the call.
    #[error("run {run}: the result does not fit `{step}`: {why}")]
    InvalidResult {
        /// The run.
        run: RunId,
        /// The step or call.
        step: String,
        /// What is wrong with it.
        why: String,
    },
}

impl RemoteCommand {
    /// Returns the participle, for example `cancelled`.
    pub const fn participle(&self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Terminate => "terminated",
            Self::Resolve { .. } => "resolved",
            Self::Delete => "deleted",
        }
    }
}

/// A command that another node sent to this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRequest {
    /// The id, for [`Nodes::respond`].
    pub id: i64,
    /// The run.
    pub run: RunId,
    /// The command.
    pub command: RemoteCommand,
}

/// The response to a [`RemoteRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteResponse {
    /// The command was executed, and its effect is durable.
    Done,
    /// The run's status does not allow it.
    Conflict(WorkflowStatus),
    /// The run cannot do it for another reason.
    Refused(Refusal),
    /// There is no such run.
    Unknown,
    /// The command failed, and may be sent again.
    Failed(String),
}

/// An event that concerns this node. Notifications can be lost: their receiver also polls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// There are unowned runs that are due.
    Unowned,
    /// There are requests to this node; see [`Nodes::requests`].
    Requested,
    /// A client of another node waits for this run, which this node may execute.
    Awaited(RunId),
    /// This run, for which a client waits, is final or paused.
    AtRest(RunId),
    /// Clients of another node follow these runs: it is to learn of their changes for a while.
    Watched(Vec<RunId>),
    /// Another node has changed these runs, which clients of this node follow.
    Changed(Vec<(RunId, Changed)>),
    /// Another node has appended to the inbox of this run, which this node executes.
    Inbox(RunId),
    /// Workflow versions, tenants, keys or secrets were changed.
    DirectoryChanged,
    /// Notifications may have been lost, or the outcome of a write or a claim was unknown until now.
    Reconnected,
    /// This node has lost its lease and continues in a new epoch. Other nodes may execute its previous runs.
    Fenced,
    /// Another process has taken this node's name: this process must exit.
    Replaced,
}

/// The other nodes that share the store.
///
/// Commands and responses are rows, which are durable when the method returns. Notifications are not stored: a node that
/// is not connected loses them. Each method can return [`StoreError::Unavailable`].
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Returns the receiver of notifications; `None` if it was returned before.
    fn listen(&self) -> Option<mpsc::UnboundedReceiver<Notification>>;

    /// Returns a revision of the directory that was read lately for another purpose, and when it was asked for. `None`: none
    /// was. A node that has read that revision needs not ask again whether there is a later one.
    fn directory_revision(&self) -> Option<(i64, Instant)> {
        None
    }

    /// Sends a notification to all other nodes: [`Notification::Awaited`], [`Notification::AtRest`],
    /// [`Notification::Watched`], [`Notification::Changed`] or [`Notification::Unowned`]. The store itself sends the others;
    /// here they are ignored. A notification names at most [`MOST_NOTIFIED`] runs.
    async fn notify(&self, notification: Notification) -> Result<(), StoreError>;

    /// Sends a command to the node that executes this run, and waits some seconds for the response. Returns `None` if there
    /// is no response, or no other node executes the run. The command may be executed although there is no response.
    async fn send_command(
        &self,
        run: RunId,
        command: &RemoteCommand,
    ) -> Result<Option<RemoteResponse>, StoreError>;

    /// Returns the requests to this node that were not returned before.
    async fn requests(&self) -> Result<Vec<RemoteRequest>, StoreError>;

    /// Responds to the request with this id. The response is durable, and dropped if the sender does not wait any more.
    async fn respond(&self, request: i64, response: &RemoteResponse) -> Result<(), StoreError>;

    /// Returns all nodes, by name.
    async fn list(&self) -> Result<Vec<Node>, StoreError>;

    /// Returns whether this node leads: of the live nodes, it has the lowest epoch. One node leads at a time, but may
    /// have lost the lead when the caller reads the answer.
    async fn is_leader(&self) -> Result<bool, StoreError>;

    /// Deletes the rows of nodes that ended more than an hour ago and own no unfinished runs, and old requests.
    async fn sweep(&self) -> Result<(), StoreError>;
}
