//! The threads on which answers are decoded and searched for secrets.

use std::num::NonZero;
use std::sync::Arc;

use forge_scheduling::TurnPermits;
use tokio::task::JoinError;

/// The minimum number of threads: with one, tenants could not take turns.
const LEAST_THREADS: usize = 2;

/// The threads of a host that decode and search answers: as many as it has CPUs. A tenant may occupy half of them, and
/// tenants that wait take turns. Clones share them.
#[derive(Clone)]
pub struct Workers(Arc<TurnPermits<Arc<str>>>);

impl Default for Workers {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(LEAST_THREADS, NonZero::get);
        Self(TurnPermits::new(cpus.max(LEAST_THREADS)))
    }
}

impl Workers {
    /// Calls a function for a tenant on one of the threads.
    ///
    /// # Errors
    /// The host stops.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        tenant: &Arc<str>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permit = self.0.acquire(tenant).await;
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            // A request that is given up keeps its permit until here.
            drop(permit);
            done
        });
        working.await
    }
}
