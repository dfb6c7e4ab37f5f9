//! Waiting for what can be observed.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails: far longer than it does on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often we look.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; panics with `what` if it never does.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    eventually_some(what, async || condition().await.then_some(())).await;
}

/// Waits until `look` finds something; panics with `what` if it never does.
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
