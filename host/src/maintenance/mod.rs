//! Recurring jobs of a host.
//!
//! A job is a file with a `Task` and a line in `TASKS`. A task that must run on one node at a time says
//! `once_per_cluster`: it then runs on the node that leads ([`Nodes::is_leader`](forge_store::Nodes::is_leader)), and on
//! any node whose store is not shared. The lead can pass to another node while a task is running, so two runs of a task
//! can overlap: it must be idempotent, or write within its epoch.
//!
//! Two recurring jobs stay inside their store: SQLite's checkpoint, which the length of the write-ahead log triggers, and
//! the renewal of a node's lease, which has a PostgreSQL connection of its own.

mod database_files;
mod directory;
mod ended_keys;
mod ended_nodes;
mod retention;
mod runner;
mod storage;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use forge_journal::LogLine;
use forge_store::{Loaded, Store, StoreError};
use futures::future::BoxFuture;

pub(crate) use runner::Maintenance;
pub use runner::TaskReport;

use crate::config::Retention;
use crate::tenants::{TenantError, Tenants};

/// All recurring jobs.
const TASKS: &[Task] = &[
    usage::TASK,
    storage::TASK,
    directory::TASK,
    ended_keys::TASK,
    ended_nodes::TASK,
    database_files::TASK,
    retention::TASK,
];

/// A recurring job.
struct Task {
    /// The name that operators see.
    name: &'static str,
    /// The time from the end of one run to the begin of the next.
    interval: Duration,
    /// Whether only the leading node runs it.
    once_per_cluster: bool,
    /// Whether it runs a last time when the host stops.
    at_shutdown: bool,
    run: for<'a> fn(&'a Context) -> BoxFuture<'a, Result<(), StoreError>>,
}

/// What tasks work on.
struct Context {
    store: Arc<dyn Store>,
    tenants: Arc<Tenants>,
    /// How long the host keeps final runs.
    retention: Retention,
    /// What writes a run elsewhere before it is deleted.
    archive: Option<Archive>,
}

/// Writes a run with its journal and its lines to an archive. A run that is in the archive is replaced.
pub(crate) type Archive =
    Box<dyn Fn(Loaded, Vec<LogLine>) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

/// Returns the error of a read of the directory.
fn store_error(error: TenantError) -> StoreError {
    match error {
        TenantError::Store(error) => error,
        error => StoreError::Corrupt { table: "forge_directory", why: error.to_string() },
    }
}
