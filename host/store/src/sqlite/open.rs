use parking_lot::Mutex;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;

use super::connection::{Readers, WriteConnection};
use super::{Shared, SqliteStore, log};
use crate::StoreError;

/// The migrations, in order. SQLite's `user_version` counts those that were applied to a file.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../../../migrations/sqlite/0001_workflows.sql"),
    include_str!("../../../../migrations/sqlite/0002_tenants.sql"),
    include_str!("../../../../migrations/sqlite/0003_in_doubt.sql"),
    include_str!("../../../../migrations/sqlite/0004_operators.sql"),
];

impl SqliteStore {
    /// Opens the database file, creates it if it does not exist, and applies pending migrations.
    ///
    /// # Errors
    /// [`StoreError`] if another process uses the file, a newer version has written it, or it cannot be opened.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_and_migrate(path).await.map(|(store, _)| store)
    }

    /// The same as [`SqliteStore::open`]; also returns the migrations that were applied.
    pub(crate) async fn open_and_migrate(path: &Path) -> Result<(Self, Vec<i32>), StoreError> {
        let path = path.to_owned();
        match tokio::task::spawn_blocking(move || open(&path)).await {
            Ok(opened) => opened.map(|(shared, migrated)| (Self { shared: Arc::new(shared) }, migrated)),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }
}

fn open(path: &Path) -> Result<(Shared, Vec<i32>), StoreError> {
    // All names of a file lead to the same lock.
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = canonical.as_path();
    let lock = lock(path)?;
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
    let shared = Shared {
        writer: Mutex::new(writer),
        is_slow: AtomicBool::new(false),
        readers: Readers::new(path),
        lock: Mutex::new(Some(lock)),
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

/// Locks the database for this process. SQLite's own locks would let two hosts write in turns, although each relies on
/// what it has in memory.
fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = PathBuf::from(format!("{}.lock", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let cannot_open = |error: std::io::Error| StoreError::CannotOpen {
        database: format!("sqlite:{}", path.display()),
        why: match folder {
            Some(folder) if !folder.is_dir() => format!("there is no folder {}: create it", folder.display()),
            _ => format!("{}: {error}", lock_path.display()),
        },
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(cannot_open)?;
    match file.try_lock() {
        Ok(()) => {
            // The process id is for error messages only.
            let _ = file.set_len(0).and_then(|()| file.rewind());
            let _ = write!(file, "{}", std::process::id());
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            Err(StoreError::InUse { path: path.to_owned(), pid: pid.trim().parse().ok() })
        }
        Err(TryLockError::Error(error)) => Err(cannot_open(error)),
    }
}
