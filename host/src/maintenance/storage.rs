//! Reads what the runs of each tenant take in the store. Between two reads, a node counts what it commits itself. A node that
//! commits nothing reads only while a tenant is full, because another node may have made room.

use std::time::Duration;

use super::Task;

pub(super) const TASK: Task = Task {
    name: "storage",
    interval: Duration::from_secs(5),
    once_per_cluster: false,
    at_shutdown: false,
    run: |context| Box::pin(context.tenants.read_stored_if_busy()),
};
