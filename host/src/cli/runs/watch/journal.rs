//! The journal of a run as far as it was read: each poll reads only the calls that may have changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::executor::StepRecord;
use forge_journal::{Kind, StepStatus};

/// The calls that were read, in the order in which they began.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) steps: Vec<StepRecord>,
    /// Whether their inputs and results are kept. A journal may be larger than the memory here.
    keeps_payloads: bool,
}

impl Journal {
    /// Returns an empty journal.
    pub(super) fn new(keeps_payloads: bool) -> Self {
        Self { keeps_payloads, ..Self::default() }
    }

    /// Returns the position up to which no call changes any more, but for steps that are compensated: what follows must be
    /// read again.
    pub(super) fn settled(&self) -> u64 {
        let open = self.steps.iter().find(|step| is_open(step)).map(|step| step.seq.saturating_sub(1));
        open.or_else(|| self.steps.last().map(|step| step.seq)).unwrap_or(0)
    }

    /// Takes the calls after [`Journal::settled`] as they are now.
    pub(super) fn update(&mut self, changed: Vec<StepRecord>) {
        let settled = self.settled();
        self.steps.retain(|step| step.seq <= settled);
        let keeps_payloads = self.keeps_payloads;
        self.steps.extend(changed.into_iter().map(|step| if keeps_payloads { step } else { slim(step) }));
        let compensated: BTreeSet<u64> = self
            .steps
            .iter()
            .filter(|step| step.kind == Kind::Compensation && step.status == StepStatus::Completed)
            .filter_map(|step| step.parent)
            .collect();
        for step in self.steps.iter_mut().filter(|step| compensated.contains(&step.seq)) {
            step.status = StepStatus::Compensated;
        }
    }
}

fn is_open(step: &StepRecord) -> bool {
    // The compensations of a failed run may be tried again.
    let may_reopen = step.kind == Kind::Compensation && step.status == StepStatus::Failed;
    may_reopen || matches!(step.status, StepStatus::Pending | StepStatus::Running)
}

/// Drops what a tree or a line does not show of a call.
fn slim(step: StepRecord) -> StepRecord {
    let status = step.result.as_ref().and_then(|result| result.get("status")).and_then(Value::as_u64);
    StepRecord { input: None, result: status.map(|status| json!({ "status": status })), ..step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tree::samples::step;

    #[test]
    fn only_what_may_have_changed_is_read_again() {
        let mut journal = Journal::default();
        assert_eq!(journal.settled(), 0);
        journal.update(vec![
            step(1, Kind::Step, "reserve", StepStatus::Completed),
            step(2, Kind::Step, "charge", StepStatus::Running),
            step(3, Kind::Step, "mail", StepStatus::Completed),
        ]);
        assert_eq!(journal.settled(), 1);
        let mut refund = step(4, Kind::Compensation, "reserve", StepStatus::Completed);
        refund.parent = Some(1);
        journal.update(vec![
            step(2, Kind::Step, "charge", StepStatus::Failed),
            step(3, Kind::Step, "mail", StepStatus::Completed),
            refund,
        ]);
        assert_eq!(journal.settled(), 4);
        let statuses: Vec<StepStatus> = journal.steps.iter().map(|step| step.status).collect();
        use StepStatus::{Compensated, Completed, Failed};
        assert_eq!(statuses, [Compensated, Failed, Completed, Completed]);
    }
}
