//! What a person decides about a run that its code cannot end: it is terminated, or the outcome of a call is given.

use super::Journal;
use super::apply::IllegalEvent;
use crate::{
    Begin, Failure, Kind, Outcome, PauseReason, Row, Scope, StepStatus, Timestamp, WorkflowStatus, kind,
};

/// The failure of a step or compensation of a run that is terminated.
const UNDER_WAY: &str = "it was under way when a person ended the run";

/// Why a call cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolvable {
    /// The run has no such call.
    Unknown,
    /// The outcome of the call is known, or the host is still working on it.
    NotInDoubt(String),
}

impl Journal {
    pub(super) fn terminate(
        &mut self,
        failure: &Failure,
        in_doubt: Vec<(u64, Failure)>,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        self.check_status("terminated", |status| !status.is_final())?;
        let open: Vec<u64> = self.rows().iter().filter(|row| row.is_open()).map(|row| row.seq).collect();
        for seq in open {
            self.end(seq, at, |row| {
                if row.kind.has_scope() {
                    // The run says why it was terminated.
                    row.status = StepStatus::Failed;
                    row.failure = Some(Box::new(Failure::permanent(kind::TERMINATED, UNDER_WAY)));
                } else {
                    row.status = StepStatus::Skipped;
                }
            });
        }
        for (seq, doubt) in in_doubt {
            self.change(seq, |row| row.failure = Some(Box::new(doubt)));
        }
        self.run.pause = None;
        self.run.failure = Some(failure.clone());
        self.list_uncompensated();
        self.finish(WorkflowStatus::Failed, at);
        Ok(())
    }

    /// Returns whether a person ended the run with [`Event::Terminated`](crate::Event::Terminated).
    pub fn is_terminated(&self) -> bool {
        self.run().failure.as_ref().is_some_and(|failure| failure.kind == kind::TERMINATED)
            && self.run().status.is_final()
    }

    /// Returns the `seq` of the call whose outcome a person may give: a call in doubt, or a step whose compensation has not
    /// succeeded in a run that is rolled back. `name` is the name of the step or call, or its position in the run.
    ///
    /// # Errors
    /// [`Unresolvable`] if there is no such call.
    pub fn resolvable(&self, name: &str) -> Result<u64, Unresolvable> {
        let open = || self.rows().iter().find(|row| row.is_open() && *row.name == *name);
        let by_position = || name.parse().ok().and_then(|seq| self.row(seq));
        let row = self.step(name).or_else(open).or_else(by_position).ok_or(Unresolvable::Unknown)?;
        // A compensation is named by its step.
        let row = match row.kind {
            Kind::Compensation => self.row(row.scope.step).ok_or(Unresolvable::Unknown)?,
            _ => row,
        };
        self.check_resolvable(row).map_err(Unresolvable::NotInDoubt)?;
        Ok(row.seq)
    }

    fn check_resolvable(&self, row: &Row) -> Result<(), String> {
        let run = self.run();
        let name = row.describe();
        if row.is_compensable() {
            let rolls_back = match run.status {
                WorkflowStatus::Compensating | WorkflowStatus::Failed => true,
                WorkflowStatus::Paused => {
                    run.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating)
                }
                _ => false,
            };
            return match (row.status, rolls_back) {
                (StepStatus::Compensated, _) => Err(format!("{name} is compensated")),
                (_, true) => Ok(()),
                (_, false) => Err(format!("{name} is completed, and the run is not rolled back")),
            };
        }
        let in_doubt = run.pause.as_ref().is_some_and(|pause| pause.reason == PauseReason::InDoubt);
        let effects = || self.rows().iter().filter(|call| call.is_open() && !call.kind.has_scope());
        if !row.is_open() {
            return Err(format!("{name} is {}", row.status));
        }
        if !in_doubt {
            return Err(format!("{name} is {}, and the run is not paused for a call in doubt", row.status));
        }
        if row.kind.has_scope() {
            let Some(call) = effects().find(|call| self.is_part_of(call, row.seq)) else {
                return Err(format!("no call in {name} is in doubt"));
            };
            // Only the code of the step can register these handlers, so it must be able to end by itself.
            if self.rows().iter().any(|inner| inner.is_compensable() && self.is_part_of(inner, row.seq)) {
                return Err(format!(
                    "{name} contains steps with a compensation handler: resolve the call in it, which is call {}",
                    call.seq
                ));
            }
        }
        Ok(())
    }

    /// Returns whether a call was made in a step or compensation, at any depth.
    fn is_part_of(&self, row: &Row, ancestor: u64) -> bool {
        let mut scope = row.scope;
        while let Some(parent) = self.row(scope.step) {
            if parent.seq == ancestor {
                return true;
            }
            scope = parent.scope;
        }
        false
    }

    pub(super) fn resolve(&mut self, seq: u64, outcome: Outcome, at: Timestamp) -> Result<(), IllegalEvent> {
        let row = self.row(seq).ok_or_else(|| self.illegal("resolved", format!("there is no call {seq}")))?;
        self.check_resolvable(row).map_err(|why| self.illegal("resolved", why))?;
        if row.is_compensable() {
            self.resolve_compensation(seq, outcome, at)?;
        } else {
            let has_scope = row.kind.has_scope();
            let order = has_scope.then(|| self.next_order());
            self.set_resolved(seq, outcome, order, at);
        }
        // What is left to do needs no decision: the run goes on.
        let in_doubt = self.run().pause.as_ref().is_some_and(|pause| pause.reason == PauseReason::InDoubt);
        let is_undone = self.uncompensated().next().is_none();
        match self.run().status {
            WorkflowStatus::Paused if in_doubt || is_undone => self.resume(),
            WorkflowStatus::Failed => {
                self.list_uncompensated();
                if is_undone {
                    self.change_status(WorkflowStatus::Compensated, None);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn resolve_compensation(
        &mut self,
        step: u64,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let compensation = match self.compensation(step) {
            Some(row) => row.seq,
            None => {
                let name = self.row(step).map(|row| row.name.clone()).unwrap_or_default();
                self.append(Begin::new(Scope { step, attempt: 0 }, None, Kind::Compensation, name, None), at)?
            }
        };
        let is_done = outcome.is_ok();
        let order = match self.row(compensation).and_then(|row| row.order) {
            Some(order) => order,
            None => self.next_order(),
        };
        self.set_resolved(compensation, outcome, Some(order), at);
        if is_done {
            self.change(step, |step| step.status = StepStatus::Compensated);
        }
        Ok(())
    }

    /// Ends a call with an outcome, and the calls in it without one.
    fn set_resolved(&mut self, seq: u64, outcome: Outcome, order: Option<u64>, at: Timestamp) {
        self.end(seq, at, |row| {
            row.failure = None;
            row.order = order;
            row.set_outcome(outcome);
        });
        let within: Vec<u64> = self
            .rows()
            .iter()
            .filter(|row| row.is_open() && self.is_part_of(row, seq))
            .map(|row| row.seq)
            .collect();
        for call in within {
            self.end(call, at, |row| row.status = StepStatus::Skipped);
        }
    }
}
