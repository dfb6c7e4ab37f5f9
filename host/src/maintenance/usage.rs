//! Writes what tenants used, and reads what they have stored. A host that is killed loses at most one interval of the usage.

use std::time::Duration;

use super::Task;

pub(super) const TASK: Task = Task {
    name: "usage",
    interval: Duration::from_secs(5),
    once_per_cluster: false,
    at_shutdown: true,
    run: |context| {
        Box::pin(async {
            context.tenants.write_usage().await?;
            context.tenants.read_stored_if_busy().await
        })
    },
};
