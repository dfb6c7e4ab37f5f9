//! Callers that wait for a run to come to rest: to be final or paused.

use std::collections::HashMap;
use std::sync::Arc;

use forge_journal::RunId;
use forge_store::{Batch, RecentSteps, Subscriber};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::WorkflowRecord;
use super::record::record;

/// The batch that brought a run to rest, and the place of the run's change in it.
type AtRest = Option<(Arc<Batch>, usize)>;

/// The runs that a caller waits for. A subscriber of the change feed.
#[derive(Default)]
pub(super) struct Waiters {
    /// Never iterated.
    runs: Mutex<HashMap<RunId, watch::Sender<AtRest>>>,
}

impl Waiters {
    /// Waits for a run from now on.
    pub(super) fn wait_for(self: &Arc<Self>, run: RunId) -> Waiter {
        let at_rest = self.runs.lock().entry(run).or_insert_with(|| watch::channel(None).0).subscribe();
        Waiter { waiters: Arc::clone(self), run, at_rest }
    }

    /// Whether a caller waits for this run.
    pub(super) fn has(&self, run: RunId) -> bool {
        self.runs.lock().contains_key(&run)
    }
}

impl Subscriber for Waiters {
    fn committed(&self, batch: &Arc<Batch>) {
        for (index, change) in batch.changes.iter().enumerate() {
            let Some(run) = change.run().filter(|run| run.is_at_rest()) else { continue };
            let waiting = self.runs.lock().remove(&run.id);
            if let Some(waiting) = waiting {
                waiting.send_replace(Some((Arc::clone(batch), index)));
            }
        }
    }
}

/// A caller that waits for a run.
pub(super) struct Waiter {
    waiters: Arc<Waiters>,
    run: RunId,
    at_rest: watch::Receiver<AtRest>,
}

impl Waiter {
    /// Completes when the run is at rest. Returns its record, unless the record must be read. It is made here and not by the
    /// subscriber, for which the next batch waits.
    pub(super) async fn at_rest(&mut self) -> Option<WorkflowRecord> {
        let (batch, index) = self.at_rest.wait_for(Option::is_some).await.ok()?.clone()?;
        let change = batch.changes.get(index)?;
        // The rows are all there are if nothing of the run was written before.
        let changes = change.changes().filter(|changes| changes.new_run)?;
        Some(record(change.run()?, &RecentSteps::of(&changes.rows)))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut runs = self.waiters.runs.lock();
        // This one is still counted.
        if runs.get(&self.run).is_some_and(|at_rest| at_rest.receiver_count() <= 1) {
            runs.remove(&self.run);
        }
    }
}
