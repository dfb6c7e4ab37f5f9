//! The size of the write-ahead log.

use std::fs::OpenOptions;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Pages in the log after which it is checkpointed: 16 MiB. A page that changes often is then written to the database
/// once for many commits.
pub(super) const CHECKPOINT_PAGES: u32 = 4_096;

/// Bytes of a page in the log, with its header.
const FRAME: u64 = 4_096 + 24;

/// Bytes that may be committed during a checkpoint.
const MARGIN: u64 = 6 << 20;

/// The length of the log while it is reused, in bytes: 23 MB. SQLite cuts a longer one when it begins anew.
pub(super) const LENGTH: u64 = CHECKPOINT_PAGES as u64 * FRAME + MARGIN;

/// Returns the path of the log of a database.
pub(super) fn path(database: &Path) -> PathBuf {
    super::files::beside(database, "-wal")
}

/// Extends the log of a database to the length at which it is reused. SQLite overwrites the zeros, and reads them as the
/// end of the log. Syncing a file that grows also syncs the file system's journal, and takes several times as long.
pub(super) fn reserve(database: &Path) -> io::Result<()> {
    let mut log = OpenOptions::new().write(true).create(true).truncate(false).open(path(database))?;
    let mut length = log.seek(SeekFrom::End(0))?;
    // In pages, as SQLite writes them: the kernel would sync larger writes as a whole.
    let zeros = [0; 4_096];
    while length < LENGTH {
        let part = zeros.len().min(usize::try_from(LENGTH - length).unwrap_or(usize::MAX));
        log.write_all(&zeros[..part])?;
        length += part as u64;
    }
    log.sync_all()
}
