//! Merging the write-ahead log into the database. That takes milliseconds every few thousand pages, for which all
//! runs would wait if the connection that writes did it alone: a thread copies what is there while commits go on, and
//! then the connection that writes copies the little that came meanwhile, so that the log begins anew.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

use super::log::CHECKPOINT_PAGES;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Has the connection say after each commit how long the log is. It no longer merges it by itself.
pub(super) fn watch(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(u32::try_from(pages).unwrap_or_default());
        Ok(())
    }));
}

/// How far merging has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The log is short.
    Rest,
    /// It is to be copied, or that is under way.
    Asked,
    /// It was copied up to somewhere.
    Copied,
    /// The database is closed.
    Closed,
}

/// Merges the log of one database.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(database: &Path) -> io::Result<Self> {
        let shared = Arc::new(Shared { phase: Mutex::new(Phase::Rest), changed: Condvar::new() });
        let (database, theirs) = (database.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("forge-checkpoint".to_owned())
            .spawn(move || copy_when_asked(database, &theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// This connection has committed.
    pub(super) fn committed(&self, connection: &Connection) {
        let mut phase = self.shared.phase();
        match *phase {
            Phase::Rest if PAGES.get() >= CHECKPOINT_PAGES => {
                *phase = Phase::Asked;
                self.shared.changed.notify_one();
            }
            Phase::Copied => {
                *phase = Phase::Rest;
                drop(phase);
                merge(connection);
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
            // It does not panic, and there is nobody to tell.
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

    /// Waits; whether there is something to copy.
    fn is_asked(&self) -> bool {
        let is_idle = |phase: &mut Phase| matches!(phase, Phase::Rest | Phase::Copied);
        let mut phase = self.phase();
        self.changed.wait_while(&mut phase, is_idle);
        *phase == Phase::Asked
    }

    fn copied(&self) {
        let mut phase = self.phase();
        if *phase == Phase::Asked {
            *phase = Phase::Copied;
        }
    }
}

fn copy_when_asked(database: PathBuf, shared: &Shared) {
    let mut connection = None;
    while shared.is_asked() {
        if connection.is_none() {
            // Without one, the connection that writes copies all.
            connection = connect(&database)
                .inspect_err(|error| tracing::warn!(%error, "the log is merged while runs wait"))
                .ok();
        }
        if !connection.as_ref().is_some_and(merge) {
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

/// Copies what is in the log into the database, as far as nobody who reads needs the old pages. Whether it could.
fn merge(connection: &Connection) -> bool {
    let merged = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
    if let Err(error) = &merged {
        // What is in the log is durable there, and is tried again when it has grown.
        tracing::warn!(%error, "the write-ahead log could not be merged into the database; nothing is lost");
    }
    merged.is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_connections_may_merge_and_write_at_the_same_instant() {
        // Before 3.51.3 that could corrupt a database (https://sqlite.org/wal.html#walresetbug).
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}
