use parking_lot::{Condvar, Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OpenFlags};

use super::checkpoint::{self, Checkpointer};
use super::log;
use super::reading::Reading;
use crate::StoreError;
use crate::schema::{Access, Column};

/// Connections for reading: half for callers, and half for the host.
pub(super) const READERS: usize = 8;

/// How long a statement waits for a lock of another process, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// The same when the database is closed: the host stops within seconds.
const CLOSING: Duration = Duration::from_millis(500);

/// Prepared statements that a connection keeps. There are fewer.
const STATEMENTS: usize = 128;

/// Page cache of the writing connection, in kibibytes.
const CACHE_KIB: u32 = 64 << 10;

/// The connection that writes, one transaction at a time.
///
/// After an error it is closed, and the next transaction opens another one: a failed write can leave SQLite inside or
/// outside a transaction, or with a log to recover, and only a new connection is in a known state.
pub(super) struct WriteConnection {
    path: PathBuf,
    connection: Option<Connection>,
    /// `None` after [`WriteConnection::close`].
    checkpointer: Option<Checkpointer>,
}

impl WriteConnection {
    /// Opens the file, and creates it if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect(path, OpenFlags::default())?;
        let checkpointer =
            Checkpointer::start(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { path: path.to_owned(), connection: Some(connection), checkpointer: Some(checkpointer) })
    }

    /// Runs `work` in a transaction, and commits if it succeeds.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let checkpointer = self.checkpointer.as_ref().ok_or(StoreError::Closed)?;
        // Taken, so that it is dropped after an error.
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?,
        };
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let done = work(&connection)?;
        connection.prepare_cached("COMMIT")?.execute(()).map_err(of_commit)?;
        checkpointer.committed(&connection);
        self.connection = Some(connection);
        Ok(done)
    }

    /// Cuts the log to the length at which it is reused, unless a reader needs it. It does not wait.
    pub(super) fn truncate_log(&mut self) {
        let Some(connection) = &self.connection else { return };
        let truncate = || {
            connection.busy_timeout(Duration::ZERO)?;
            let truncated = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0));
            connection.busy_timeout(BUSY)?;
            truncated
        };
        match truncate() {
            Ok(0) => {
                if let Err(error) = log::reserve(&self.path) {
                    tracing::warn!(%error, "the write-ahead log could not be preallocated: commits are slower");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the write-ahead log was not cut"),
        }
    }

    /// Checkpoints the write-ahead log, so that one file is left, and closes the connection.
    pub(super) fn close(&mut self) {
        self.checkpointer = None;
        let Some(connection) = self.connection.take() else { return };
        // The log stays if a reader of another program needs it.
        let _ = connection.busy_timeout(CLOSING);
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log was not checkpointed when the database was closed; no data is lost");
        }
    }
}

/// Returns the error of a commit. If everything was written and only the sync failed, the transaction may be found after a
/// crash.
fn of_commit(error: rusqlite::Error) -> StoreError {
    let is_sync = |code: &rusqlite::ffi::Error| code.extended_code == rusqlite::ffi::SQLITE_IOERR_FSYNC;
    match error.sqlite_error() {
        Some(code) if is_sync(code) => StoreError::OutcomeUnknown(error.to_string()),
        _ => error.into(),
    }
}

/// Returns a connection that keeps SQLite from deleting the log, and holds no transaction.
pub(super) fn anchor(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // It opens the log when it first reads.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    Ok(connection)
}

/// Connects. Without `SQLITE_OPEN_CREATE`, a file that was deleted is not created again.
fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A longer log is cut when it begins anew.
    connection.pragma_update(None, "journal_size_limit", log::LENGTH.cast_signed())?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    checkpoint::watch(&connection);
    Ok(connection)
}

/// A cached statement that is fetched from the cache when it is first used: most commits need only some of them.
pub(super) struct Prepared<'c> {
    connection: &'c Connection,
    sql: &'c str,
    statement: Option<CachedStatement<'c>>,
}

impl<'c> Prepared<'c> {
    pub(super) fn new(connection: &'c Connection, sql: &'c str) -> Self {
        Self { connection, sql, statement: None }
    }

    pub(super) fn get(&mut self) -> Result<&mut CachedStatement<'c>, rusqlite::Error> {
        let statement = match self.statement.take() {
            Some(statement) => statement,
            None => self.connection.prepare_cached(self.sql)?,
        };
        Ok(self.statement.insert(statement))
    }
}

/// Binds the columns of `item` to the parameters from `first` on.
pub(super) fn bind<T>(
    statement: &mut CachedStatement<'_>,
    first: usize,
    table: &'static str,
    columns: &[Column<T>],
    item: &T,
) -> Result<(), StoreError> {
    for (parameter, Column { name, access, .. }) in (first..).zip(columns) {
        let rejected = |error| StoreError::cannot_encode(table, name, &error);
        match access {
            Access::Text { get, .. } => {
                statement.raw_bind_parameter(parameter, get(item).map_err(rejected)?.as_deref())?;
            }
            Access::Integer { get, .. } => {
                statement.raw_bind_parameter(parameter, get(item).map_err(rejected)?)?;
            }
            Access::Flag { get, .. } => {
                statement.raw_bind_parameter(parameter, get(item).map_err(rejected)?)?;
            }
        }
    }
    Ok(())
}

/// The pool of read-only connections, opened on demand.
pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    used: usize,
    closed: bool,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), pool: Mutex::default(), returned: Condvar::new() }
    }

    /// Runs `read` on a snapshot of the database. Waits until a connection is free.
    pub(super) fn read<T>(
        &self,
        reading: &Reading,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut pool = self.pool();
        while pool.used >= READERS {
            self.returned.wait(&mut pool);
        }
        self.borrow(pool)?.read(reading, read)
    }

    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        pool.idle.clear();
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock()
    }

    fn borrow(&self, mut pool: MutexGuard<'_, Pool>) -> Result<Borrowed<'_>, StoreError> {
        if pool.closed {
            return Err(StoreError::Closed);
        }
        let connection = match pool.idle.pop() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        pool.used += 1;
        Ok(Borrowed { readers: self, connection: Some(connection) })
    }

    fn connect(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }
}

/// A connection that returns to its pool when dropped.
struct Borrowed<'r> {
    readers: &'r Readers,
    /// `None` after an error.
    connection: Option<Connection>,
}

impl Borrowed<'_> {
    fn read<T>(
        mut self,
        reading: &Reading,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Taken, so that it is dropped after an error.
        let connection = self.connection.take().ok_or(StoreError::Closed)?;
        let done = reading.run(&connection, |connection| snapshot(connection, read))?;
        self.connection = Some(connection);
        Ok(done)
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.used -= 1;
        if !pool.closed {
            pool.idle.extend(self.connection.take());
        }
        self.readers.returned.notify_one();
    }
}

/// Runs `read` in one read transaction, so that all its statements see the same snapshot.
fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.prepare_cached("BEGIN")?.execute(())?;
    let done = read(connection);
    connection.prepare_cached("COMMIT")?.execute(())?;
    done
}
