//! What the store does for a run in the commit that records the call: exactly once, because the call and its effect are one
//! commit.

use super::{Message, Outcome, Row, Run, RunId, Timestamp, state::set_outcome};

/// An operation of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Appends to the inbox of a run.
    Send(Box<Message>),
    /// Starts a run.
    Start(Box<Run>),
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
                set_outcome(row, outcome.clone());
            }
            Self::Started(run) => row.child = Some(*run),
        }
    }
}
