//! The notes of a run: lines and published values.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Journal;
use super::apply::IllegalEvent;
use crate::{LogLevel, LogLine, Notes, Run, Scope, Timestamp};

/// The notes that the store does not have.
#[derive(Debug, Clone)]
pub(super) struct Unsaved {
    /// The lines, in their order.
    lines: Vec<LogLine>,
    /// Whether there are lines or published values.
    any: bool,
    /// The steps whose scopes have made them: their rows have the counts.
    steps: BTreeSet<u64>,
    /// What the store has of the run's notes.
    stored: (Notes, Option<Arc<str>>),
}

impl Unsaved {
    /// Returns no notes, of a run that the store has.
    pub(super) fn of(run: &Run) -> Self {
        Self {
            lines: Vec::new(),
            any: false,
            steps: BTreeSet::new(),
            stored: (run.notes, run.published.clone()),
        }
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

    /// Returns whether there are notes that the store does not have.
    pub fn has_unsaved_notes(&self) -> bool {
        self.notes.any
    }

    /// Makes the notes that the store does not have a change, for a run that computes and makes no other.
    pub fn save_notes(&mut self) {
        self.run_touched |= self.notes.any;
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

    /// Sets the values that the run has published. They are saved as lines are.
    pub(super) fn publish(
        &mut self,
        (scope, note): (Scope, u32),
        values: Arc<str>,
    ) -> Result<(), IllegalEvent> {
        self.check_status("published", |status| !status.is_final())?;
        self.note(scope, note);
        self.run.published = Some(values);
        Ok(())
    }

    /// Records the number of the last note of a scope, in memory.
    fn note(&mut self, scope: Scope, note: u32) {
        let index = usize::try_from(scope.step).ok().and_then(|seq| seq.checked_sub(1));
        match index.and_then(|index| self.rows.get_mut(index)) {
            Some(row) if row.attempt == scope.attempt => {
                row.notes = note;
                self.notes.steps.insert(scope.step);
            }
            Some(_) => {}
            None => self.run.notes.body = note,
        }
        self.notes.any = true;
    }

    /// Returns the error of published values that cannot be read.
    pub(crate) fn unreadable_notes(&self, error: &serde_json::Error) -> IllegalEvent {
        self.illegal("published", format!("what the run has published is not readable: {error}"))
    }

    /// Adds what the notes change to the other changes, and returns the lines that are saved with this revision. Called if there
    /// are other changes.
    pub(super) fn take_notes(&mut self, revision: u64) -> Vec<LogLine> {
        if !std::mem::take(&mut self.notes.any) {
            return Vec::new();
        }
        self.run_touched = true;
        self.touched.append(&mut self.notes.steps);
        let mut lines = std::mem::take(&mut self.notes.lines);
        lines.iter_mut().for_each(|line| line.revision = revision);
        lines
    }

    /// Discards the notes that the store does not have.
    pub(super) fn discard_notes(&mut self) {
        self.notes.any = false;
        self.notes.lines.clear();
        self.notes.steps.clear();
        (self.run.notes, self.run.published) = self.notes.stored.clone();
    }
}
