use std::sync::Arc;

use super::calls::Waits;
use super::error::{check_same, nondeterminism};
use super::limits::failure_bytes;
use super::rollback::Rollback;
use super::schedule::{Item, What};
use super::waiting::Awaited;
use super::{CallId, GuestError, Next, Ready, Session, SessionError};
use crate::{
    Begin, EffectKind, EntryKind, Event, Failure, Kind, Outcome, Row, Scope, StepStatus, Timestamp,
    fingerprint,
};

/// An effect that the guest begins.
#[derive(Debug)]
pub struct NewEffect {
    /// The kind.
    pub kind: EffectKind,
    /// The name that people see.
    pub name: String,
    /// The input, a JSON document. Replay compares it.
    pub input: String,
    /// When the effect is a timer: its end.
    pub wake_at: Option<Timestamp>,
    /// When its outcome comes from the inbox of the run: the kind of entry.
    pub awaits: Option<EntryKind>,
}

/// An effect that the guest waits for and that has not begun in this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueEffect {
    /// The `seq` of the row.
    pub seq: u64,
    /// Whether the effect may have begun before: in another session, or before a rollback interrupted it.
    pub may_have_begun: bool,
}

impl Session {
    /// Begins an effect, or finds it in the journal.
    ///
    /// # Errors
    /// [`SessionError`] if the journal has another call with this index, or the run has reached a limit.
    pub fn submit(
        &mut self,
        scope: Scope,
        effect: NewEffect,
        now: Timestamp,
    ) -> Result<CallId, SessionError> {
        let Some(index) = self.take_index(scope)? else { return Ok(self.call_that_never_completes()) };
        let seq = self.find_or_record(scope, Some(index), effect.into(), now)?;
        self.call_for_effect(seq)
    }

    /// Records an effect that the host refuses, with its failure; or finds the effect in the journal, where it has been
    /// refused or not. `kept` is the input that the journal keeps. Replay compares the input of `effect`.
    ///
    /// # Errors
    /// As [`Session::submit`].
    pub fn refuse(
        &mut self,
        scope: Scope,
        effect: NewEffect,
        kept: &str,
        failure: Failure,
        now: Timestamp,
    ) -> Result<CallId, SessionError> {
        let Some(index) = self.take_index(scope)? else { return Ok(self.call_that_never_completes()) };
        if self.journal.call(scope, index).is_some() {
            let seq = self.find_or_record(scope, Some(index), effect.into(), now)?;
            return self.call_for_effect(seq);
        }
        let NewEffect { kind, name, input, .. } = effect;
        let fingerprint = fingerprint(Kind::Effect(kind), &name, Some(&input));
        let begin =
            Begin { fingerprint, ..Begin::new(scope, Some(index), Kind::Effect(kind), name, Some(kept)) };
        let seq = self.record(begin, now)?;
        self.bytes += failure_bytes(&failure);
        self.journal.apply(Event::Arrived { seq, outcome: Err(failure) }, now)?;
        self.call_for_effect(seq)
    }

    /// Returns the recorded call that the guest makes next in a scope. `None`: it makes a new one.
    ///
    /// # Errors
    /// [`SessionError`] if the scope is not open.
    pub fn recorded(&mut self, scope: Scope) -> Result<Option<&Row>, SessionError> {
        let index = self.scope(scope)?.map(|open| open.next_index);
        Ok(index.and_then(|index| self.journal.call(scope, index)))
    }

    /// Begins the one effect of a scope that has no index, or finds it in the journal. The timer of a step's timeout is
    /// one: the guest begins it when the step first waits, which may be after another call in a replay.
    ///
    /// # Errors
    /// As [`Session::submit`].
    pub fn submit_for_scope(
        &mut self,
        scope: Scope,
        effect: NewEffect,
        now: Timestamp,
    ) -> Result<CallId, SessionError> {
        if self.scope(scope)?.is_none() {
            return Ok(self.call_that_never_completes());
        }
        let seq = self.find_or_record(scope, None, effect.into(), now)?;
        self.call_for_effect(seq)
    }

    /// Creates a call for an effect. An end that the guest has passed is delivered again: a rollback interrupted the
    /// handler that had seen it, and runs that handler again.
    fn call_for_effect(&mut self, seq: u64) -> Result<CallId, SessionError> {
        let call = self.call_for(seq, Waits::Effect)?;
        let order = self.journal.row(seq).and_then(|row| row.order);
        if let Some(order) = order.filter(|order| self.is_behind(*order)) {
            self.seen.insert(order, seq);
        }
        Ok(call)
    }

