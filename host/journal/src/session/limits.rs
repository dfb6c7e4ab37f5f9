use super::rollback::Rollback;
use super::{Session, SessionError};
use crate::{Begin, Event, Failure, Kind, LogLevel, Outcome, Reach, RetryPolicy, Row, Timestamp, kind};
use std::sync::Arc;

/// The limits of a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// The maximum number of calls and further attempts of a run. A rollback may make as many again, so that a run that
    /// reached the limit can be rolled back.
    pub max_calls: u64,
    /// The maximum number of calls under way at once.
    pub max_outstanding: usize,
    /// The maximum bytes of inputs, results and failures in the journal. A rollback may add as many again.
    pub max_bytes: u64,
    /// The least severe level of the lines that are kept; `None`: no line is kept.
    pub kept_log_level: Option<LogLevel>,
    /// The maximum bytes of the lines that are kept of the run.
    pub log_bytes: u64,
    /// The maximum number of names that the run may publish.
    pub published_names: u64,
    /// The maximum bytes of what it may publish, with the names.
    pub published_bytes: u64,
    /// The retry policy of compensations.
    pub compensation_retry: RetryPolicy,
    /// The longest wait before a further attempt that a response may ask for, in milliseconds.
    pub max_retry_after_ms: u64,
}

/// What the runs of the tenant store, and may store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The bytes that the runs of the tenant take.
    pub used: u64,
    /// The bytes that they may take. Rollbacks may take as many again.
    pub limit: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self { used: 0, limit: u64::MAX }
    }
}

/// The maximum depth of nested steps. The path to a call is part of its idempotency key, and a rollback walks it.
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
        let input = begin.input.as_deref().map_or(0, str::len) as u64;
        self.check_storage(input, begin.kind == Kind::Compensation)?;
        if begin.kind != Kind::Compensation {
            // Before the call does anything.
            self.check_bytes(input)?;
        }
        self.bytes += input;
        self.journal.apply(Event::Begun(begin), now)?;
        Ok(self.journal.rows().len() as u64)
    }

    /// Sets what the runs of the tenant store. It decides about calls that are not in the journal yet.
    pub fn set_storage(&mut self, storage: Storage) {
        self.storage = storage;
    }

    /// Checks that the tenant has room for a call with this many bytes, and takes them from it. A rollback may take as much
    /// again, so that a run without room can be rolled back, and a handler cannot fill the database.
    fn check_storage(&mut self, bytes: u64, compensation: bool) -> Result<(), SessionError> {
        let Storage { used, limit } = &mut self.storage;
        let compensating = compensation || self.rollback == Rollback::Begun;
        let most = limit.saturating_mul(if compensating { 2 } else { 1 });
        if used.saturating_add(bytes) < most {
            *used += bytes;
            return Ok(());
        }
        let what = if compensating { ", for rollbacks twice as much" } else { "" };
        Err(SessionError::Limit(Failure::permanent(
            kind::LIMIT,
            format!(
                "the runs of this tenant and their journals have {used} bytes in the database, and this call needs {bytes} \
                 more; the most is {limit}{what} (storage_bytes). Delete final runs (`forge runs delete`), keep them for a \
                 shorter time (retention), or ask for a higher limit"
            ),
        )))
    }

    /// Checks that the journal has room for this many bytes.
    ///
    /// # Errors
    /// [`SessionError::Limit`].
    pub(crate) fn check_bytes(&self, more: u64) -> Result<(), SessionError> {
        let (bytes, most) = (self.bytes.saturating_add(more), self.most_bytes());
        if bytes <= most {
            return Ok(());
        }
        Err(SessionError::Limit(Failure::permanent(
            kind::LIMIT,
            format!(
                "the run's journal would have {bytes} bytes; the most is {most} (journal_bytes_per_run). Keep large data elsewhere \
                 and pass references"
            ),
        )))
    }

    /// Returns the outcome of an effect, or the failure of the effect if the journal has no room for its result. The guest
    /// still waits for the effect, so its code can deal with the failure.
    pub(super) fn kept(&self, seq: u64, outcome: Outcome) -> Outcome {
        let bytes = outcome.as_ref().ok().and_then(Option::as_deref).map_or(0, str::len) as u64;
        let most = self.most_bytes();
        if bytes == 0 || self.bytes.saturating_add(bytes) <= most {
            return outcome;
        }
        let what = self.journal.row(seq).map(Row::describe).unwrap_or_default();
        let failure = Failure::permanent(
            kind::LIMIT,
            format!(
                "the outcome of {what} has {bytes} bytes and is not kept: the run's journal has {} bytes; the most is {most} \
                 (journal_bytes_per_run). What the call did stands. Keep large data elsewhere and pass references",
                self.bytes
            ),
        );
        Err(failure.with_reach(Reach::Answered))
    }

    /// Returns the most bytes that the journal may have. A rollback may add as many again.
    fn most_bytes(&self) -> u64 {
        let rolls_back = self.rollback == Rollback::Begun;
        self.limits.max_bytes.saturating_mul(if rolls_back { 2 } else { 1 })
    }

    /// Checks that the run may make one more call, or one more attempt of a step. A rollback may make as many again, so
    /// that a run that reached the limit can be rolled back, and a handler that never ends is stopped.
    pub(super) fn check_room(&self, compensation: bool) -> Result<(), SessionError> {
        let compensating = compensation || self.rollback == Rollback::Begun;
        // Each attempt beyond the first has a delivery number, too.
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

    /// Counts bytes that were not recorded.
    #[cfg(test)]
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

/// Returns the bytes of a row's input, result and failure.
pub(super) fn bytes(row: &Row) -> u64 {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len) as u64;
    // A call that a rollback interrupted has the failure of the rollback, which is counted elsewhere.
    let interrupted = !row.is_open() && row.order.is_none();
    let failure = row.failure.as_deref().filter(|_| !interrupted);
    text(&row.input) + text(&row.result) + failure.map_or(0, failure_bytes)
}

pub(super) fn failure_bytes(failure: &Failure) -> u64 {
    (failure.kind.len() + failure.message.len()) as u64
}
