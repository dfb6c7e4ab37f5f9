use std::sync::Arc;

use super::Journal;
use super::stored::Growth;
use crate::{LogLine, Message, Operation, Row, Run, Timestamp};

/// Units of fuel of a run that a crash may lose. They are about a second of computing.
const MUCH_FUEL: u64 = 1_000_000_000;

/// The changes of a journal that are not in the store.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The run, if it changed.
    pub run: Option<Box<Run>>,
    /// Whether the run was never returned before: the store may rely on not having it.
    pub new_run: bool,
    /// The new and changed rows, in order.
    pub rows: Vec<Row>,
    /// The number of rows, at the end of `rows`, that were never returned before: the store may rely on not having them.
    pub new_rows: usize,
    /// What the store does for calls among the rows in the same commit, each with the call.
    pub operations: Vec<(u64, Operation)>,
    /// The time of the operations.
    pub performed_at: Timestamp,
    /// The entries of the inbox that were taken, each with the call that took it; 0 for none.
    pub taken: Vec<(u64, u64)>,
    /// What the run sends to its parent and its children.
    pub outbox: Vec<Message>,
    /// The lines that the run has logged since the last changes. There are other changes, among them the run.
    pub lines: Vec<LogLine>,
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// What the run and its rows add to the totals of the tenant since the last changes.
    pub grown: Growth,
}

impl Changes {
    /// Returns whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.run.is_none() && self.rows.is_empty() && self.taken.is_empty() && self.outbox.is_empty()
    }
}

impl Journal {
    /// Returns whether [`Journal::take_changes`] would return a change.
    pub fn has_changes(&self) -> bool {
        self.run_touched || !self.touched.is_empty() || !self.taken.is_empty() || !self.outbox.is_empty()
    }

    /// Returns the changes since the last call, with the next revision. Notes alone are no changes: they wait for others.
    pub fn take_changes(&mut self) -> Changes {
        let mut lines = Vec::new();
        if self.has_changes() {
            self.revision += 1;
            lines = self.take_notes(self.revision);
        }
        let revision = self.revision;
        let before = self.counted.total();
        let run = std::mem::take(&mut self.run_touched).then(|| {
            self.run.revision = revision;
            self.counted.count_run(&self.run);
            self.notes.saved(&self.run);
            Box::new(self.run.clone())
        });
        let touched = std::mem::take(&mut self.touched);
        let rows: Vec<Row> = touched.into_iter().filter_map(|seq| self.revised(seq, revision)).collect();
        let new_rows = rows.iter().filter(|row| row.seq > self.last_stored).count();
        self.last_stored = self.rows.len() as u64;
        let new_run = run.is_some() && !std::mem::replace(&mut self.run_stored, true);
        let mut grown = self.counted.total() - before;
        grown.bytes += lines.iter().map(|line| line.stored_bytes().cast_signed()).sum::<i64>();
        Changes {
            run,
            new_run,
            rows,
            new_rows,
            operations: Vec::new(),
            performed_at: self.latest,
            taken: std::mem::take(&mut self.taken),
            outbox: std::mem::take(&mut self.outbox),
            lines,
            tenant: Arc::clone(&self.run.tenant),
            grown,
        }
    }

    /// Returns the same, with what the store does for these open calls in the same commit. [`Event::Arrived`] and
    /// [`Event::Started`] record what became of it.
    ///
    /// [`Event::Arrived`]: crate::Event::Arrived
    /// [`Event::Started`]: crate::Event::Started
    pub fn take_changes_with(&mut self, operations: Vec<(u64, Operation)>, at: Timestamp) -> Changes {
        self.touched.extend(operations.iter().map(|(seq, _)| *seq));
        let performed_at = self.time(at);
        Changes { operations, performed_at, ..self.take_changes() }
    }

    /// Gives a row this revision and returns a copy of it.
    fn revised(&mut self, seq: u64, revision: u64) -> Option<Row> {
        let row = self.rows.get_mut(usize::try_from(seq).ok()?.checked_sub(1)?)?;
        row.revision = revision;
        self.counted.count_row(row);
        Some(row.clone())
    }

    /// Discards the changes since the last [`Journal::take_changes`]. A run that the store does not have stays changed,
    /// because its start was accepted.
    pub fn discard_changes(&mut self) {
        self.touched.clear();
        self.taken.clear();
        self.outbox.clear();
        self.discard_notes();
        self.run_touched = !self.run_stored;
    }

    /// Adds fuel that the guest used. The store gets the sum with the next change of the run, or once much was added.
    pub fn computed(&mut self, fuel: u64) {
        let before = self.run.fuel;
        self.run.fuel = before.saturating_add(fuel);
        self.run_touched |= self.run_stored && before / MUCH_FUEL != self.run.fuel / MUCH_FUEL;
    }
}
