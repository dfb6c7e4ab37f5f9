use std::sync::Arc;

use super::Journal;
use super::apply::IllegalEvent;
use crate::{Failure, Kind, Row, Settled, StepStatus, Timestamp, WorkflowStatus, kind};

impl Journal {
    pub(super) fn request_rollback(&mut self, failure: Failure, at: Timestamp) -> Result<(), IllegalEvent> {
        use WorkflowStatus::{Created, Paused, Running, Waiting};
        self.check_status("rollback_requested", |status| {
            matches!(status, Created | Running | Waiting | Paused)
        })?;
        if self.run.failure.is_some() {
            return Err(
                self.illegal("rollback_requested", "a rollback has been requested or begun".to_owned())
            );
        }
        self.run.failure = Some(failure);
        self.run_touched = true;
        self.drop_cancels();
        self.cancel_children(at);
        Ok(())
    }

    pub(super) fn abandon(
        &mut self,
        seq: u64,
        doubt: Option<Failure>,
        result: Option<Arc<str>>,
    ) -> Result<(), IllegalEvent> {
        let is_dropped = |row: &Row| row.kind.effect().is_some() && row.status == StepStatus::Skipped;
        if !self.row(seq).is_some_and(is_dropped) {
            return Err(self.illegal("abandoned", format!("call {seq} is no effect that was dropped")));
        }
        self.change(seq, |row| {
            row.failure = doubt.map(Box::new);
            row.result = result;
        });
        Ok(())
    }

    /// Sets the effects in doubt of a run that is final.
    pub(super) fn set_in_doubt(&mut self, effects: &[String]) -> Result<(), IllegalEvent> {
        self.check_status("in_doubt", WorkflowStatus::is_final)?;
        let in_doubt: Option<Arc<str>> = (!effects.is_empty()).then(|| effects.join("\n").into());
        if self.run.in_doubt != in_doubt {
            self.run.in_doubt = in_doubt;
            self.run_touched = true;
        }
        Ok(())
    }

    /// Records what a person found of effects in doubt of a run that is final.
    pub(super) fn settle(&mut self, effects: Vec<Settled>) -> Result<(), IllegalEvent> {
        self.check_status("settled", WorkflowStatus::is_final)?;
        self.run_touched |= !effects.is_empty();
        self.run.settled.extend(effects);
        Ok(())
    }

    pub(super) fn unwind(&mut self, failure: Failure, at: Timestamp) -> Result<(), IllegalEvent> {
        self.check_status("unwinding", |status| {
            use WorkflowStatus::{Created, Paused, Running, Waiting};
            matches!(status, Created | Running | Waiting | Paused)
        })?;
        if self.run.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating) {
            return Err(self.illegal("unwinding", "it is compensating already".to_owned()));
        }
        // A failure that follows from the request is not the reason of the rollback.
        let failure = self.run.failure.take().unwrap_or(failure);
        // Compensations that the workflow itself began continue as part of the rollback.
        let interrupted = self.rows.iter().filter(|row| row.is_open() && !self.is_compensating(row));
        for seq in interrupted.map(|row| row.seq).collect::<Vec<_>>() {
            self.end(seq, at, |row| {
                row.status = if row.kind.has_scope() { StepStatus::Failed } else { StepStatus::Skipped };
                row.failure = Some(Box::new(failure.clone()));
            });
        }
        self.run.pause = None;
        self.run.failure = Some(failure);
        self.drop_cancels();
        self.change_status(WorkflowStatus::Compensating, None);
        Ok(())
    }

    /// Returns whether a call is a compensation, or belongs to one.
    pub(super) fn is_compensating(&self, row: &Row) -> bool {
        let mut row = Some(row);
        while let Some(call) = row {
            if call.kind == Kind::Compensation {
                return true;
            }
            row = self.row(call.scope.step);
        }
        false
    }

    pub(super) fn reopen(&mut self) -> Result<(), IllegalEvent> {
        let steps: Vec<u64> = self.uncompensated().map(|row| row.seq).collect();
        if self.run.status != WorkflowStatus::Failed || steps.is_empty() {
            return Err(self.illegal("reopened", "no compensation of it has failed".to_owned()));
        }
        for step in steps {
            let Some(compensation) = self.compensation(step).map(|row| row.seq) else { continue };
            let order = self.next_order();
            self.change(compensation, |row| {
                row.status = StepStatus::Running;
                row.order = None;
                row.completed_at = None;
                row.wake_at = None;
                row.attempt += 1;
                row.attempt_orders.push(order);
            });
        }
        self.run.completed_at = None;
        self.run.failed_compensations = None;
        self.run.uncompensated = Vec::new();
        self.change_status(WorkflowStatus::Compensating, None);
        Ok(())
    }

    pub(super) fn rolled_back(&mut self, at: Timestamp) -> Result<(), IllegalEvent> {
        self.check_status("rolled_back", |status| status == WorkflowStatus::Compensating)?;
        let compensated = self.rows.iter().any(|row| row.is_compensable());
        let cancelled = self.run.failure.as_ref().is_some_and(|failure| failure.kind == kind::CANCELLED);
        self.list_uncompensated();
        let status = if self.run.uncompensated.is_empty() && (compensated || cancelled) {
            WorkflowStatus::Compensated
        } else {
            WorkflowStatus::Failed
        };
        self.finish(status, at);
        Ok(())
    }

    /// Writes the steps that are not compensated into the run.
    pub(super) fn list_uncompensated(&mut self) {
        let (names, reasons): (Vec<_>, Vec<_>) =
            self.uncompensated().map(|row| (Arc::clone(&row.name), self.describe_uncompensated(row))).unzip();
        self.run.failed_compensations = (!reasons.is_empty()).then(|| reasons.join("; ").into());
        self.run.uncompensated = names;
        self.run_touched = true;
    }

    pub(super) fn describe_uncompensated(&self, step: &Row) -> String {
        let failure = self.compensation(step.seq).and_then(|row| row.failure.as_deref());
        let why = failure.map_or("the workflow ran no handler for it", |failure| &failure.message);
        format!("`{}` is not compensated: {why}", step.name)
    }
}
