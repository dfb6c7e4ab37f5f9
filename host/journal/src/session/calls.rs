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
    /// The `seq` of the row.
    pub(super) seq: u64,
    /// What it waits for.
    pub(super) waits: Waits,
    /// Whether the guest was told of the end.
    pub(super) delivered: bool,
}

impl Session {
    /// Creates a call that the guest can wait for.
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
        // A guest may ask for the same row repeatedly; only the last call is delivered.
        if let Some(replaced) = self.waiting.insert(self.journal.row(seq), seq, id) {
            self.calls.remove(&replaced);
        }
        Ok(id)
    }

    /// Creates a call that never completes, for code that is about to be dropped.
    pub(super) fn call_that_never_completes(&mut self) -> CallId {
        let id = self.next_call;
        self.next_call += 1;
        id
    }

    /// Notes that a call was delivered. It is kept if the guest can ask for its outcome.
    pub(super) fn note_delivered(&mut self, id: CallId, seq: u64) {
        let row = self.journal.row(seq);
        let has_outcome = |row: &Row| row.result.is_some() || row.failure.is_some();
        if row.is_some_and(|row| row.kind.has_scope() || has_outcome(row)) {
            self.calls.entry(id).and_modify(|call| call.delivered = true);
        } else {
            self.calls.remove(&id);
        }
    }

    /// Returns the number of calls that the session keeps.
    #[cfg(test)]
    pub(crate) fn calls_kept(&self) -> usize {
        self.calls.len()
    }
}