    /// Returns the workflow's time: `now` in the first execution, the same in every replay. It never goes backwards within
    /// a run, also if the clock does.
    ///
    /// # Errors
    /// As [`Session::submit`].
    pub fn workflow_time(&mut self, scope: Scope, now: Timestamp) -> Result<Timestamp, SessionError> {
        let now = self.journal.time(now);
        let Some(index) = self.take_index(scope)? else { return Ok(now) };
        let reading = Found {
            kind: Kind::Time,
            name: "workflow_time".to_owned(),
            input: String::new(),
            wake_at: None,
            awaits: None,
        };
        let seq = self.find_or_record(scope, Some(index), reading, now)?;
        let Some(row) = self.journal.row(seq) else { return Ok(now) };
        let recorded = row.started_at;
        if row.is_open() {
            let result = format!("\"{}\"", now.to_rfc3339()).into();
            self.journal.apply(Event::Delivered { seq, outcome: Ok(Some(result)) }, now)?;
        }
        Ok(recorded)
    }

    fn find_or_record(
        &mut self,
        scope: Scope,
        index: Option<u32>,
        effect: Found,
        now: Timestamp,
    ) -> Result<u64, SessionError> {
        let input = (!effect.input.is_empty()).then_some(effect.input.as_str());
        let found = match index {
            Some(index) => self.journal.call(scope, index),
            None => self.journal.effect_of_scope(scope),
        };
        if let Some(row) = found {
            check_same(row, effect.kind, &effect.name, input)?;
            return Ok(row.seq);
        }
        let begin = Begin {
            wake_at: effect.wake_at,
            awaits: effect.awaits,
            ..Begin::new(scope, index, effect.kind, effect.name, input)
        };
        self.record(begin, now)
    }

    /// Answers the guest's request for a completion.
    ///
    /// # Errors
    /// [`SessionError`] if the guest waits for something that cannot end, or that the journal does not have.
    pub fn next(&mut self, now: Timestamp) -> Result<Next, SessionError> {
        // First, in every replay, too: these deliveries are not recorded again.
        while let Some((_, seq)) = self.seen.pop_first() {
            if let Some(call) = self.waiting.remove(seq) {
                self.note_delivered(call, seq);
                return Ok(Next::Deliver(call));
            }
        }
        if let Some(call) = self.next_recorded()? {
            return Ok(Next::Deliver(call));
        }
        if self.unwind_request.is_some()
            && let Some(call) = self.next_ended(now)?
        {
            return Ok(Next::Deliver(call));
        }
        if let Some(failure) = self.unwind_request.take() {
            self.begin_unwinding(failure, now)?;
            return Ok(Next::Unwind);
        }
        if let Some(call) = self.take_from_inbox(now, |_| true)? {
            return Ok(Next::Deliver(call));
        }
        self.collect_arrived();
        while let Some(ready) = self.ready.pop_front() {
            if let Some(call) = self.deliver(ready, now)? {
                return Ok(Next::Deliver(call));
            }
        }
        if self.waiting.is_empty() {
            return Err(GuestError::Deadlock.into());
        }
        Ok(Next::Wait)
    }

    /// Returns the next recorded completion that the guest waits for.
    fn next_recorded(&mut self) -> Result<Option<CallId>, SessionError> {
        while let Some(item) = self.schedule.peek() {
            if matches!(self.rollback, Rollback::Until(last) if item.order > last) {
                return Err(self.unexpected_end("a wait"));
            }
            self.schedule.advance();
            // Ends of steps that the guest has seen have a lower delivery number than its position.
            let call = self.claim(item)?;
            self.position = self.position.max(item.order);
            if call.is_some() {
                return Ok(call);
            }
        }
        Ok(None)
    }

    /// Returns the call that waits for this end. `None` if the guest does not wait for it, for example because it belongs
    /// to a step that is skipped.
    fn claim(&mut self, item: Item) -> Result<Option<CallId>, SessionError> {
        let waits = match item.what {
            What::Effect => Waits::Effect,
            What::End => Waits::End,
            What::Attempt(attempt) => Waits::Attempt(attempt),
        };
        if let Some(id) = self.waiting.get(item.seq)
            && self.calls.get(&id).is_some_and(|call| call.waits == waits)
        {
            self.waiting.remove(item.seq);
            self.note_delivered(id, item.seq);
            return Ok(Some(id));
        }
        match self.journal.row(item.seq) {
            Some(row) if self.is_missing(row) => Err(nondeterminism(row.describe(), "a wait")),
            _ => Ok(None),
        }
    }

