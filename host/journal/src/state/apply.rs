use std::sync::Arc;

use super::Journal;
use crate::{Begin, Event, Kind, Pause, Row, RunId, StepStatus, Timestamp, WorkflowStatus, inbox};

/// The error for an event that is not possible in the current state: a bug, or rows that were changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run}: {event} is not possible: {why}")]
pub struct IllegalEvent {
    /// The run.
    pub run: RunId,
    /// The event's name.
    pub event: &'static str,
    /// The reason.
    pub why: String,
}

impl Journal {
    /// Applies an event that happened at `at`. This is the state machine of a run. The event is recorded with the run's
    /// [time](Journal::time), which never goes backwards.
    ///
    /// # Errors
    /// [`IllegalEvent`] if the event is not possible in this state. The journal is then unchanged.
    pub fn apply(&mut self, event: Event, at: Timestamp) -> Result<(), IllegalEvent> {
        let at = self.time(at);
        match event {
            Event::Running => self.running(),
            Event::Waiting { until, waits_for } => self.waiting(until, waits_for),
            Event::Tagged { name, value } => self.tag(&name, &value),
            Event::Begun(begin) => self.begin(begin, at),
            Event::Delivered { seq, outcome } => {
                self.open_effect("delivered", seq, true)?;
                let order = self.next_order();
                self.end(seq, at, |row| {
                    row.order = Some(order);
                    row.set_outcome(outcome);
                });
                Ok(())
            }
            Event::Arrived { seq, outcome } => {
                self.open_effect("arrived", seq, false)?;
                self.end(seq, at, |row| row.set_outcome(outcome));
                Ok(())
            }
            Event::Taken { seq, entry } => self.take_entry(seq, entry, at),
            Event::Started { seq, run } => {
                self.open_effect("started", seq, false)?;
                self.change(seq, |row| row.child = Some(run));
                Ok(())
            }
            Event::Completed { seq, result } => self.complete(seq, result, at),
            Event::Failed { seq, failure } => {
                self.open_step("failed", seq)?;
                let order = self.next_order();
                self.end(seq, at, |row| {
                    row.status = StepStatus::Failed;
                    row.order = Some(order);
                    row.failure = Some(Box::new(failure));
                });
                Ok(())
            }
            Event::AttemptFailed { seq, failure, retry_at } => {
                self.open_step("attempt_failed", seq)?;
                self.change(seq, |row| {
                    row.failure = Some(Box::new(failure));
                    row.wake_at = Some(retry_at);
                });
                Ok(())
            }
            Event::AttemptStarted { seq } => self.start_attempt(seq),
            Event::Logged { scope, note, level, message, is_last } => {
                self.log((scope, note), level, message, is_last, at)
            }
            Event::Published { scope, note, name, value } => self.publish((scope, note), &name, value),
            Event::Dropped { seq } => {
                if !self.row(seq).is_some_and(Row::is_open) {
                    return Err(self.illegal("dropped", format!("call {seq} has ended")));
                }
                self.end(seq, at, |row| row.status = StepStatus::Skipped);
                Ok(())
            }
            Event::Abandoned { seq, doubt, result } => self.abandon(seq, doubt, result),
            Event::Withheld { effects } => {
                self.withheld = effects;
                Ok(())
            }
            Event::InDoubt { effects } => self.set_in_doubt(&effects),
            Event::Settled { effects } => self.settle(effects),
            Event::RollbackRequested { failure } => self.request_rollback(failure, at),
            Event::Unwinding { failure } => self.unwind(failure, at),
            Event::Paused(pause) => self.pause(pause),
            Event::Resumed => self.resume(),
            Event::Reopened => self.reopen(),
            Event::Finished { output } => {
                self.check_status("finished", |status| status == WorkflowStatus::Running)?;
                self.run.output = Some(output);
                self.finish(WorkflowStatus::Completed, at);
                Ok(())
            }
            Event::RolledBack => self.rolled_back(at),
            Event::Terminated { failure, in_doubt } => self.terminate(&failure, in_doubt, at),
            Event::Resolved { seq, outcome } => self.resolve(seq, outcome, at),
        }
    }

    fn tag(&mut self, name: &str, value: &str) -> Result<(), IllegalEvent> {
        self.check_status("tagged", |s| matches!(s, WorkflowStatus::Running | WorkflowStatus::Compensating))?;
        if self.run.tags.get(name) != Some(value) {
            self.run.tags.set(name, value).map_err(|why| self.illegal("tagged", why.to_string()))?;
            self.run_touched = true;
        }
        Ok(())
    }

    fn begin(&mut self, begin: Begin, at: Timestamp) -> Result<(), IllegalEvent> {
        self.check_status("begun", |s| matches!(s, WorkflowStatus::Running | WorkflowStatus::Compensating))?;
        self.append(begin, at).map(|_| ())
    }

    /// Appends the row of a call that begins, and returns its `seq`.
    pub(super) fn append(&mut self, begin: Begin, at: Timestamp) -> Result<u64, IllegalEvent> {
        let mut row = Row::new(self.rows.len() as u64 + 1, begin, at);
        row.step_before = u32::try_from(self.last_step).ok();
        self.latest = at;
        if !self.index.insert(&row) {
            return Err(self.illegal("begun", format!("{} has begun already", row.describe())));
        }
        let seq = row.seq;
        if row.kind == Kind::Step {
            self.last_step = seq;
        }
        self.touched.insert(seq);
        self.rows.push(row);
        Ok(seq)
    }

