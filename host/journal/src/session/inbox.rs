//! Calls whose outcome comes from the run's inbox, and what the store did for calls.

use std::sync::Arc;

use super::{CallId, Ready, Session, SessionError};
use crate::{EntryKind, Event, Failure, InboxEntry, Outcome, Performed, Timestamp, kind};

impl Session {
    /// Adds an entry that was appended to the inbox while the guest executes.
    pub fn receive(&mut self, entry: InboxEntry) {
        self.waiting.received((entry.kind, Arc::clone(&entry.name)));
        self.journal.receive(entry);
    }

    /// Delivers the first entry of the inbox that a call waits for. Entries come before timeouts: an event that is there is
    /// taken.
    pub(super) fn take_from_inbox(
        &mut self,
        now: Timestamp,
        suits: impl Fn(EntryKind) -> bool,
    ) -> Result<Option<CallId>, SessionError> {
        while let Some(address) = self.waiting.next_to_match(&suits) {
            let Some(entry) = self.journal.inbox().first(&address) else { continue };
            let (entry, payload) = (entry.seq, Arc::clone(&entry.payload));
            let Some(seq) = self.waiting.receiver(&address) else { continue };
            if !self.journal.row(seq).is_some_and(|row| row.is_open()) {
                // It has timed out, and that is recorded.
                self.waiting.forget_receiver(seq, &address);
                self.waiting.received(address);
                continue;
            }
            let Some(id) = self.waiting.remove(seq) else { continue };
            // Another one may wait for the next entry.
            self.waiting.received(address);
            let bytes = payload.len() as u64;
            match self.kept(seq, Ok(Some(payload))) {
                Ok(_) => {
                    self.journal.apply(Event::Taken { seq, entry }, now)?;
                    self.bytes += bytes;
                }
                // The entry stays.
                outcome @ Err(_) => self.journal.apply(Event::Delivered { seq, outcome }, now)?,
            }
            self.ended.insert(seq);
            self.position = self.journal.last_order();
            self.note_delivered(id, seq);
            return Ok(Some(id));
        }
        Ok(None)
    }

    /// Records what the store did for a call, which is durable.
    ///
    /// # Errors
    /// [`SessionError`] if the journal does not allow it.
    pub fn performed(&mut self, seq: u64, performed: Performed, now: Timestamp) -> Result<(), SessionError> {
        match performed {
            Performed::Started(run) => self.journal.apply(Event::Started { seq, run }, now)?,
            Performed::Ended(outcome) => {
                self.journal.apply(Event::Arrived { seq, outcome: outcome.clone() }, now)?;
                self.bytes += outcome.as_ref().ok().and_then(Option::as_deref).map_or(0, str::len) as u64;
                if self.ended.insert(seq) {
                    self.ready.push_back(Ready::Effect(seq, outcome));
                }
            }
        }
        Ok(())
    }

    /// Returns the outcome of a call whose time has come.
    pub(super) fn timed_out(&self, seq: u64) -> Outcome {
        match self.journal.row(seq).filter(|row| row.awaits == Some(EntryKind::Event)) {
            Some(row) => Err(Failure::new(kind::TIMEOUT, format!("no event `{}` came in time", row.name))),
            None => Ok(None),
        }
    }

    /// Records that the workflow failed, and returns whether the rollback begins. If attached children are under way, they are
    /// cancelled, and the rollback begins when they have ended: call this again then. Nothing is delivered meanwhile.
    ///
    /// # Errors
    /// As [`Session::unwind`].
    pub fn fail(&mut self, failure: Failure, now: Timestamp) -> Result<bool, SessionError> {
        if !self.is_unwinding() && self.journal.awaits_children() {
            self.expect_exhausted("a failure")?;
            if self.journal.run().failure.is_none() {
                self.journal.apply(Event::RollbackRequested { failure }, now)?;
            }
            self.waiting.clear();
            self.ready.clear();
            return Ok(false);
        }
        self.unwind(failure, now)?;
        Ok(true)
    }
}