    /// Collects the effects that ended while the run had no instance.
    fn collect_arrived(&mut self) {
        for seq in self.waiting.take_unchecked() {
            let Some(row) = self.journal.row(seq) else { continue };
            let arrived = !row.kind.has_scope() && !row.is_open() && row.order.is_none();
            if arrived && row.status != StepStatus::Skipped && self.ended.insert(seq) {
                let outcome = match &row.failure {
                    Some(failure) => Err((**failure).clone()),
                    None => Ok(row.result.clone()),
                };
                self.ready.push_back(Ready::Effect(seq, outcome));
            }
        }
    }

    /// Delivers what has ended already of the calls that the guest waits for, before a rollback that was requested: the steps
    /// of these calls complete, and are compensated.
    fn next_ended(&mut self, now: Timestamp) -> Result<Option<CallId>, SessionError> {
        if let Some(call) = self.take_from_inbox(now, |kind| kind == EntryKind::ChildEnded)? {
            return Ok(Some(call));
        }
        self.collect_arrived();
        loop {
            let journal = &self.journal;
            let has_ended = |ready: &Ready| matches!(ready, Ready::Effect(seq, _) if journal.row(*seq).is_some_and(|row| !row.is_open()));
            let Some(place) = self.ready.iter().position(has_ended) else { break };
            let Some(ready) = self.ready.remove(place) else { break };
            if let Some(call) = self.deliver(ready, now)? {
                return Ok(Some(call));
            }
        }
        Ok(None)
    }

    fn deliver(&mut self, ready: Ready, now: Timestamp) -> Result<Option<CallId>, SessionError> {
        let (Ready::Effect(seq, _) | Ready::Attempt(seq)) = ready;
        // The guest may have dropped the call after it ended.
        let Some(id) = self.waiting.remove(seq) else { return Ok(None) };
        let event = match ready {
            Ready::Effect(seq, outcome) => Event::Delivered { seq, outcome },
            Ready::Attempt(seq) => Event::AttemptStarted { seq },
        };
        self.journal.apply(event, now)?;
        self.position = self.journal.last_order();
        self.note_delivered(id, seq);
        Ok(Some(id))
    }

    /// Returns the row of a call that the guest holds.
    pub fn row_of(&self, id: CallId) -> Option<&Row> {
        self.calls.get(&id).and_then(|call| self.journal.row(call.seq))
    }

    /// Returns the outcome of a delivered effect of this kind.
    ///
    /// # Errors
    /// [`SessionError`] if the guest holds no such call.
    pub fn outcome(&mut self, id: CallId, kind: EffectKind) -> Result<Outcome, SessionError> {
        let call = self.calls.get(&id).filter(|call| call.delivered && call.waits == Waits::Effect);
        let row = call.and_then(|call| self.journal.row(call.seq));
        let Some(row) = row.filter(|row| row.kind == Kind::Effect(kind)) else {
            return Err(GuestError::ForeignCall(id).into());
        };
        let outcome = match (&row.result, &row.failure) {
            (_, Some(failure)) => Err((**failure).clone()),
            (result, None) => Ok(result.clone()),
        };
        self.calls.remove(&id);
        Ok(outcome)
    }

    /// Cancels a call that the guest no longer waits for. Returns its row if an effect may be under way and must be aborted.
    ///
    /// # Errors
    /// [`SessionError`] if the journal does not allow it.
    pub fn cancel(&mut self, id: CallId, now: Timestamp) -> Result<Option<u64>, SessionError> {
        let Some(call) = self.calls.remove(&id) else { return Ok(None) };
        if call.delivered || self.waiting.remove(call.seq).is_none() {
            return Ok(None);
        }
        // Dropping the wait for a retry drops the step.
        let open = self.journal.row(call.seq).filter(|row| row.is_open());
        let takes_part =
            open.is_some_and(|row| self.rollback != Rollback::Begun || self.is_compensating(row.scope));
        let open = open.is_some();
        if takes_part {
            self.journal.apply(Event::Dropped { seq: call.seq }, now)?;
        }
        // In a replay, the call was dropped before.
        Ok(open.then_some(call.seq))
    }

