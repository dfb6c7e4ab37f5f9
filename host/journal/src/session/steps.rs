use std::sync::Arc;

use super::calls::Waits;
use super::error::{check_json, check_same, nondeterminism};
use super::limits::failure_bytes;
use super::rollback::Rollback;
use super::{CallId, Entry, GuestError, Receipt, Session, SessionError, Verdict};
use crate::{
    Begin, Event, Failure, Journal, Kind, Row, Scope, StepOptions, StepStatus, Timestamp, fingerprint,
};

impl Session {
    /// Begins a step, or finds it in the journal.
    ///
    /// # Errors
    /// [`SessionError`] if the journal has another call with this index, or the run has reached a limit.
    pub fn begin_step(
        &mut self,
        scope: Scope,
        name: &str,
        options: StepOptions,
        now: Timestamp,
    ) -> Result<Entry, SessionError> {
        let Some(index) = self.take_index(scope)? else {
            return Ok(Entry::Parked(self.call_that_never_completes()));
        };
        if let Some(row) = self.journal.call(scope, index) {
            check_same(row, Kind::Step, name, None)?;
            let seq = row.seq;
            return self.found(seq);
        }
        let begin = Begin {
            scope,
            index: Some(index),
            kind: Kind::Step,
            name: self.unused_name(name),
            fingerprint: fingerprint(Kind::Step, name, None),
            // Steps of a handler are not compensated.
            options: StepOptions {
                compensable: options.compensable && !self.is_compensating(scope),
                ..options
            },
            input: None,
            wake_at: None,
            awaits: None,
        };
        let seq = self.record(begin, now)?;
        Ok(self.execute(seq, 1))
    }

    /// Answers again for a step or compensation, after the call that the guest waited for was delivered.
    ///
    /// # Errors
    /// [`SessionError`] if the guest holds no such call.
    pub fn resume_step(&mut self, id: CallId) -> Result<Entry, SessionError> {
        let call = self.calls.remove(&id).filter(|call| call.delivered);
        match call.map(|call| (call.seq, call.waits)) {
            Some((seq, Waits::End)) => Ok(self.ended(seq)),
            Some((seq, Waits::Attempt(attempt))) => Ok(self.execute(seq, attempt)),
            Some((_, Waits::Effect)) | None => Err(GuestError::ForeignCall(id).into()),
        }
    }

    /// Records the result of an attempt.
    ///
    /// # Errors
    /// [`SessionError`] if the scope is not open, the result is no JSON, or the journal has another end.
    pub fn complete_step(
        &mut self,
        scope: Scope,
        result: Option<&str>,
        now: Timestamp,
    ) -> Result<Receipt, SessionError> {
        let seq = self.end_scope(scope)?.seq;
        if self.is_discarded(scope) {
            return Ok(Receipt { step: seq, order: 0, unwind: true });
        }
        let row = self.journal.row(seq).ok_or(GuestError::ForeignScope(scope.handle()))?;
        let is_recorded = matches!(row.status, StepStatus::Completed | StepStatus::Compensated);
        if scope.attempt != row.attempt || !(row.is_open() || is_recorded) {
            return Err(nondeterminism(format!("{} {}", row.describe(), row.status), "a result of it"));
        }
        if row.is_open() {
            if let Some(result) = result {
                check_json(result, || format!("the result of {}", row.describe()))?;
                self.bytes += result.len() as u64;
            }
            self.bytes = self.bytes.saturating_sub(row.failure.as_deref().map_or(0, failure_bytes));
            self.journal.apply(Event::Completed { seq, result: result.map(Arc::from) }, now)?;
        }
        let mut receipt = self.receipt(seq);
        if !receipt.unwind
            && self.is_live()
            && let Some(failure) = self.unwind_request.take()
        {
            self.begin_unwinding(failure, now)?;
            receipt.unwind = true;
        }
        Ok(receipt)
    }

