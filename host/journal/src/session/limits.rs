use super::rollback::Rollback;
use super::{Session, SessionError};
use crate::{Begin, Event, Failure, Kind, RetryPolicy, Row, Timestamp, kind};
use std::sync::Arc;

/// What bounds a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Rows of one run. Compensations may exceed it, so that a run that reaches it can roll back.
    pub max_calls: u64,
    /// Calls under way at once.
    pub max_outstanding: usize,
    /// Bytes of inputs, results and failures in its journal. Rolling back may take as many again.
    pub max_bytes: u64,
    /// How failed compensations are retried.
    pub compensation_retry: RetryPolicy,
}

/// Steps inside one another. The way to a call is part of what identifies it outside, and is walked when a run is
/// rolled back.
const MOST_NESTED: u32 = 64;

impl Session {
    /// Appends a call to the journal.
    pub(super) fn record(&mut self, begin: Begin, now: Timestamp) -> Result<u64, SessionError> {
        self.check_room(begin.kind == Kind::Compensation)?;
        if begin.kind.has_scope() && self.depth(begin.scope) >= MOST_NESTED {
            return Err(SessionError::Limit(Failure::permanent(
                kind::LIMIT,
                format!("steps are nested {MOST_NESTED} deep, the most that a run may have"),
            )));
        }
        if begin.kind != Kind::Compensation {
            self.check_bytes()?;
        }
        self.bytes += begin.input.as_deref().map_or(0, str::len) as u64;
        self.journal.apply(Event::Begun(begin), now)?;
        Ok(self.journal.rows().len() as u64)
    }

    /// Checks that the journal is not too large. Rolling back may take as much again.
    ///
    /// # Errors
    /// [`SessionError::Limit`].
    pub fn check_bytes(&self) -> Result<(), SessionError> {
        let rolls_back = self.rollback == Rollback::Begun;
        let (bytes, most) =
            (self.bytes, self.limits.max_bytes.saturating_mul(if rolls_back { 2 } else { 1 }));
        if bytes <= most {
            return Ok(());
        }
        Err(SessionError::Limit(Failure::permanent(
            kind::LIMIT,
            format!(
                "the run's journal has {bytes} bytes; the most is {most} (journal_bytes_per_run). Keep large data elsewhere \
                 and pass references"
            ),
        )))
    }

    /// Checks that the run may make one more call, or one more attempt of a step. Rolling back may take as many again,
    /// so that a run that has made all its calls can do it, and one that never ends does not.
    pub(super) fn check_room(&self, compensation: bool) -> Result<(), SessionError> {
        let compensating = compensation || self.rollback == Rollback::Begun;
        // Each attempt beyond the first has a place in the order, too.
        let made = self.journal.last_order().max(self.journal.rows().len() as u64);
        let most = self.limits.max_calls.saturating_mul(if compensating { 2 } else { 1 });
        if made < most {
            return Ok(());
        }
        let what = if compensating { ", those of its compensations included" } else { "" };
        Err(SessionError::Limit(Failure::permanent(
            kind::LIMIT,
            format!("the run has made {made} calls{what}, the most that one run may make (calls_per_run)"),
        )))
    }

    /// As if so many more bytes had been recorded.
    #[cfg(test)]
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

/// Bytes of what a call was made with, and of what came of it.
pub(super) fn bytes(row: &Row) -> u64 {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len) as u64;
    // What a rollback interrupted has the rollback's failure, which is none of its own.
    let interrupted = !row.is_open() && row.order.is_none();
    let failure = row.failure.as_deref().filter(|_| !interrupted);
    text(&row.input) + text(&row.result) + failure.map_or(0, failure_bytes)
}

pub(super) fn failure_bytes(failure: &Failure) -> u64 {
    (failure.kind.len() + failure.message.len()) as u64
}
