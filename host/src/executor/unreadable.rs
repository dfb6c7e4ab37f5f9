//! Runs whose own row cannot be read: it was changed by hand, or a newer version has written it. The host leaves such a run as
//! it is until a person ends it.

use forge_journal::{Journal, Pause, PauseReason, Run, WorkflowStatus};
use forge_store::{Readable, StepFilter, Store, StoreError};

/// All calls of a run.
const ALL_STEPS: StepFilter = StepFilter { after: 0, limit: u32::MAX, bytes: u64::MAX, payloads: true };

/// Returns a run of which some columns cannot be read. Unless it is final, it is shown as paused.
pub(super) fn run(found: Readable) -> Run {
    let Readable { mut run, problems } = found;
    if problems.is_empty() || run.status.is_final() {
        return run;
    }
    let message = format!(
        "the row of the run cannot be read ({}): restore the database, or end the run with `forge runs terminate {}`",
        problems.join("; "),
        run.id
    );
    run.pause = Some(Pause {
        from: WorkflowStatus::Running,
        ..Pause::of(&run, PauseReason::CorruptJournal, message)
    });
    run.status = WorkflowStatus::Paused;
    run
}

/// Returns a run of which some columns cannot be read, with its journal if that can be read.
pub(super) async fn journal(store: &dyn Store, found: Readable) -> Result<Journal, StoreError> {
    let run = run(found);
    let rows = match store.steps(run.id, ALL_STEPS).await {
        Ok(page) => page.map(|page| page.rows).unwrap_or_default(),
        Err(StoreError::Corrupt { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Journal::load(run.clone(), rows).unwrap_or_else(|_| Journal::new(run)))
}
