//! Checkpoints of the write-ahead log. A checkpoint takes milliseconds, for which all runs would wait if the writing
//! connection did it: a thread copies most pages during commits, then the writing connection copies the few that were
//! added meanwhile, so that the log restarts.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

use super::log::CHECKPOINT_PAGES;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Pages that are added to a log that could not be reused, before the next checkpoint. A reader of another program may keep
/// pages in it for long, and each attempt costs time.
const RETRY_PAGES: u32 = CHECKPOINT_PAGES / 4;

/// Replaces SQLite's automatic checkpoints by a hook that keeps the length of the log after each commit.
pub(super) fn watch(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(u32::try_from(pages).unwrap_or_default());
        Ok(())
    }));
}

/// The state of the next checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The log is short.
    Idle,
    /// The thread is to copy pages, or does.
    Requested,
    /// The thread has copied pages.
    Copied,
    /// The database is closed.
    Closed,
}

/// The checkpoint thread of one database.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    /// The pages in the log at which it is checkpointed.
    next: AtomicU32,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(database: &Path) -> io::Result<Self> {
        let shared = Arc::new(Shared { phase: Mutex::new(Phase::Idle), changed: Condvar::new() });
        let (database, theirs) = (database.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("forge-checkpoint".to_owned())
            .spawn(move || copy_on_request(database, &theirs))?;
        Ok(Self { shared, next: AtomicU32::new(CHECKPOINT_PAGES), thread: Some(thread) })
    }

    /// Called after each commit of the writing connection.
    pub(super) fn committed(&self, connection: &Connection) {
        let mut phase = self.shared.phase();
        if PAGES.get() < CHECKPOINT_PAGES {
            // The log began anew.
            self.next.store(CHECKPOINT_PAGES, Ordering::Relaxed);
        }
        match *phase {
            Phase::Idle if PAGES.get() >= self.next.load(Ordering::Relaxed) => {
                *phase = Phase::Requested;
                self.shared.changed.notify_one();
            }
            Phase::Copied => {
                *phase = Phase::Idle;
                drop(phase);
                checkpoint(connection);
                self.next.store(PAGES.get().saturating_add(RETRY_PAGES), Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        *self.shared.phase() = Phase::Closed;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread does not panic.
            let _ = thread.join();
        }
    }
}

struct Shared {
    phase: Mutex<Phase>,
    changed: Condvar,
}

impl Shared {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock()
    }

    /// Waits for a request. Returns false when the database is closed.
    fn wait_for_request(&self) -> bool {
        let is_idle = |phase: &mut Phase| matches!(phase, Phase::Idle | Phase::Copied);
        let mut phase = self.phase();
        self.changed.wait_while(&mut phase, is_idle);
        *phase == Phase::Requested
    }

    fn copied(&self) {
        let mut phase = self.phase();
        if *phase == Phase::Requested {
            *phase = Phase::Copied;
        }
    }
}

fn copy_on_request(database: PathBuf, shared: &Shared) {
    let mut connection = None;
    while shared.wait_for_request() {
        if connection.is_none() {
            // Without a connection here, the writing connection copies all pages.
            connection = connect(&database)
                .inspect_err(|error| tracing::warn!(%error, "the checkpoint thread cannot open the database: commits wait for checkpoints"))
                .ok();
        }
        if !connection.as_ref().is_some_and(checkpoint) {
            connection = None;
        }
        shared.copied();
    }
}

fn connect(database: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Copies pages of the log into the database, except those whose old version a reader needs. Returns whether it worked.
fn checkpoint(connection: &Connection) -> bool {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
    if let Err(error) = &done {
        // The log is durable, and the next checkpoint includes its pages.
        tracing::warn!(%error, "the write-ahead log could not be checkpointed; no data is lost");
    }
    done.is_ok()
}

/// Copies the whole log into the database. Returns whether nothing is left, which a reader may need.
pub(super) fn copy_all(database: &Path) -> bool {
    let copied = connect(database).and_then(|connection| {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
            let [busy, pages, copied]: [i64; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok(busy == 0 && pages == copied)
        })
    });
    copied.unwrap_or_else(|error| {
        tracing::debug!(%error, "the write-ahead log could not be copied");
        false
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_connections_may_checkpoint_and_write_at_the_same_time() {
        // Before 3.51.3 that could corrupt a database (https://sqlite.org/wal.html#walresetbug).
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}
