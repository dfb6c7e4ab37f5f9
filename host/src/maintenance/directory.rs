//! Reads what other nodes have changed of tenants, API keys and secrets, because their notifications can be lost. What is
//! under way must learn of it, and not only what begins.

use std::time::Duration;

use super::Task;

pub(super) const TASK: Task = Task {
    name: "directory",
    // Most of the time, the renewal of the node's lease has told that there is nothing to read.
    interval: Duration::from_secs(1),
    once_per_cluster: false,
    at_shutdown: false,
    run: |context| Box::pin(async { context.tenants.follow().await.map_err(super::store_error) }),
};
