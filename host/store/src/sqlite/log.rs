//! Room for the write-ahead log before it is needed.

use std::fs::OpenOptions;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Pages of the log after which it is merged into the database: 16 MiB. Pages that change often are
/// then written once for many commits.
pub(super) const CHECKPOINT_PAGES: u32 = 4_096;

/// What a page takes in the log, with its header.
const FRAME: u64 = 4_096 + 24;

/// Room for what is committed while the log is merged: a tenth of a second of as much as a host writes.
const MARGIN: u64 = 6 << 20;

/// Makes the log of a database as long as it ever becomes, unless it is. SQLite writes over what is there,
/// and takes zeros for the end of the log. Syncing a file that grows means syncing the file system's
/// own journal, too, and takes several times as long.
pub(super) fn reserve(database: &Path) -> io::Result<()> {
    let log = PathBuf::from(format!("{}-wal", database.display()));
    let mut log = OpenOptions::new().write(true).create(true).truncate(false).open(log)?;
    let wanted = u64::from(CHECKPOINT_PAGES) * FRAME + MARGIN;
    let mut length = log.seek(SeekFrom::End(0))?;
    // In pages, as SQLite writes them: the kernel would keep larger pieces as one and sync them as one.
    let zeros = [0; 4_096];
    while length < wanted {
        let part = zeros.len().min(usize::try_from(wanted - length).unwrap_or(usize::MAX));
        log.write_all(&zeros[..part])?;
        length += part as u64;
    }
    log.sync_all()
}
