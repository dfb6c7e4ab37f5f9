use parking_lot::{Condvar, Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OpenFlags};

use super::checkpoint::{self, Checkpointer};
use crate::StoreError;

/// Connections for reading: more than the two or so that a small machine can use at once.
const READERS: usize = 4;

/// How long a statement waits for another process that looks at the file, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// Statements that a connection keeps prepared: all that there are.
const STATEMENTS: usize = 64;

/// Kibibytes of pages that the writing connection keeps in memory.
const CACHE_KIB: u32 = 64 << 10;

/// The connection that writes, one transaction at a time.
///
/// After an error it is closed and made anew: a failed write can leave SQLite in a transaction, out
/// of one, or with a log that it must recover, and a fresh connection knows which.
pub(super) struct WriteConnection {
    path: PathBuf,
    connection: Option<Connection>,
    /// `None`: the database is no longer this process's.
    checkpointer: Option<Checkpointer>,
}

impl WriteConnection {
    /// Opens the file, and creates it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect(path)?;
        let checkpointer =
            Checkpointer::start(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { path: path.to_owned(), connection: Some(connection), checkpointer: Some(checkpointer) })
    }

    /// Does `work` in a transaction, and commits if it succeeds.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let checkpointer = self.checkpointer.as_ref().ok_or(StoreError::Closed)?;
        // Out of its place while it is used: after an error it is gone.
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let done = work(&connection)?;
        connection.prepare_cached("COMMIT")?.execute(())?;
        checkpointer.committed(&connection);
        self.connection = Some(connection);
        Ok(done)
    }

    /// Merges the write-ahead log into the database, so that one file is left, and closes.
    pub(super) fn close(&mut self) {
        self.checkpointer = None;
        let Some(connection) = self.connection.take() else { return };
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log stays beside the database; nothing is lost");
        }
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    checkpoint::watch(&connection);
    Ok(connection)
}

/// A statement that is looked for when it is needed: most commits need few of those that there are.
pub(super) struct Prepared<'c> {
    connection: &'c Connection,
    sql: &'static str,
    found: Option<CachedStatement<'c>>,
}

impl<'c> Prepared<'c> {
    pub(super) fn new(connection: &'c Connection, sql: &'static str) -> Self {
        Self { connection, sql, found: None }
    }

    pub(super) fn get(&mut self) -> Result<&mut CachedStatement<'c>, rusqlite::Error> {
        let statement = match self.found.take() {
            Some(statement) => statement,
            None => self.connection.prepare_cached(self.sql)?,
        };
        Ok(self.found.insert(statement))
    }
}

/// The connections that read: made when they are needed, and kept.
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

    /// Reads what is committed at this moment. Waits until a connection is free.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut pool = self.pool();
        while pool.used >= READERS {
            self.returned.wait(&mut pool);
        }
        self.borrow(pool)?.read(read)
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

/// A connection that goes back to its pool.
struct Borrowed<'r> {
    readers: &'r Readers,
    /// `None`: it is of no use any more.
    connection: Option<Connection>,
}

impl Borrowed<'_> {
    fn read<T>(mut self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // Out of its place while it is used: after an error it is made anew.
        let connection = self.connection.take().ok_or(StoreError::Closed)?;
        let done = snapshot(&connection, read)?;
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

/// All that `read` sees is of one moment.
fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.prepare_cached("BEGIN")?.execute(())?;
    let done = read(connection);
    connection.prepare_cached("COMMIT")?.execute(())?;
    done
}
