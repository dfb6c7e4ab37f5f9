//! Who waits for a run to come to rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::WorkflowRecord;
use crate::journal::RunId;

type Rested = Option<Arc<WorkflowRecord>>;

/// Runs that somebody waits for. Never iterated.
#[derive(Default)]
pub(super) struct Waiters(Mutex<HashMap<RunId, watch::Sender<Rested>>>);

impl Waiters {
    /// Waits for a run from now on.
    pub(super) fn wait_for(self: &Arc<Self>, run: RunId) -> Waiter {
        let rested = self.lock().entry(run).or_insert_with(|| watch::channel(None).0).subscribe();
        Waiter { waiters: Arc::clone(self), run, rested }
    }

    /// Whether anybody waits for this run.
    pub(super) fn has(&self, run: RunId) -> bool {
        self.lock().contains_key(&run)
    }

    /// A run is final or paused, and that is durable: tells those who wait. `record` is made only
    /// if there is anybody.
    pub(super) fn tell(&self, run: RunId, record: impl FnOnce() -> WorkflowRecord) {
        let waiting = self.lock().remove(&run);
        if let Some(waiting) = waiting {
            waiting.send_replace(Some(Arc::new(record())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<Rested>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a run.
pub(super) struct Waiter {
    waiters: Arc<Waiters>,
    run: RunId,
    rested: watch::Receiver<Rested>,
}

impl Waiter {
    /// The run when it has come to rest.
    pub(super) async fn rested(&mut self) -> Rested {
        self.rested.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock();
        // This one is still counted.
        if waiters.get(&self.run).is_some_and(|rested| rested.receiver_count() <= 1) {
            waiters.remove(&self.run);
        }
    }
}
