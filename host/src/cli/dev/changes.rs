//! Changes of the files of a project.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// The time without a further change after which a change counts: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// The folders of a project that no author changes.
const IGNORED: [&str; 3] = ["target", ".git", ".forge"];

/// The changes of the files of a project.
pub(super) struct Changes {
    files: mpsc::UnboundedReceiver<PathBuf>,
    folder: PathBuf,
    /// Watches while it exists.
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Begins to watch the files of a project.
    pub(super) fn watch(folder: &Path) -> anyhow::Result<Self> {
        let (sender, files) = mpsc::unbounded_channel();
        let root = folder.to_owned();
        let report = move |event: notify::Result<Event>| {
            // Lost events are reported as an error: nothing tells which files they were about.
            let paths = match event {
                Ok(event) if event.kind.is_access() => return,
                Ok(event) => event.paths,
                Err(_) => vec![root.clone()],
            };
            if let Some(file) = paths.into_iter().find(|file| is_source(&root, file)) {
                // Without a receiver, the program ends.
                let _ = sender.send(file);
            }
        };
        let watch = || format!("cannot watch the files in {}", folder.display());
        let mut watcher = notify::recommended_watcher(report).with_context(watch)?;
        watcher.watch(folder, RecursiveMode::Recursive).with_context(watch)?;
        Ok(Self { files, folder: folder.to_owned(), _watcher: watcher })
    }

    /// Waits for a change, and until no further change follows. Returns the file that changed last, relative to the project.
    pub(super) async fn next(&mut self) -> String {
        let Some(mut file) = self.files.recv().await else { return std::future::pending().await };
        while let Ok(Some(next)) = tokio::time::timeout(QUIET, self.files.recv()).await {
            // Editors write to a file of another name first.
            if next.exists() || !file.exists() {
                file = next;
            }
        }
        file.strip_prefix(&self.folder).unwrap_or(&file).display().to_string()
    }
}

/// Returns whether an author writes this file.
fn is_source(folder: &Path, file: &Path) -> bool {
    let Ok(relative) = file.strip_prefix(folder) else { return false };
    let is_ignored = |part: &std::path::Component<'_>| {
        part.as_os_str().to_str().is_some_and(|name| IGNORED.contains(&name))
    };
    // Cargo writes the lock file during a build.
    let name = relative.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_temporary =
        name.ends_with('~') || name.ends_with(".swp") || name.ends_with(".tmp") || name == "4913";
    let is_database = relative.components().any(|part| is_of_database(part.as_os_str()));
    !relative.components().any(|part| is_ignored(&part))
        && name != "Cargo.lock"
        && !is_temporary
        && !is_database
}

/// Returns whether a file or folder is an SQLite database or lies beside one, as `forge.db-wal` and `forge.db.cache` do. A
/// server in the folder of the project writes to them.
fn is_of_database(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.split_once(".db").is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_programs_write_are_not_changes() {
        let folder = Path::new("/p");
        for file in
            ["/p/src/lib.rs", "/p/Cargo.toml", "/p/input.json", "/p/shared/src/lib.rs", "/p/src/my.dbs.rs"]
        {
            assert!(is_source(folder, Path::new(file)), "{file}");
        }
        let of_programs = [
            "/p/target/x",
            "/p/.git/index",
            "/p/Cargo.lock",
            "/p/src/lib.rs~",
            "/p/src/.lib.rs.swp",
            "/p/forge.db",
            "/p/forge.db-wal",
            "/p/data/forge.db.cache/48/a",
            "/q/a",
        ];
        for file in of_programs {
            assert!(!is_source(folder, Path::new(file)), "{file}");
        }
    }

    #[tokio::test]
    async fn a_saved_file_is_one_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        let mut changes = Changes::watch(&root).unwrap();
        let file = root.join("src/lib.rs");
        for text in ["a", "ab"] {
            std::fs::write(&file, text).unwrap();
        }
        let changed = tokio::time::timeout(Duration::from_secs(60), changes.next()).await;
        assert_eq!(changed.unwrap(), "src/lib.rs");
    }
}