    /// Records that an attempt failed. `not_before` returns the time before which the attempt must not be repeated; it is
    /// called if there is another attempt.
    ///
    /// # Errors
    /// [`SessionError`] if the scope is not open, the journal has another end, or the run has reached a limit.
    pub fn fail_step(
        &mut self,
        scope: Scope,
        failure: Failure,
        not_before: impl FnOnce(&Journal) -> Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Verdict, SessionError> {
        let row = self.end_scope(scope)?;
        let (seq, kind, policy) =
            (row.seq, row.kind, row.options.as_deref().and_then(|options| options.retry));
        if self.is_discarded(scope) {
            return Ok(Verdict::Retry(self.call_that_never_completes()));
        }
        let row = self.journal.row(seq).ok_or(GuestError::ForeignScope(scope.handle()))?;
        if scope.attempt < row.attempt || (row.is_open() && row.wake_at.is_some()) {
            return Ok(Verdict::Retry(self.call_for(seq, Waits::Attempt(scope.attempt + 1))?));
        }
        if !row.is_open() {
            return match (&row.failure, row.order) {
                (Some(failure), Some(_)) if row.status == StepStatus::Failed => {
                    Ok(Verdict::Final((**failure).clone()))
                }
                (_, Some(_)) => {
                    Err(nondeterminism(format!("{} {}", row.describe(), row.status), "a failure of it"))
                }
                // The rollback that this session replays to interrupted it.
                (_, None) => Ok(Verdict::Retry(self.call_that_never_completes())),
            };
        }
        let before = row.failure.as_deref().map_or(0, failure_bytes);
        self.bytes = (self.bytes + failure_bytes(&failure)).saturating_sub(before);
        let wait = match kind {
            Kind::Compensation => self.limits.compensation_retry.wait_after_in_rounds(scope.attempt),
            _ => policy.and_then(|policy| policy.wait_after(scope.attempt)),
        };
        match wait.filter(|_| failure.retryable) {
            Some(wait) => {
                self.check_room(kind == Kind::Compensation)?;
                let latest = now.plus(self.limits.max_retry_after_ms);
                let asked = not_before(&self.journal).map_or(now, |asked| asked.min(latest));
                let retry_at = now.plus(wait).max(asked);
                self.journal.apply(Event::AttemptFailed { seq, failure, retry_at }, now)?;
                Ok(Verdict::Retry(self.call_for(seq, Waits::Attempt(scope.attempt + 1))?))
            }
            None => {
                self.journal.apply(Event::Failed { seq, failure: failure.clone() }, now)?;
                self.position = self.position.max(self.journal.last_order());
                Ok(Verdict::Final(failure))
            }
        }
    }

    /// Records that the guest dropped a step before it ended.
    ///
    /// # Errors
    /// [`SessionError`] if the scope is not open.
    pub fn abandon_step(&mut self, scope: Scope, now: Timestamp) -> Result<(), SessionError> {
        let row = self.end_scope(scope)?;
        let (seq, open) = (row.seq, row.is_open());
        if open && !self.is_discarded(scope) {
            self.journal.apply(Event::Dropped { seq }, now)?;
        }
        Ok(())
    }

    /// Begins the low-level step with this name, or enters it again.
    ///
    /// # Errors
    /// [`SessionError`] if the scope does not exist, or the run has reached a limit.
    pub fn enter_step(&mut self, scope: Scope, name: &str, now: Timestamp) -> Result<Scope, SessionError> {
        let open = *self.scopes.get(&scope).ok_or(GuestError::ForeignScope(scope.handle()))?;
        let mut count = self.names.get(name).copied().unwrap_or(0);
        let seq = loop {
            count += 1;
            let numbered = numbered(name, count);
            match self.journal.step(&numbered) {
                // A step inside a step that this session skips is not entered, and does not count.
                Some(row) if row.index.is_some() || row.scope != scope => {}
                Some(row) => break row.seq,
                None => {
                    let begin = Begin {
                        // The name as the guest gave it is what replay compares.
                        fingerprint: fingerprint(Kind::Step, name, None),
                        ..Begin::new(scope, None, Kind::Step, numbered, None)
                    };
                    break self.record(begin, now)?;
                }
            }
        };
        self.names.insert(name.to_owned(), count);
        Ok(self.open_scope(seq, 1, open.compensating))
    }

    /// Returns the status and result of the step with this name, for the low-level API. A step of the fluent API, and a
    /// step that is entered again, is known once the guest has seen it end, so that a replay sees nothing from later.
    pub fn lookup_step(&mut self, name: &str) -> Option<(StepStatus, Option<Arc<str>>)> {
        let row = self.journal.step(name)?;
        let seen = |row: &Row| row.order.is_some_and(|order| order <= self.position);
        if (row.index.is_some() || self.reenter.contains(&row.seq)) && !seen(row) {
            return None;
        }
        let undone = self.journal.compensation(row.seq).is_some_and(seen);
        let status = match row.status {
            StepStatus::Compensated if !undone => StepStatus::Completed,
            status => status,
        };
        let found = (status, row.result.clone());
        if row.index.is_none() && status == StepStatus::Completed {
            // The guest will skip the step: it has now seen its end, and a later step with this name is the
            // next one.
            self.position = self.position.max(row.order.unwrap_or(0));
            let count = self.names.entry(name.to_owned()).or_default();
            *count = (*count).max(1);
        }
        Some(found)
    }

    /// Answers for a step or compensation that is in the journal.
    pub(super) fn found(&mut self, seq: u64) -> Result<Entry, SessionError> {
        let Some(row) = self.journal.row(seq) else { return Err(GuestError::NotCompensable(seq).into()) };
        if self.reenter.contains(&seq) {
            return Ok(self.execute(seq, 1));
        }
        let waits = match row.order {
            Some(order) if self.schedule.delivered_between(self.position, order) => Waits::End,
            Some(_) => return Ok(self.ended(seq)),
            None if row.awaits_retry() => Waits::Attempt(row.attempt + 1),
            None if row.attempt == 1 => return Ok(self.execute(seq, 1)),
            // The guest is past the beginning of this attempt: a rollback interrupted it.
            None if row.attempt_orders.last().is_some_and(|began| self.is_behind(*began)) => {
                let attempt = row.attempt;
                return Ok(self.execute(seq, attempt));
            }
            None => Waits::Attempt(row.attempt),
        };
        Ok(Entry::Parked(self.call_for(seq, waits)?))
    }

    pub(super) fn execute(&mut self, seq: u64, attempt: u32) -> Entry {
        let compensating = self
            .journal
            .row(seq)
            .is_some_and(|row| row.kind == Kind::Compensation || self.is_compensating(row.scope));
        Entry::Execute(self.open_scope(seq, attempt, compensating))
    }

    /// Returns whether the guest is past this delivery number, and the schedule does not reach it again.
    pub(super) fn is_behind(&self, order: u64) -> bool {
        order <= self.position && self.schedule.is_past(order)
    }

    /// Returns whether a scope belongs to a handler.
    pub(super) fn is_compensating(&self, scope: Scope) -> bool {
        self.scopes.get(&scope).is_some_and(|open| open.compensating)
    }

    /// Returns the recorded end of a step that is skipped.
    fn ended(&mut self, seq: u64) -> Entry {
        match self.journal.row(seq) {
            Some(Row { status: StepStatus::Failed, failure: Some(failure), order: Some(order), .. }) => {
                let failure = (**failure).clone();
                self.position = self.position.max(*order);
                Entry::Failed(failure)
            }
            row => {
                let result = row.and_then(|row| row.result.clone());
                Entry::Completed { result, receipt: self.receipt(seq) }
            }
        }
    }

    /// Notes that the guest saw a step complete, and returns its position.
    fn receipt(&mut self, seq: u64) -> Receipt {
        let order = self.journal.row(seq).and_then(|row| row.order).unwrap_or(0);
        self.position = self.position.max(order);
        let unwind = self.rollback == Rollback::Until(order);
        if unwind {
            self.go_back(order);
        }
        Receipt { step: seq, order, unwind }
    }

    /// Ends a scope, and returns the row of its step or compensation.
    fn end_scope(&mut self, scope: Scope) -> Result<&Row, SessionError> {
        let foreign = GuestError::ForeignScope(scope.handle());
        let begun = self.rollback == Rollback::Begun;
        match self.scopes.get_mut(&scope) {
            Some(open) if scope != Scope::BODY && (!open.ended || (begun && !open.compensating)) => {
                open.ended = true;
            }
            _ => return Err(foreign.into()),
        }
        self.journal.row(scope.step).ok_or_else(|| foreign.into())
    }

    /// Returns whether a scope belongs to code that a rollback drops.
    fn is_discarded(&self, scope: Scope) -> bool {
        self.scopes.get(&scope).is_some_and(|open| !self.takes_part(*open))
    }

    /// Returns the name under which a step is recorded: the second `charge` of a run is `charge#2`.
    fn unused_name(&mut self, name: &str) -> Arc<str> {
        let mut count = self.names.get(name).copied().unwrap_or(0);
        let unused = loop {
            count += 1;
            let numbered = numbered(name, count);
            if self.journal.step(&numbered).is_none() {
                break numbered;
            }
        };
        if count > 1 {
            self.names.insert(name.to_owned(), count);
        }
        unused
    }
}

fn numbered(name: &str, count: u32) -> Arc<str> {
    if count == 1 { name.into() } else { format!("{name}#{count}").into() }
}
