//! Finds what changed in a run since the last poll.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::cli::follow;
use crate::cli::printable::Printable;
use crate::cli::text::duration;
use crate::executor::{StepRecord, WorkflowRecord};
use forge_journal::{Kind, StepStatus, WorkflowStatus};

/// The state of a run at the last poll.
#[derive(Default)]
pub(super) struct Seen {
    run: Option<WorkflowStatus>,
    steps: BTreeMap<u64, (StepStatus, u32)>,
}

/// A change of a run or a step.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change<'a> {
    /// A step started, failed, was retried or ended.
    Step(&'a StepRecord),
    /// The run has a new status.
    Run(&'a WorkflowRecord),
}

impl Seen {
    /// Returns the changes since the last call: steps in the order of the journal, then the run.
    pub(super) fn changes<'a>(
        &mut self,
        record: &'a WorkflowRecord,
        steps: &'a [StepRecord],
    ) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        for step in steps.iter().filter(|step| is_shown(step.kind)) {
            let state = (step.status, step.attempt);
            if self.steps.insert(step.seq, state) != Some(state) {
                changes.push(Change::Step(step));
            }
        }
        if self.run.replace(record.status) != Some(record.status) {
            changes.push(Change::Run(record));
        }
        changes
    }
}

/// Returns whether the changes of a call are shown: those of requests and of the clock are too many.
fn is_shown(kind: Kind) -> bool {
    kind.has_scope() || matches!(kind.as_str(), "sleep" | "event" | "child")
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => {
                let what = match step.kind {
                    Kind::Compensation => "compensation of ",
                    Kind::Effect(kind) if kind.as_str() == "event" => "event ",
                    Kind::Effect(kind) if kind.as_str() == "child" => "child ",
                    _ => "",
                };
                write!(f, "{what}{}: {}", Printable::line(&step.step_name), step.status)?;
                if step.attempt > 1 {
                    write!(f, ", attempt {}", step.attempt)?;
                }
                if let Some(took) = step.duration_ms {
                    write!(f, " ({})", duration(took))?;
                }
                step.error.iter().try_for_each(|error| write!(f, ": {}", Printable::line(error)))
            }
            Self::Run(record) => {
                let name = Printable::line(&record.workflow_name);
                write!(f, "{name} v{}: {}", record.version, record.status)?;
                record.error.iter().try_for_each(|error| write!(f, ": {}", Printable::line(error)))?;
                // The error of a run that did not complete names them.
                let in_doubt = record.in_doubt.iter().filter(|_| record.status == WorkflowStatus::Completed);
                in_doubt.map(|effect| follow::in_doubt(effect)).try_for_each(|effect| write!(f, "\n{effect}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tree::samples::{record, step};

    fn seen(seen: &mut Seen, record: &WorkflowRecord, steps: &[StepRecord]) -> Vec<String> {
        seen.changes(record, steps).iter().map(Change::to_string).collect()
    }

    #[test]
    fn every_change_is_reported_once() {
        let mut memory = Seen::default();
        let mut run = record(WorkflowStatus::Running);
        let mut steps = vec![step(1, Kind::Step, "charge_card", StepStatus::Running)];
        assert_eq!(seen(&mut memory, &run, &steps), ["charge_card: running", "payment v1: running"]);
        assert_eq!(seen(&mut memory, &run, &steps), [""; 0]);

        steps[0].attempt = 2;
        steps[0].error = Some("declined".to_owned());
        assert_eq!(seen(&mut memory, &run, &steps), ["charge_card: running, attempt 2: declined"]);

        steps[0].error = None;
        steps[0].status = StepStatus::Completed;
        steps[0].duration_ms = Some(410);
        run.status = WorkflowStatus::Completed;
        run.in_doubt = vec!["`mail`: POST https://mail.example may have arrived".to_owned()];
        assert_eq!(
            seen(&mut memory, &run, &steps),
            [
                "charge_card: completed, attempt 2 (410 ms)",
                "payment v1: completed\nin doubt: `mail`: POST https://mail.example may have arrived"
            ]
        );
    }
}
