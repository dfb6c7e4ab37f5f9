//! Notes of the guest: the lines that it logs, and the values that it publishes. The guest gets no answer, so that nothing of
//! them can differ in a replay.

use std::sync::Arc;

use super::{Session, SessionError, Storage};
use crate::{Document, Event, Failure, LogLevel, LogLine, Row, Scope, Timestamp, kind};

/// A note that the guest makes, and that the journal does not have.
#[derive(Debug, Clone, Copy)]
pub struct Note {
    scope: Scope,
    /// The number of the note in its scope, from 1.
    number: u32,
}

impl Session {
    /// Counts a note that the guest makes in a scope. Returns `None` if it was made before, so that a replay does not make it
    /// again. A note in a scope that does not exist belongs to the workflow's body.
    ///
    /// A note counts whether it is kept or not: the levels of the lines that are kept may change.
    pub fn note(&mut self, scope: Scope) -> Option<Note> {
        let scope = if self.scopes.contains_key(&scope) { scope } else { Scope::BODY };
        let open = self.scopes.get_mut(&scope)?;
        open.notes = open.notes.saturating_add(1);
        let number = open.notes;
        (number > self.journal.noted(scope)).then_some(Note { scope, number })
    }

    /// Returns whether a line of this level is kept.
    pub fn keeps(&self, level: LogLevel) -> bool {
        !self.journal.run().notes.is_full && self.limits.kept_log_level.is_some_and(|least| level >= least)
    }

    /// Keeps a line with the run, unless the run has no room for it: then a last line says so. What the guest logs after the
    /// run became final, while it drops its values, is not kept: nothing of the run is saved any more.
    ///
    /// # Errors
    /// [`SessionError::Illegal`] if the journal does not allow it.
    pub fn log(
        &mut self,
        note: Note,
        level: LogLevel,
        message: &str,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let notes = self.journal.run().notes;
        if notes.is_full || self.journal.run().status.is_final() {
            return Ok(());
        }
        let step = self.journal.row(note.scope.step).map_or(0, |row: &Row| row.name.len());
        let bytes = LogLine::OVERHEAD + (step + message.len()) as u64;
        let full = self.has_no_room(notes.lines, notes.bytes, bytes);
        let is_last = full.is_some();
        let (level, message) = match full {
            Some(why) => (LogLevel::Warn, why.into()),
            None => (level, Arc::from(message)),
        };
        self.storage.used = self.storage.used.saturating_add(bytes);
        let Note { scope, number } = note;
        self.journal.apply(Event::Logged { scope, note: number, level, message, is_last }, now)?;
        Ok(())
    }

    /// Returns why a further line of this many bytes is not kept, for the last line of the run.
    fn has_no_room(&self, lines: u64, used: u64, bytes: u64) -> Option<String> {
        let most = self.limits.log_bytes;
        if used.saturating_add(bytes) > most {
            return Some(format!(
                "the lines of this run have {used} bytes; the most that is kept of one run is {most} (log_bytes_per_run): \
                 its further lines are not kept"
            ));
        }
        if self.storage.used.saturating_add(bytes) > self.storage.limit {
            return Some(format!(
                "the runs of this tenant have {} bytes in the database; the most is {} (storage_bytes): further lines of \
                 this run are not kept",
                self.storage.used, self.storage.limit
            ));
        }
        (lines + 1 >= LogLine::MOST)
            .then(|| format!("this run has {lines} lines, the most of a run: its further lines are not kept"))
    }

    /// Publishes a value under a name, in place of the last one. Returns why it is not published, if a limit is reached. A run
    /// that is final publishes nothing.
    ///
    /// # Errors
    /// [`SessionError::Illegal`] if the journal does not allow it.
    pub fn publish(
        &mut self,
        note: Note,
        name: &str,
        value: Document,
        now: Timestamp,
    ) -> Result<Result<(), Failure>, SessionError> {
        let run = self.journal.run();
        if run.status.is_final() {
            return Ok(Ok(()));
        }
        let (names, most) = (run.published.len() as u64, self.limits.published_names);
        if names >= most && run.published.get(name).is_none() {
            let message = format!(
                "`{name}` is not published: the run has published {names} names, the most that one run may (published_names)"
            );
            return Ok(Err(Failure::permanent(kind::LIMIT, message)));
        }
        let before = run.published.json_length() as u64;
        let mut published = run.published.clone();
        published.set(name, value.clone());
        let (bytes, most) = (published.json_length() as u64, self.limits.published_bytes);
        if bytes > most {
            let message = format!(
                "`{name}` is not published: what the run has published would have {bytes} bytes; the most is {most} \
                 (published_bytes)"
            );
            return Ok(Err(Failure::permanent(kind::LIMIT, message)));
        }
        let grown = bytes.saturating_sub(before);
        let Storage { used, limit } = self.storage;
        if grown > 0 && used.saturating_add(grown) > limit {
            let message = format!(
                "`{name}` is not published: the runs of this tenant have {used} bytes in the database; the most is {limit} \
                 (storage_bytes)"
            );
            return Ok(Err(Failure::permanent(kind::LIMIT, message)));
        }
        self.storage.used = used.saturating_add(grown);
        // The same value is a note, too: another scope may publish a later one, which a replay must not replace.
        let Note { scope, number } = note;
        self.journal.apply(Event::Published { scope, note: number, name: name.into(), value }, now)?;
        Ok(Ok(()))
    }
}
