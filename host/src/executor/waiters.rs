//! Who waits for a run to come to rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::WorkflowRecord;
use crate::journal::RunId;

/// Runs that somebody waits for, with all who do. Never iterated.
#[derive(Default)]
pub(super) struct Waiters(Mutex<HashMap<RunId, Vec<oneshot::Sender<WorkflowRecord>>>>);

impl Waiters {
    /// Waits for a run from now on.
    pub(super) fn wait_for(self: &Arc<Self>, run: RunId) -> Waiter {
        let (sender, rested) = oneshot::channel();
        self.lock().entry(run).or_default().push(sender);
        Waiter { waiters: Arc::clone(self), run, rested }
    }

    /// Whether anybody waits for this run.
    pub(super) fn has(&self, run: RunId) -> bool {
        self.lock().contains_key(&run)
    }

    /// A run is final or paused, and that is durable: tells those who wait. `record` is made only
    /// if there is anybody.
    pub(super) fn tell(&self, run: RunId, record: impl FnOnce() -> WorkflowRecord) {
        let mut waiting = self.lock().remove(&run).unwrap_or_default();
        let Some(last) = waiting.pop() else { return };
        let record = record();
        // Who no longer waits needs no answer.
        for waiter in waiting {
            let _ = waiter.send(record.clone());
        }
        let _ = last.send(record);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Vec<oneshot::Sender<WorkflowRecord>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a run.
pub(super) struct Waiter {
    waiters: Arc<Waiters>,
    run: RunId,
    rested: oneshot::Receiver<WorkflowRecord>,
}

impl Waiter {
    /// The run when it has come to rest, once.
    pub(super) async fn rested(&mut self) -> Option<WorkflowRecord> {
        (&mut self.rested).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.rested.close();
        let mut waiters = self.waiters.lock();
        if let Some(waiting) = waiters.get_mut(&self.run) {
            waiting.retain(|waiter| !waiter.is_closed());
            if waiting.is_empty() {
                waiters.remove(&self.run);
            }
        }
    }
}