    fn complete(&mut self, seq: u64, result: Option<Arc<str>>, at: Timestamp) -> Result<(), IllegalEvent> {
        self.open_step("completed", seq)?;
        let order = self.next_order();
        self.end(seq, at, |row| {
            row.status = StepStatus::Completed;
            row.order = Some(order);
            row.result = result;
            row.failure = None;
        });
        if let Some(row) = self.row(seq)
            && row.kind == Kind::Compensation
        {
            let step = row.scope.step;
            self.change(step, |step| step.status = StepStatus::Compensated);
        }
        Ok(())
    }

    fn start_attempt(&mut self, seq: u64) -> Result<(), IllegalEvent> {
        self.open_step("attempt_started", seq)?;
        let order = self.next_order();
        self.change(seq, |row| {
            row.attempt += 1;
            row.notes = 0;
            row.attempt_orders.push(order);
            row.wake_at = None;
        });
        Ok(())
    }

    fn pause(&mut self, pause: Pause) -> Result<(), IllegalEvent> {
        self.check_status("paused", |status| !status.is_at_rest())?;
        self.run.pause = Some(pause);
        self.change_status(WorkflowStatus::Paused, None);
        Ok(())
    }

    pub(super) fn resume(&mut self) -> Result<(), IllegalEvent> {
        let Some(pause) = self.run.pause.take() else {
            return Err(self.illegal("resumed", "it is not paused".to_owned()));
        };
        self.change_status(pause.from, None);
        Ok(())
    }

    fn running(&mut self) -> Result<(), IllegalEvent> {
        use WorkflowStatus::{Compensating, Created, Running, Waiting};
        self.check_status("running", |status| matches!(status, Created | Running | Waiting | Compensating))?;
        // A run that is rolled back is `compensating` while it waits, too.
        let status = if self.run.status == Compensating { Compensating } else { Running };
        self.withheld.clear();
        self.change_status(status, None);
        Ok(())
    }

    fn waiting(&mut self, until: Timestamp, waits_for: Option<Arc<str>>) -> Result<(), IllegalEvent> {
        use WorkflowStatus::{Compensating, Running, Waiting};
        self.check_status("waiting", |status| matches!(status, Running | Waiting | Compensating))?;
        let status = if self.run.status == Compensating { Compensating } else { Waiting };
        self.change_status(status, Some(until));
        if self.run.waits_for != waits_for {
            self.run.waits_for = waits_for;
            self.run_touched = true;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, status: WorkflowStatus, at: Timestamp) {
        // A workflow may return while calls are open, for example the calls of a branch that it no longer awaits.
        let open: Vec<u64> = self.rows.iter().filter(|row| row.is_open()).map(|row| row.seq).collect();
        for seq in open {
            self.end(seq, at, |row| row.status = StepStatus::Skipped);
        }
        self.run.completed_at = Some(at);
        self.change_status(status, None);
        self.drop_cancels();
        self.outbox.extend(inbox::end_of(&self.run, at));
    }

    /// Sets the status of the run. No other function does.
    pub(super) fn change_status(&mut self, status: WorkflowStatus, wake_at: Option<Timestamp>) {
        if (self.run.status, self.run.wake_at) != (status, wake_at) {
            self.run.status = status;
            self.run.wake_at = wake_at;
            self.run.waits_for = None;
            self.run_touched = true;
        }
    }

    pub(super) fn check_status(
        &self,
        event: &'static str,
        possible: impl Fn(WorkflowStatus) -> bool,
    ) -> Result<(), IllegalEvent> {
        if possible(self.run.status) {
            return Ok(());
        }
        Err(self.illegal(event, format!("the run is {}", self.run.status)))
    }

    /// Checks that `seq` is an effect or a reading of the time whose end the guest has not seen.
    pub(super) fn open_effect(
        &self,
        event: &'static str,
        seq: u64,
        arrived: bool,
    ) -> Result<(), IllegalEvent> {
        match self.row(seq) {
            Some(row) if row.kind.has_scope() => {
                Err(self.illegal(event, format!("call {seq} is a {}", row.kind)))
            }
            Some(row) if row.is_open() => Ok(()),
            Some(row) if arrived && row.order.is_none() && row.status != StepStatus::Skipped => Ok(()),
            _ => Err(self.illegal(event, format!("call {seq} has ended"))),
        }
    }

    /// Checks that `seq` is a step or compensation that has not ended.
    fn open_step(&self, event: &'static str, seq: u64) -> Result<(), IllegalEvent> {
        match self.row(seq) {
            Some(row) if row.kind.has_scope() && row.is_open() => Ok(()),
            Some(row) => Err(self.illegal(event, format!("{} is {}", row.describe(), row.status))),
            None => Err(self.illegal(event, format!("there is no call {seq}"))),
        }
    }

    pub(super) fn illegal(&self, event: &'static str, why: String) -> IllegalEvent {
        IllegalEvent { run: self.run.id, event, why }
    }

    pub(super) fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    pub(super) fn end(&mut self, seq: u64, at: Timestamp, change: impl FnOnce(&mut Row)) {
        self.latest = at;
        self.change(seq, |row| {
            row.completed_at = Some(row.completed_at.unwrap_or(at));
            if row.kind.has_scope() {
                row.wake_at = None;
            }
            change(row);
        });
        self.cancel_if_dropped(seq, at);
    }

    pub(super) fn change(&mut self, seq: u64, change: impl FnOnce(&mut Row)) {
        let index = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index)) {
            change(row);
            self.touched.insert(seq);
        }
    }
}
