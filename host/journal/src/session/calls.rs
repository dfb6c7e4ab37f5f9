use super::{CallId, Session, SessionError};
use crate::{Failure, Row, kind};

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// The end of an effect.
    Effect,
    /// The recorded end of a step that is skipped.
    End,
    /// The beginning of this attempt of a step.
    Attempt(u32),
}

/// A call that the guest holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// The row.
    pub(super) seq: u64,
    /// What it waits for.
    pub(super) waits: Waits,
    /// Whether the guest was told.
    pub(super) delivered: bool,
}

impl Session {
    /// Makes a call that the guest can wait for.
    pub(super) fn call_for(&mut self, seq: u64, waits: Waits) -> Result<CallId, SessionError> {
        if self.waiting.len() >= self.limits.max_outstanding {
            return Err(SessionError::Limit(Failure::permanent(
                kind::LIMIT,
                format!(
                    "the workflow has {} calls under way, the most allowed at once (calls_outstanding)",
                    self.waiting.len()
                ),
            )));
        }
        let id = self.next_call;
        self.next_call += 1;
        self.calls.insert(id, Call { seq, waits, delivered: false });
        // The one before is never delivered: a guest may ask for the same as often as it likes.
        if let Some(replaced) = self.waiting.insert(seq, id) {
            self.calls.remove(&replaced);
        }
        Ok(id)
    }

    /// A call that never completes: for code that is about to be dropped.
    pub(super) fn call_for_nothing(&mut self) -> CallId {
        let id = self.next_call;
        self.next_call += 1;
        id
    }

    /// The guest is told of a call, which it waits for no longer. It is kept if there is something to take.
    pub(super) fn told(&mut self, id: CallId, seq: u64) {
        let row = self.journal.row(seq);
        let has_outcome = |row: &Row| row.result.is_some() || row.failure.is_some();
        if row.is_some_and(|row| row.kind.has_scope() || has_outcome(row)) {
            self.calls.entry(id).and_modify(|call| call.delivered = true);
        } else {
            self.calls.remove(&id);
        }
    }

    /// Calls that the session has to remember.
    #[cfg(test)]
    pub(crate) fn calls_kept(&self) -> usize {
        self.calls.len()
    }
}
