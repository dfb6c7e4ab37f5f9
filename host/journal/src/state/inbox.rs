//! What a run takes from its inbox, and what it sends to its parent and its children.

use super::Journal;
use super::apply::IllegalEvent;
use crate::inbox;
use crate::{EntryKind, Inbox, InboxEntry, Row, StepStatus, Timestamp, WorkflowStatus};

impl Journal {
    /// Sets the entries that the store has, when the run was loaded.
    pub fn set_inbox(&mut self, inbox: Inbox) {
        self.run.inbox_seen = inbox.last();
        self.inbox = inbox;
    }

    /// Returns what others have sent to the run, and it has not taken.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Adds an entry that was appended while the run is in memory. The caller has asked for those before it.
    pub fn receive(&mut self, entry: InboxEntry) {
        if self.inbox.insert(entry) {
            self.run.inbox_seen = self.inbox.last();
            // The append has made the run due. Unless a call takes the entry, the run goes on waiting.
            self.run_touched |= self.run.wake_at.is_some();
        }
    }

    pub(super) fn take_entry(&mut self, seq: u64, entry: u64, at: Timestamp) -> Result<(), IllegalEvent> {
        self.open_effect("taken", seq, false)?;
        let address = self.row(seq).and_then(Row::address);
        let found = address.as_ref().and_then(|address| self.inbox.first(address));
        if found.is_none_or(|found| found.seq != entry) {
            return Err(
                self.illegal("taken", format!("call {seq} does not wait for entry {entry} of the inbox"))
            );
        }
        let Some(taken) = self.inbox.remove(entry) else { return Ok(()) };
        self.taken.push((entry, seq));
        let order = self.next_order();
        let (outcome, result) = taken.outcome();
        self.end(seq, at, |row| {
            row.order = Some(order);
            row.set_outcome(outcome);
            row.result = result;
        });
        Ok(())
    }

    /// Takes what asks the run to roll back: it does, or has ended.
    pub(super) fn drop_cancels(&mut self) {
        let cancels = self.inbox.entries().filter(|entry| entry.kind == EntryKind::Cancel);
        for seq in cancels.map(|entry| entry.seq).collect::<Vec<_>>() {
            self.inbox.remove(seq);
            self.taken.push((seq, 0));
        }
    }

    /// Cancels an attached child whose call the guest has dropped.
    pub(super) fn cancel_if_dropped(&mut self, seq: u64, at: Timestamp) {
        let dropped = self.row(seq).filter(|row| row.status == StepStatus::Skipped && is_attached(row));
        if let Some(child) = dropped.and_then(|row| row.child) {
            self.outbox.push(inbox::cancel(&self.run, child, at));
        }
    }

    /// Cancels the attached children under way: the run is to be rolled back once they have ended.
    pub(super) fn cancel_children(&mut self, at: Timestamp) {
        let open = self.rows.iter().filter(|row| row.is_open() && is_attached(row));
        let cancels: Vec<_> =
            open.filter_map(|row| row.child).map(|child| inbox::cancel(&self.run, child, at)).collect();
        self.outbox.extend(cancels);
    }

    /// Returns the calls whose attached children are under way. A child whose call was dropped is cancelled, and under way until
    /// it has ended.
    pub fn children_under_way(&self) -> impl Iterator<Item = &Row> {
        let may_be = |row: &&Row| row.is_open() || row.status == StepStatus::Skipped;
        let started = self.rows.iter().filter(|row| is_attached(row) && row.child.is_some());
        let has_ended = |row: &Row| row.address().is_some_and(|address| self.inbox.first(&address).is_some());
        started.filter(may_be).filter(move |row| !has_ended(row))
    }

    /// Returns whether the run waits for its attached children before it is rolled back.
    pub fn awaits_children(&self) -> bool {
        self.run.status != WorkflowStatus::Compensating && self.children_under_way().next().is_some()
    }
}

fn is_attached(row: &Row) -> bool {
    row.awaits == Some(EntryKind::ChildEnded)
}
