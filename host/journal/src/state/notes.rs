//! The notes of a run: lines and published values.

use std::sync::Arc;

use super::Journal;
use super::apply::IllegalEvent;
use crate::{LogLevel, LogLine, Notes, Run, Scope, Timestamp};

/// The notes that the store does not have.
#[derive(Debug, Clone)]
pub(super) struct Unsaved {
    /// The lines, in their order.
    pub(super) lines: Vec<LogLine>,
    /// What the store has of the run's notes.
    stored: (Notes, Option<Arc<str>>),
}

impl Unsaved {
    /// Returns no notes, of a run that the store has.
    pub(super) fn of(run: &Run) -> Self {
        Self { lines: Vec::new(), stored: (run.notes, run.published.clone()) }
    }

    /// Records that the store gets the notes of the run.
    pub(super) fn saved(&mut self, run: &Run) {
        self.stored = (run.notes, run.published.clone());
    }
}

impl Journal {
    /// Returns the number of the last note of a scope that was kept. In an earlier attempt than the current one, a replay makes
    /// no new notes.
    pub(crate) fn noted(&self, scope: Scope) -> u32 {
        match self.row(scope.step) {
            Some(row) if row.attempt == scope.attempt => row.notes,
            Some(row) if row.attempt > scope.attempt => u32::MAX,
            Some(_) => 0,
            None => self.run.notes.body,
        }
    }

    /// Keeps a line. It is saved with the next changes, and is no change that must be saved: a line costs no commit.
    pub(super) fn log(
        &mut self,
        (scope, note): (Scope, u32),
        level: LogLevel,
        message: Arc<str>,
        is_last: bool,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        self.check_status("logged", |status| !status.is_final())?;
        let (seq, step) = (self.run.notes.lines + 1, self.row(scope.step).map(|row| Arc::clone(&row.name)));
        let line = LogLine { seq, at, level, scope, step, message, revision: 0 };
        self.note(scope, note);
        let notes = &mut self.run.notes;
        notes.lines = seq;
        notes.bytes = notes.bytes.saturating_add(line.stored_bytes());
        notes.is_full |= is_last;
        self.notes.lines.push(line);
        Ok(())
    }

    /// Sets the values that the run has published.
    pub(super) fn publish(
        &mut self,
        (scope, note): (Scope, u32),
        values: Arc<str>,
    ) -> Result<(), IllegalEvent> {
        self.check_status("published", |status| !status.is_final())?;
        self.note(scope, note);
        if scope.step > 0 {
            self.touched.insert(scope.step);
        }
        self.run.published = Some(values);
        self.run_touched = true;
        Ok(())
    }

    /// Records the number of the last note of a scope, in memory.
    fn note(&mut self, scope: Scope, note: u32) {
        let index = usize::try_from(scope.step).ok().and_then(|seq| seq.checked_sub(1));
        match index.and_then(|index| self.rows.get_mut(index)) {
            Some(row) if row.attempt == scope.attempt => row.notes = note,
            Some(_) => {}
            None => self.run.notes.body = note,
        }
    }

    /// Returns the error of published values that cannot be read.
    pub(crate) fn unreadable_notes(&self, error: &serde_json::Error) -> IllegalEvent {
        self.illegal("published", format!("what the run has published is not readable: {error}"))
    }

    /// Adds what the notes change to the other changes. Called if there are others.
    pub(super) fn touch_noted(&mut self) {
        if !self.notes.lines.is_empty() {
            self.run_touched = true;
            self.touched.extend(self.notes.lines.iter().map(|line| line.scope.step).filter(|step| *step > 0));
        }
    }

    /// Returns the lines that are saved with this revision.
    pub(super) fn take_lines(&mut self, revision: u64) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.notes.lines);
        lines.iter_mut().for_each(|line| line.revision = revision);
        lines
    }

    /// Discards the notes that the store does not have.
    pub(super) fn discard_notes(&mut self) {
        self.notes.lines.clear();
        (self.run.notes, self.run.published) = self.notes.stored.clone();
    }
}
