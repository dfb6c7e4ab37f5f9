use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Mutex;

use super::SqliteStore;
use super::connection::WriteConnection;
use crate::store::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Connections for reading: more than the two or so that a small machine can use at once.
const READERS: u32 = 4;

impl SqliteStore {
    /// Opens the database file, creates it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`] if another process uses it, it is from a newer version, or cannot be opened.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // By whatever name it is opened, it is one database with one lock.
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let path = canonical.as_path();
        let lock = lock(path)?;
        let database = format!("sqlite:{}", path.display());
        let cannot_open = |why: String| StoreError::CannotOpen { database: database.clone(), why };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let mut writer =
            SqliteConnection::connect_with(&options).await.map_err(|error| cannot_open(describe(&error)))?;
        migrate(&mut writer, &database).await?;
        let read_only = options.clone().read_only(true);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(read_only)
            .await
            .map_err(|error| cannot_open(describe(&error)))?;
        Ok(Self { writer: Mutex::new(WriteConnection::new(options, writer)), readers, _lock: lock })
    }
}

async fn migrate(connection: &mut SqliteConnection, database: &str) -> Result<(), StoreError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    match MIGRATIONS.run(connection).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => {
            Err(StoreError::TooNew { database: database.to_owned(), found, known })
        }
        Err(error) => Err(StoreError::CannotOpen { database: database.to_owned(), why: error.to_string() }),
    }
}

/// SQLite's own locks would let two hosts take turns, each with a picture of its own in memory.
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
            // Who holds the lock is a help for people, not part of the lock.
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

fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        error => error.to_string(),
    }
}
