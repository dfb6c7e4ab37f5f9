//! What the host's log says of a run that has ended.

use forge_journal::{Journal, Kind, Row, Run, StepStatus, WorkflowStatus};

/// The most characters of an error in the log. The run has all of them.
const MOST_ERROR: usize = 1_000;

/// Logs one line if the run has failed: the kind of the failure, its message and the step.
pub(super) fn ended(journal: &Journal) {
    let run = journal.run();
    let Some(failure) = run.failure.as_ref().filter(|_| run.has_failed()) else { return };
    let error: String = run.error().unwrap_or_default().chars().take(MOST_ERROR).collect();
    let how = match run.status {
        WorkflowStatus::Compensated => "the run has failed and was rolled back",
        _ => "the run has failed",
    };
    let step = failed_step(journal, run);
    tracing::warn!(
        run = %run.id, tenant = %run.tenant, workflow = %run.workflow, version = run.version, kind = %failure.kind,
        step = step.map(|step| &*step.name), "{how}: {error}"
    );
}

/// Returns the step whose failure is that of the run.
fn failed_step<'j>(journal: &'j Journal, run: &Run) -> Option<&'j Row> {
    let message = &run.failure.as_ref()?.message;
    let is_it = |row: &&Row| {
        let failed = row.kind == Kind::Step && row.status == StepStatus::Failed;
        failed && row.failure.as_ref().is_some_and(|failure| failure.message == *message)
    };
    journal.rows().iter().rev().find(is_it)
}
