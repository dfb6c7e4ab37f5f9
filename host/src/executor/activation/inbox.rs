//! What comes into the inbox of a run that is in memory.

use forge_journal::Session;
use forge_sandbox::Stop;

use super::{Activation, Leave};
use crate::executor::command::cancellation;
use crate::executor::inboxes::Notice;

impl Activation {
    /// Takes what has come into the inbox, without waiting. A notice before which something is missing stays for
    /// [`receive_all`](Self::receive_all).
    pub(super) fn take_notices(&mut self, session: &mut Session) -> Result<(), Stop> {
        while let Some(notice) = self.context.inbox.try_next() {
            if let Some(unread) = note(session, notice) {
                self.context.inbox.put_back(unread);
                break;
            }
        }
        self.heed_cancel(session)
    }

    /// Takes what has come into the inbox, and reads what is missing.
    pub(super) async fn receive_all(&mut self, session: &mut Session) -> Result<(), Stop> {
        while let Some(notice) = self.context.inbox.try_next() {
            self.receive(session, notice).await?;
        }
        self.heed_cancel(session)
    }

    /// Takes an entry of the inbox, and reads what is missing before it.
    pub(super) async fn receive(&mut self, session: &mut Session, notice: Notice) -> Result<(), Stop> {
        if note(session, notice).is_some() {
            let last = session.journal().inbox().last();
            let inbox = self.context.writer.inbox(last).await;
            let inbox = inbox.map_err(|error| self.leave_with(Leave::Store(error)))?;
            inbox.into_entries().for_each(|entry| session.receive(entry));
        }
        self.heed_cancel(session)
    }

    /// Requests a rollback if the parent of the run asks for it.
    fn heed_cancel(&mut self, session: &mut Session) -> Result<(), Stop> {
        if session.journal().inbox().has_cancel() {
            self.request_rollback(session, cancellation(session.journal()))?;
        }
        Ok(())
    }
}

/// Adds the entry of a notice. Returns the notice if entries before it are missing.
fn note(session: &mut Session, notice: Notice) -> Option<Notice> {
    let last = session.journal().inbox().last();
    match &notice.0 {
        Some(entry) if entry.seq <= last => None,
        Some(entry) if entry.seq == last + 1 => {
            session.receive(entry.clone());
            None
        }
        Some(_) | None => Some(notice),
    }
}
