//! A look at the files of the database, every few seconds.

use std::time::{Duration, Instant};

use super::{Shared, checkpoint, log};
use crate::{LogLimits, StoreError};

/// What is known of a log that is longer than it should be.
#[derive(Default)]
pub(super) struct LogWatch {
    /// When it was seen to be too long for the first time.
    since: Option<Instant>,
    /// The length at which the host warns.
    warn_at: u64,
}

impl Shared {
    /// Checks the files, and shortens the log if it is idle.
    pub(super) fn inspect(&self) -> Result<(), StoreError> {
        let found = self.check_files().and_then(|()| self.check_log());
        let mut trouble = self.trouble.write();
        match (&*trouble, &found) {
            (None, Err(error)) => tracing::error!(%error, "the database is in trouble"),
            // A file that was put back is another one, or misses what was written meanwhile.
            (Some(StoreError::FilesGone { .. }), _) => return trouble.clone().map_or(Ok(()), Err),
            (Some(_), Ok(())) => tracing::info!("the database is in order again"),
            _ => {}
        }
        *trouble = found.as_ref().err().cloned();
        found
    }

    fn check_files(&self) -> Result<(), StoreError> {
        self.files.lock().as_ref().map_or(Ok(()), |files| files.check())
    }

    fn check_log(&self) -> Result<(), StoreError> {
        let length = || log::path(&self.path).metadata().map_or(0, |metadata| metadata.len());
        let LogLimits { truncate, most } = self.log_limits;
        let mut bytes = length();
        let mut watch = self.log.lock();
        // The next commits cut a log that is shorter, or can be reused. If there are none, it is cut here. Most is copied
        // without holding commits up.
        if bytes >= truncate && checkpoint::copy_all(&self.path) {
            self.writer.lock().truncate_log();
            bytes = length();
        }
        if bytes < truncate {
            if let Some(since) = watch.since.take() {
                tracing::info!("the write-ahead log is short again, after {}", age(since));
            }
            watch.warn_at = truncate;
            return Ok(());
        }
        let since = *watch.since.get_or_insert_with(Instant::now);
        if bytes >= watch.warn_at {
            let path = log::path(&self.path);
            tracing::warn!(
                bytes,
                age = %age(since),
                path = %path.display(),
                "the write-ahead log grows and cannot be reused: another program has a transaction open. It grows by all \
                 that is written until that transaction ends; find the program with `fuser` or `lsof`"
            );
            watch.warn_at = bytes.saturating_mul(2);
        }
        if bytes >= most { Err(StoreError::LogTooLarge { bytes, most }) } else { Ok(()) }
    }
}

fn age(since: Instant) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(since.elapsed().as_secs()))
}
