//! Removes API keys that were revoked or expired a while ago.

use std::time::Duration;

use super::Task;

/// Few enough keys can be made in this time that they need no other limit: a tenant's changes have a rate.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) const TASK: Task = Task {
    name: "ended_keys",
    interval: INTERVAL,
    once_per_cluster: true,
    at_shutdown: false,
    run: |context| Box::pin(async { context.tenants.purge_keys().await.map_err(super::store_error) }),
};
