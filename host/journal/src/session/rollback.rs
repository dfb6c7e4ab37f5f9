use super::error::nondeterminism;
use super::schedule::Schedule;
use super::{GuestError, Session, SessionError};
use crate::{Event, Failure, Row, Timestamp};

/// The state of the rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollback {
    /// The run is not rolled back.
    No,
    /// The run is rolled back, and the guest does not know: replay to the completion with this delivery number.
    Until(u64),
    /// The guest was told to roll back.
    Begun,
}

impl Session {
    /// Requests a rollback. The guest is told at its next completion or wait, once the replay is over.
    pub fn request_unwind(&mut self, failure: Failure) {
        if self.rollback == Rollback::No && self.unwind_request.is_none() {
            self.unwind_request = Some(failure);
        }
    }

    /// Records that the workflow failed and the rollback begins. The guest calls it before its handlers run, and the host
    /// when an instance ended in another way.
    ///
    /// # Errors
    /// [`SessionError`] if a rollback has begun or the journal has further calls.
    pub fn unwind(&mut self, failure: Failure, now: Timestamp) -> Result<(), SessionError> {
        match self.rollback {
            Rollback::Begun => return Err(GuestError::UnwoundTwice.into()),
            Rollback::Until(_) => return Err(self.unexpected_end("a failure")),
            Rollback::No => self.expect_exhausted("a failure")?,
        }
        self.begin_unwinding(failure, now)
    }

    /// Returns whether the guest was told to roll back, or began it itself.
    pub fn is_unwinding(&self) -> bool {
        self.rollback == Rollback::Begun
    }

    pub(super) fn begin_unwinding(&mut self, failure: Failure, now: Timestamp) -> Result<(), SessionError> {
        self.journal.apply(Event::Unwinding { failure }, now)?;
        self.unwind_request = None;
        self.go_back(self.journal.last_compensable().unwrap_or(0));
        Ok(())
    }

    /// Resets the session to the delivery number `order`, the last completion of a step that is compensated, as a replay
    /// after a restart would reach it. Handlers run from here on. Handlers that the workflow itself had begun see later
    /// ends again, in the same order, and their requests under way are sent again.
    pub(super) fn go_back(&mut self, order: u64) {
        self.rollback = Rollback::Begun;
        self.position = order;
        self.schedule = Schedule::after(&self.journal, order);
        self.waiting.clear();
        self.seen.clear();
        self.ready.clear();
        self.launched.clear();
        self.ended.clear();
        self.names.clear();
    }

    /// Returns whether the guest made every recorded call of the workflow. It may have seen ends of steps that no wait has
    /// delivered.
    pub fn is_exhausted(&self) -> bool {
        self.rollback == Rollback::No && self.expect_exhausted("an end").is_ok()
    }

    /// Checks that the guest made every recorded call before it ended.
    pub(super) fn expect_exhausted(&self, found: &str) -> Result<(), SessionError> {
        let mut rest = self.schedule.rest();
        match rest.find_map(|item| self.journal.row(item.seq).filter(|row| self.is_missing(row))) {
            None => Ok(()),
            Some(row) => Err(nondeterminism(row.describe(), found)),
        }
    }

    pub(super) fn unexpected_end(&self, found: &str) -> SessionError {
        let row = self.schedule.rest().find_map(|item| self.journal.row(item.seq));
        nondeterminism(row.map_or("more calls".to_owned(), Row::describe), found)
    }
}
