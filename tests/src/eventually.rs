//! Waiting for conditions.

use std::time::{Duration, Instant};

/// The time after which a wait fails the test: far longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The interval between two checks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` is true. Panics with `what` after [`PATIENCE`].
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    eventually_some(what, async || condition().await.then_some(())).await;
}

/// Waits until `look` returns a value. Panics with `what` after [`PATIENCE`].
pub async fn eventually_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
