//! Looks at the files of the database: whether they are there, and whether the log of SQLite can be cut.

use std::time::Duration;

use super::Task;

pub(super) const TASK: Task = Task {
    name: "database_files",
    // What is committed to a deleted file is lost: it is noticed within seconds.
    interval: Duration::from_secs(2),
    once_per_cluster: false,
    at_shutdown: false,
    run: |context| Box::pin(context.store.inspect()),
};
