use std::any::Any;

use parking_lot::Mutex;
use tokio::sync::SetOnce;

use super::StoreError;

/// A guard that is dropped when a start is durable or lost.
pub(super) type Guard = Box<dyn Any + Send>;

/// The outcome of the writes of one [`RunWriter`](super::RunWriter).
#[derive(Default)]
pub(super) struct WriteOutcome {
    /// Set when the first one is durable.
    pub(super) begun: SetOnce<()>,
    /// Set when one was lost.
    pub(super) lost: SetOnce<StoreError>,
    /// Dropped when the first one is durable or lost.
    pub(super) admission: Mutex<Option<Guard>>,
}

impl WriteOutcome {
    /// Records the outcome of each write, in their order. The first one decides about the start; a later one matters
    /// only if it is lost, and then it is the last.
    pub(super) fn record(&self, written: Result<(), &StoreError>) {
        match written {
            Ok(()) if self.begun.initialized() => return,
            Ok(()) => drop(self.begun.set(())),
            Err(error) => drop(self.lost.set(error.clone())),
        }
        drop(self.admission.lock().take());
    }
}
