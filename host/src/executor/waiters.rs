//! Callers that wait for a run to come to rest: to be final or paused.

use std::collections::HashMap;
use std::sync::Arc;

use forge_journal::RunId;
use forge_store::{Batch, Subscriber};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::WorkflowRecord;
use super::record::record;

/// A run that is at rest. `None` inside: its record must be read.
type AtRest = Option<Option<Arc<WorkflowRecord>>>;

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
        for change in &batch.changes {
            let Some(run) = change.run().filter(|run| run.is_at_rest()) else { continue };
            let Some(waiting) = self.runs.lock().remove(&run.id) else { continue };
            // The rows are all there are if nothing of the run was written before.
            let whole = change.changes().filter(|changes| changes.new_run);
            waiting.send_replace(Some(whole.map(|changes| Arc::new(record(run, &changes.rows)))));
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
    /// Completes when the run is at rest, with its record if that is known already.
    pub(super) async fn at_rest(&mut self) -> Option<Arc<WorkflowRecord>> {
        match self.at_rest.wait_for(Option::is_some).await {
            Ok(at_rest) => at_rest.clone().flatten(),
            Err(_) => None,
        }
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
