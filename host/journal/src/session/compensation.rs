use super::{Entry, GuestError, Receipt, Session, SessionError};
use crate::{Begin, Kind, Row, Scope, Timestamp};

impl Session {
    /// Begins the compensation of a step, or finds it in the journal.
    ///
    /// # Errors
    /// [`SessionError`] if the step has no handler or has not completed, or the run has reached a limit.
    pub fn begin_compensation(&mut self, step: u64, now: Timestamp) -> Result<Entry, SessionError> {
        let not_compensable = GuestError::NotCompensable(step);
        if self.journal.row(step).is_some_and(|row| !row.is_compensable() && self.is_compensating(row.scope))
        {
            // Steps of a handler are not compensated.
            return Ok(Entry::Completed { result: None, receipt: Receipt { step, order: 0, unwind: false } });
        }
        let row = self.journal.row(step).filter(|row| Row::is_compensable(row)).ok_or(not_compensable)?;
        let name = std::sync::Arc::clone(&row.name);
        if let Some(compensation) = self.journal.compensation(step) {
            let seq = compensation.seq;
            return self.found(seq);
        }
        let begin = Begin::new(Scope { step, attempt: 0 }, None, Kind::Compensation, name, None);
        let seq = self.record(begin, now)?;
        Ok(self.execute(seq, 1))
    }
}
