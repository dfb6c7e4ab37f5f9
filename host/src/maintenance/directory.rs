//! Reads what other nodes have changed of tenants, API keys and secrets, because their notifications can be lost. What is
//! under way must learn of it, and not only what begins.

use std::time::Duration;

use super::Task;

/// Another node's change is noticed after this time at the latest: less than the five seconds that operators are promised.
const INTERVAL: Duration = Duration::from_secs(3);

pub(super) const TASK: Task = Task {
    name: "directory",
    interval: INTERVAL,
    once_per_cluster: false,
    at_shutdown: false,
    run: |context| {
        Box::pin(async {
            match context.store.nodes() {
                Some(_) => context.tenants.refresh().await.map_err(super::store_error),
                None => Ok(()),
            }
        })
    },
};
