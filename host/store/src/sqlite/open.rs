use parking_lot::{Mutex, RwLock};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;

use super::connection::{self, Readers, WriteConnection};
use super::files::Files;
use super::{Shared, SqliteStore, log};
use crate::{LogLimits, StoreError};

/// The migrations, in order. SQLite's `user_version` counts those that were applied to a file.
pub(super) const MIGRATIONS: [&str; 19] = [
    include_str!("../../../../migrations/sqlite/0001_workflows.sql"),
    include_str!("../../../../migrations/sqlite/0002_tenants.sql"),
    include_str!("../../../../migrations/sqlite/0003_reads.sql"),
    include_str!("../../../../migrations/sqlite/0004_in_doubt.sql"),
    include_str!("../../../../migrations/sqlite/0005_operators.sql"),
    include_str!("../../../../migrations/sqlite/0006_settled.sql"),
    include_str!("../../../../migrations/sqlite/0007_reach.sql"),
    include_str!("../../../../migrations/sqlite/0008_directory_changes.sql"),
    include_str!("../../../../migrations/sqlite/0009_totals.sql"),
    include_str!("../../../../migrations/sqlite/0010_compile_time.sql"),
    include_str!("../../../../migrations/sqlite/0011_runs_by_key.sql"),
    include_str!("../../../../migrations/sqlite/0012_inbox.sql"),
    include_str!("../../../../migrations/sqlite/0013_db.sql"),
    include_str!("../../../../migrations/sqlite/0014_unfinished_runs.sql"),
    include_str!("../../../../migrations/sqlite/0015_logs.sql"),
    include_str!("../../../../migrations/sqlite/0016_tags.sql"),
    include_str!("../../../../migrations/sqlite/0017_signing_secret.sql"),
    include_str!("../../../../migrations/sqlite/0018_input_schemas.sql"),
    include_str!("../../../../migrations/sqlite/0019_runs_by_id.sql"),
];

impl SqliteStore {
    /// Opens the database file, creates it if it does not exist, and applies pending migrations.
    ///
    /// # Errors
    /// [`StoreError`] if another process uses the file, a newer version has written it, or it cannot be opened.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, LogLimits::default()).await
    }

    /// The same as [`SqliteStore::open`], with limits of the write-ahead log.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_with(path: &Path, log: LogLimits) -> Result<Self, StoreError> {
        Self::open_and_migrate(path, log).await.map(|(store, _)| store)
    }

    /// The same as [`SqliteStore::open`]; also returns the migrations that were applied.
    pub(crate) async fn open_and_migrate(
        path: &Path,
        log: LogLimits,
    ) -> Result<(Self, Vec<i32>), StoreError> {
        let path = path.to_owned();
        match tokio::task::spawn_blocking(move || open(&path, log)).await {
            Ok(opened) => opened.map(|(shared, migrated)| (Self { shared: Arc::new(shared) }, migrated)),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

fn open(path: &Path, log_limits: LogLimits) -> Result<(Shared, Vec<i32>), StoreError> {
    // All names of a file lead to the same lock.
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = canonical.as_path();
    let mut files = Files::lock(path)?;
    let database = format!("sqlite:{}", path.display());
    let cannot_open = |error| match error {
        StoreError::Unavailable(why) => StoreError::CannotOpen { database: database.clone(), why },
        error => error,
    };
    let mut writer = WriteConnection::open(path).map_err(cannot_open)?;
    let migrated = writer.transaction(|connection| migrate(connection, &database));
    let migrated = migrated.map_err(cannot_open)?;
    if let Err(error) = log::reserve(path) {
        tracing::warn!(%error, "the write-ahead log could not be preallocated: commits are slower");
    }
    let anchor = connection::anchor(path).map_err(|error| cannot_open(error.into()))?;
    files.watch(path);
    let shared = Shared {
        anchor: Mutex::new(Some(anchor)),
        path: path.to_owned(),
        writer: Mutex::new(writer),
        is_slow: AtomicBool::new(false),
        readers: Readers::new(path),
        trouble: RwLock::default(),
        log: Mutex::default(),
        log_limits,
        files: Mutex::new(Some(files)),
    };
    Ok((shared, migrated))
}

fn migrate(connection: &Connection, database: &str) -> Result<Vec<i32>, StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::TooNew { database: database.to_owned(), found, known });
    }
    let mut applied = Vec::new();
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if i64::from(version) > found {
            connection.execute_batch(migration)?;
            connection.pragma_update(None, "user_version", version)?;
            applied.push(version);
        }
    }
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use super::super::plan::migrated;

    #[test]
    fn a_document_that_sqlite_does_not_take_does_not_make_the_views_unreadable() {
        let connection = migrated();
        connection
            .execute_batch(
                "INSERT INTO forge_runs (number, id, workflow_name, version, digest, input, status, started_at, deadline, auth) \
                 VALUES (1, 'a', 'w', 1, 'd', '{}', 'running', 1, 2, '{}')",
            )
            .unwrap();
        let deep = format!("{}{}", "[".repeat(3_000), "]".repeat(3_000));
        let results = [Some("{\"a\":[1]}"), Some(&*deep), Some("{no"), None];
        for (seq, result) in (1..).zip(results) {
            let row = "INSERT INTO forge_steps (key, kind, name, status, result, started_at, scope_step, scope_attempt, \
                 fingerprint, attempt) VALUES (?1, 'step', 's' || ?2, 'completed', ?3, 1, 0, 0, 1, 1)";
            connection.execute(row, rusqlite::params![(1 << 24) + seq, seq, result]).unwrap();
        }
        let one = |sql: &str| connection.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(
            one("SELECT step_results FROM forge_workflow_runs"),
            format!(r#"{{"s1":{{"a":[1]}},"s2":"{deep}","s3":"{{no","s4":null}}"#)
        );
        assert_eq!(one("SELECT group_concat(step_name) FROM forge_workflow_steps"), "s1,s2,s3,s4");
    }
}
