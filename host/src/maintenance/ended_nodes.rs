//! Deletes what ended nodes have left in a shared store.

use std::time::Duration;

use super::Task;

pub(super) const TASK: Task = Task {
    name: "ended_nodes",
    interval: Duration::from_secs(60),
    once_per_cluster: true,
    at_shutdown: false,
    run: |context| {
        Box::pin(async {
            match context.store.nodes() {
                Some(nodes) => nodes.sweep().await,
                None => Ok(()),
            }
        })
    },
};
