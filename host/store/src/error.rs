use std::path::PathBuf;

/// Why a store failed.
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
    /// A file of the database was deleted or replaced while the host runs. Nothing was written.
    #[error(
        "{} was {what} while the host runs, so nothing is read or written any more. What was committed before is in the files that \
         the process {pid} has open (/proc/{pid}/fd on Linux): save them before you stop it, then restore the database",
        path.display()
    )]
    FilesGone {
        /// The file.
        path: PathBuf,
        /// What happened to it, as a participle.
        what: &'static str,
        /// This process.
        pid: u32,
    },
    /// The write-ahead log of SQLite has reached its limit.
    #[error(
        "the write-ahead log has {bytes} bytes, and the most is {most}: no run is started. A transaction that another \
         program has open keeps it from being reused: end that transaction, or raise --wal-limit"
    )]
    LogTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// The database does not answer now. Nothing was written.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database did not say whether it has committed a write.
    #[error(
        "the outcome is unknown, because the answer of the database was lost: {0}. The request may have taken effect: send \
         it again, a start or an event with the same key"
    )]
    OutcomeUnknown(String),
    /// The database cannot store this data, now or later. Nothing was written.
    #[error("the database cannot store this: {0}")]
    Rejected(String),
    /// The database has a newer state of a run than this write. Nothing was written. The run must be loaded again.
    #[error(
        "the database has a newer state of the run than this host, so nothing was written: the run is loaded again; \
         send the request again"
    )]
    Outdated,
    /// A stored row has a value that this version cannot read.
    #[error("corrupt row in {table}: {why}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The epoch has ended: this node has lost its lease, and other nodes execute its runs. Nothing was written.
    #[error("this node has lost its lease, and other nodes execute its runs: send the request again")]
    Fenced,
    /// The store is closed, because the host stops.
    #[error("the host is shutting down")]
    Closed,
}

impl StoreError {
    /// Whether the same call fails again, whatever the state of the database.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Corrupt { .. })
    }

    /// Whether the database can commit the other writes of the batch.
    pub(crate) fn is_of_one_write(&self) -> bool {
        self.is_permanent() || matches!(self, Self::Outdated)
    }

    /// Returns the error of a later write of the same run, which was not made because of this error.
    pub(crate) fn of_later_write(&self) -> Self {
        match self {
            Self::OutcomeUnknown(why) => Self::Unavailable(why.clone()),
            error => error.clone(),
        }
    }

    /// Returns what is wrong with a column that cannot be read.
    pub(crate) fn of_column(self) -> String {
        match self {
            Self::Corrupt { why, .. } => why,
            error => error.to_string(),
        }
    }

    pub(crate) fn cannot_encode(table: &str, column: &str, error: &serde_json::Error) -> Self {
        Self::Rejected(format!("{table}, column {column}: {error}"))
    }
}

fn owner(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
