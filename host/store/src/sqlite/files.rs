//! The files of a database, and the locks that keep other hosts from it.
//!
//! A process that has opened a file goes on with it after it was deleted: what it commits is lost when it ends. The host
//! looks every few seconds whether the files at their paths are the files that it has opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// The files, while the store is open.
pub(super) struct Files {
    /// The locked lock file. It is locked first, because it names the process.
    _lock: File,
    /// The locked database. Its lock keeps another host from it if the lock file was deleted. SQLite has locks of another
    /// kind on this file, which the system would release if this were closed before SQLite's connections.
    _database: File,
    /// The files that SQLite has open, and the lock file.
    watched: Vec<Watched>,
}

/// A file that must stay as it was when the store was opened.
struct Watched {
    path: PathBuf,
    identity: Option<Identity>,
}

/// The device and the number of a file.
type Identity = (u64, u64);

/// Returns the path of a file beside the database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl Files {
    /// Locks the database for this process, and creates the file if it does not exist. SQLite's own locks would let two
    /// hosts write in turns, although each relies on what it has in memory.
    pub(super) fn lock(path: &Path) -> Result<Self, StoreError> {
        let lock_path = beside(path, ".lock");
        let mut lock = open(path, &lock_path)?;
        let in_use = |pid| StoreError::InUse { path: path.to_owned(), pid };
        match lock.try_lock() {
            Ok(()) => {
                // The process id is for error messages only.
                let _ = lock.set_len(0).and_then(|()| lock.rewind());
                let _ = write!(lock, "{}", std::process::id());
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid);
                return Err(in_use(pid.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(cannot_open(path, &lock_path, &error)),
        }
        let database = open(path, path)?;
        match lock_database(&database) {
            Ok(()) => Ok(Self { _lock: lock, _database: database, watched: vec![watched(lock_path)] }),
            Err(TryLockError::WouldBlock) => Err(in_use(None)),
            Err(TryLockError::Error(error)) => Err(cannot_open(path, path, &error)),
        }
    }

    /// Watches the files of SQLite from now on, which has opened them.
    pub(super) fn watch(&mut self, path: &Path) {
        let suffixes = ["", "-wal", "-shm"];
        self.watched.extend(suffixes.map(|suffix| watched(beside(path, suffix))));
    }

    /// Checks that nobody has deleted or replaced a file.
    ///
    /// # Errors
    /// [`StoreError::FilesGone`].
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for Watched { path, identity } in &self.watched {
            match identity_of(path) {
                Ok(found) if found == *identity => {}
                // Whether the file is there is not known.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(path = %path.display(), %error, "a file of the database cannot be looked at");
                }
                found => {
                    let what = if found.is_ok() { "replaced" } else { "deleted" };
                    return Err(StoreError::FilesGone { path: path.clone(), what, pid: std::process::id() });
                }
            }
        }
        Ok(())
    }
}

fn watched(path: PathBuf) -> Watched {
    let identity = identity_of(&path).ok().flatten();
    Watched { path, identity }
}

/// Returns the identity of the file at a path; `None` where the system has none.
fn identity_of(path: &Path) -> io::Result<Option<Identity>> {
    let metadata = path.metadata()?;
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    };
    #[cfg(not(unix))]
    let identity = {
        let _ = metadata;
        None
    };
    Ok(identity)
}

/// Locks the database itself. On other systems, this lock and those of SQLite would exclude each other.
fn lock_database(database: &File) -> Result<(), TryLockError> {
    if cfg!(target_os = "linux") { database.try_lock() } else { Ok(()) }
}

fn open(database: &Path, path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| cannot_open(database, path, &error))
}

fn cannot_open(database: &Path, path: &Path, error: &io::Error) -> StoreError {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    StoreError::CannotOpen {
        database: format!("sqlite:{}", database.display()),
        why: match folder {
            Some(folder) if !folder.is_dir() => format!("there is no folder {}: create it", folder.display()),
            _ => format!("{}: {error}", path.display()),
        },
    }
}
