use super::error::nondeterminism;
use super::schedule::Schedule;
use super::{GuestError, Session, SessionError};
use crate::{Event, Failure, Row, Timestamp};

/// How far rolling back is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollback {
    /// The workflow goes forward.
    No,
    /// The journal says that the run is rolled back: replay until the completion at this place.
    Until(u64),
    /// The guest was told.
    Begun,
}

impl Session {
    /// Asks for a rollback. The guest is told at its next completion or wait, once it is live.
    pub fn request_unwind(&mut self, failure: Failure) {
        if self.rollback == Rollback::No && self.unwind_request.is_none() {
            self.unwind_request = Some(failure);
        }
    }

    /// Records that the workflow failed, and that rolling back begins: called by the guest before
    /// its handlers run, and by the host when an instance ended in another way.
    ///
    /// # Errors
    /// [`SessionError`] if it is being rolled back already or the journal goes on.
    pub fn unwind(&mut self, failure: Failure, now: Timestamp) -> Result<(), SessionError> {
        match self.rollback {
            Rollback::Begun => return Err(GuestError::UnwoundTwice.into()),
            Rollback::Until(_) => return Err(self.unexpected_end("a failure")),
            Rollback::No => self.expect_exhausted("a failure")?,
        }
        self.begin_unwinding(failure, now)
    }

    /// Whether the guest was told to roll back, or said so itself.
    pub fn is_unwinding(&self) -> bool {
        self.rollback == Rollback::Begun
    }

    pub(super) fn begin_unwinding(&mut self, failure: Failure, now: Timestamp) -> Result<(), SessionError> {
        self.journal.apply(Event::Unwinding { failure }, now)?;
        self.unwind_request = None;
        self.go_back(self.journal.last_compensable().unwrap_or(0));
        Ok(())
    }

    /// Handlers run from here on, as if the guest had just come to this place: the last end of a step that is undone.
    /// That is where a restart finds it. What it has seen since is seen again by handlers that the workflow had begun
    /// itself, in the same order; their requests under way are sent again when they are waited for again.
    pub(super) fn go_back(&mut self, place: u64) {
        self.rollback = Rollback::Begun;
        self.position = place;
        self.schedule = Schedule::after(&self.journal, place);
        self.waiting.clear();
        self.seen.clear();
        self.ready.clear();
        self.launched.clear();
        self.ended.clear();
        self.names.clear();
    }

    /// The rest of the journal must be unreachable when the guest ends.
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
