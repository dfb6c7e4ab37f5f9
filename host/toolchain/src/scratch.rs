//! A folder for a moment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A new, empty folder that is removed when this is dropped.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes it inside of `parent`.
    pub(crate) fn new(parent: &Path, name: &str) -> io::Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{}-{number}", std::process::id()));
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&path)?,
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in a cache or a temporary folder, and the next process removes it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_empty_and_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let path = {
            let scratch = Scratch::new(parent.path(), "work").unwrap();
            std::fs::write(scratch.path().join("file"), "x").unwrap();
            scratch.path().to_owned()
        };
        assert!(!path.exists());
    }
}
