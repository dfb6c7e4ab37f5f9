//! What became of a batch.

use std::borrow::Cow;
use std::sync::Arc;

use forge_journal::{Changes, InboxEntry, Outcome, Performed, Row, Run, RunId, Sent, Unsent};

/// What became of a batch that was committed.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// The outcome of each write, in their order.
    pub written: Vec<Written>,
    /// The entries that were appended to the inboxes of runs.
    pub delivered: Vec<Delivered>,
    /// The runs that calls have started. This node executes them.
    pub started: Vec<Run>,
}

/// The outcome of a [`Write`](crate::Write).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The write is durable.
    Done,
    /// Nothing was written: this run has the same tenant, workflow and key.
    KeyTaken(RunId),
    /// The write is durable, and this became of its operations, each named by its call.
    Performed(Vec<(u64, Performed)>),
    /// What became of a message.
    Sent(Result<Sent, Unsent>),
    /// What became of a transaction that no run has called.
    Transacted(Outcome),
}

impl Written {
    /// Returns whether a run was written.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Performed(_))
    }
}

/// An entry that was appended to the inbox of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The run.
    pub run: RunId,
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// The entry.
    pub entry: InboxEntry,
    /// Whether the run belongs to the epoch of this node.
    pub is_here: bool,
}

/// Returns the rows of changes with what became of their operations, as the store keeps them.
pub(crate) fn with_outcomes<'c>(changes: &'c Changes, written: &Written) -> Cow<'c, [Row]> {
    let Written::Performed(performed) = written else { return Cow::Borrowed(&changes.rows) };
    let mut rows = changes.rows.clone();
    for (seq, performed) in performed {
        if let Some(row) = rows.iter_mut().find(|row| row.seq == *seq) {
            performed.record(row, changes.performed_at);
        }
    }
    Cow::Owned(rows)
}
