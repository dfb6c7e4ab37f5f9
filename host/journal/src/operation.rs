//! What the store does for a run in the commit that records the call: exactly once, because the call and its effect are one
//! commit.

use super::{EntryKind, Message, Outcome, Row, Run, RunId, Sent, Timestamp, Unsent, db};

/// An operation of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Appends to the inbox of a run.
    Send(Box<Message>),
    /// Starts a run.
    Start(Box<Run>),
    /// Performs a transaction of the tenant's store.
    Transaction(db::Transaction),
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Performed {
    /// The call has ended.
    Ended(Outcome),
    /// The call has started this run, and goes on.
    Started(RunId),
}

impl Performed {
    /// Records it in the row of the call, as the store keeps it.
    pub fn record(&self, row: &mut Row, at: Timestamp) {
        match self {
            Self::Ended(outcome) => {
                row.completed_at = Some(at);
                row.set_outcome(outcome.clone());
            }
            Self::Started(run) => row.child = Some(*run),
        }
    }
}

impl Performed {
    /// Returns what became of the call that sent a message. A run that has ended needs not be cancelled.
    pub fn sent(message: &Message, sent: &Result<Sent, Unsent>) -> Self {
        Self::Ended(match sent {
            Ok(_) => Ok(Some("null".into())),
            Err(Unsent::Final { .. }) if message.kind == EntryKind::Cancel => Ok(Some("null".into())),
            Err(unsent) => Err(unsent.to_failure()),
        })
    }

    /// Returns what became of the call that started a run: an attached child goes on.
    pub fn started(run: &Run) -> Self {
        match run.parent {
            Some(parent) if !parent.attached => Self::Ended(Ok(Some(format!("\"{}\"", run.id).into()))),
            _ => Self::Started(run.id),
        }
    }
}