    /// Adds the outcome of an effect, which the guest sees at its next request for a completion. The outcome of an effect
    /// that a rollback interrupted, and that is begun again by a handler, is recorded.
    ///
    /// # Errors
    /// [`SessionError`] if the journal does not allow it.
    pub fn arrive(&mut self, seq: u64, outcome: Outcome, now: Timestamp) -> Result<(), SessionError> {
        let outcome = self.kept(seq, outcome);
        // The outcome counts now, because it is in memory.
        let bytes = match &outcome {
            Ok(result) => result.as_deref().map_or(0, str::len) as u64,
            Err(failure) => failure_bytes(failure),
        };
        if self.waiting.get(seq).is_some() {
            self.ready.push_back(Ready::Effect(seq, outcome));
        } else if self.journal.row(seq).is_some_and(|row| row.is_open() && row.kind.effect().is_some()) {
            self.journal.apply(Event::Arrived { seq, outcome }, now)?;
        } else {
            return Ok(());
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Records what is known of an effect that the guest has dropped or a rollback has interrupted: what may have happened,
    /// and the result that came too late, if the journal has room for it.
    ///
    /// # Errors
    /// [`SessionError`] if the call is no such effect.
    pub fn abandon(
        &mut self,
        seq: u64,
        doubt: Option<Failure>,
        result: Option<Arc<str>>,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let result = result.filter(|result| self.check_bytes(result.len() as u64).is_ok());
        self.bytes += result.as_deref().map_or(0, str::len) as u64;
        Ok(self.journal.apply(Event::Abandoned { seq, doubt, result }, now)?)
    }

    /// Ends the timers that are due.
    pub fn fire(&mut self, now: Timestamp) {
        for seq in self.waiting.due(now) {
            let attempt = self.journal.row(seq).is_some_and(|row| row.kind.has_scope());
            if self.ended.insert(seq) || attempt {
                let ready =
                    if attempt { Ready::Attempt(seq) } else { Ready::Effect(seq, self.timed_out(seq)) };
                self.ready.push_back(ready);
            }
        }
    }

    /// Returns the end of the next timer that the guest waits for.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.waiting.next_timer()
    }

    /// Returns whether the guest waits for the inbox, so that nothing tells when it goes on.
    pub fn awaits_inbox(&self) -> bool {
        self.waiting.has_receiver()
    }

    /// Returns whether there may be an end to deliver.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.waiting.may_match()
    }

    /// Returns whether the run may leave memory: the guest waits only for the next attempts of steps, and for open effects
    /// of a kind that `may_leave`.
    pub fn waits_only_for(&self, may_leave: impl Fn(EffectKind) -> bool) -> bool {
        let suits = |awaited| match awaited {
            Awaited::Effect(kind) => may_leave(kind),
            Awaited::Retry => true,
            Awaited::Other => false,
        };
        self.ready.is_empty() && self.waiting.all(suits)
    }

    /// Returns the calls that the guest waits for.
    pub fn awaited(&self) -> impl Iterator<Item = &Row> {
        self.waiting.rows().filter_map(|seq| self.journal.row(seq))
    }

    /// Returns the number of attached children that the guest waits for.
    pub fn count_children(&self) -> usize {
        self.waiting.count_receivers(EntryKind::ChildEnded)
    }

    /// Returns the effects that begin now: the guest waits for them, and they have not begun.
    ///
    /// # Errors
    /// [`SessionError::Nondeterminism`] if the guest waits for a call that it had dropped.
    pub fn effects_due(&mut self) -> Result<Vec<DueEffect>, SessionError> {
        let mut due = Vec::new();
        for seq in self.waiting.take_unsent() {
            let Some(row) = self.journal.row(seq) else { continue };
            if row.status == StepStatus::Skipped {
                return Err(nondeterminism(format!("{} dropped", row.describe()), "a wait for it"));
            }
            if row.kind.effect().is_some() && row.is_open() && self.launched.insert(seq) {
                let may_have_begun = seq <= self.recorded || !self.sent.insert(seq);
                due.push(DueEffect { seq, may_have_begun });
            }
        }
        Ok(due)
    }

    /// Records outcomes that were not delivered, before the instance leaves memory. An effect that ended without a result,
    /// such as a timer, is not recorded: it ends again.
    ///
    /// # Errors
    /// [`SessionError`] if the journal does not allow it.
    pub fn keep_arrived(&mut self, now: Timestamp) -> Result<(), SessionError> {
        while let Some(ready) = self.ready.pop_front() {
            if let Ready::Effect(seq, outcome) = ready
                && !matches!(outcome, Ok(None))
                && self.journal.row(seq).is_some_and(Row::is_open)
            {
                self.journal.apply(Event::Arrived { seq, outcome }, now)?;
            }
        }
        Ok(())
    }
}

/// A call to find in the journal or to record.
struct Found {
    kind: Kind,
    name: String,
    input: String,
    wake_at: Option<Timestamp>,
    awaits: Option<EntryKind>,
}

impl From<NewEffect> for Found {
    fn from(NewEffect { kind, name, input, wake_at, awaits }: NewEffect) -> Self {
        Self { kind: Kind::Effect(kind), name, input, wake_at, awaits }
    }
}
