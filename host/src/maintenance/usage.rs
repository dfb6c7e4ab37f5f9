//! Writes what tenants used. A host that is killed loses at most one interval of the usage.

use std::time::Duration;

use super::Task;

pub(super) const TASK: Task = Task {
    name: "usage",
    interval: Duration::from_secs(5),
    once_per_cluster: false,
    at_shutdown: true,
    run: |context| Box::pin(context.tenants.write_usage()),
};
