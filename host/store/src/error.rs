use std::path::PathBuf;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process uses the database.
    #[error(
        "the database {} is in use by another forge process{}: stop that process, or use another database",
        path.display(), owner(*.pid)
    )]
    InUse {
        /// The database file.
        path: PathBuf,
        /// The other process, if it is known.
        pid: Option<u32>,
    },
    /// The database was written by a newer version of Forge.
    #[error(
        "the database {database} was written by a newer version of Forge (schema version {found}; this version \
         knows up to {known}): use that version, or restore a backup from before the upgrade"
    )]
    TooNew {
        /// The database.
        database: String,
        /// The schema version found.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// The database cannot be opened.
    #[error("cannot open the database {database}: {why}")]
    CannotOpen {
        /// The database.
        database: String,
        /// Why.
        why: String,
    },
    /// The database does not take writes, or answer reads, now.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A row is not what it should be.
    #[error("corrupt row in {table}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong.
        why: String,
    },
    /// This node has lost its lease, and other nodes have its runs.
    #[error(
        "this node was taken for dead and has lost its runs to other nodes; it goes on with new ones: ask again"
    )]
    Fenced,
    /// The writer is closed, because the host stops.
    #[error("the host is shutting down")]
    Closed,
}

fn owner(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
