//! The folder of the cache: who may write to it, what in it is the host's, and what the host may delete.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{UNFINISHED, entries, file, is_hex};

/// The file by which the host knows a folder as its cache.
const MARKER: &str = "forge-component-cache";

/// The content of the marker.
const MARKER_TEXT: &str = "Compiled components of Forge. `forge serve` replaces and deletes them.\n";

/// The digits of the name of a folder for one version of wasmtime and one set of settings.
const VERSION_DIGITS: usize = 16;

/// The digits of the name of a file: a SHA-256.
const DIGEST_DIGITS: usize = 64;

/// What a new file system has in its topmost folder.
const LOST_AND_FOUND: &str = "lost+found";

/// A folder or key that is not safe to use.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {purpose}: {why}", path.display())]
pub(crate) struct Refused {
    path: PathBuf,
    purpose: &'static str,
    why: String,
}

impl Refused {
    fn folder(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), purpose: "the folder for compiled components", why: why.into() }
    }

    pub(super) fn key(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), purpose: "the key of the compiled components", why: why.into() }
    }
}

/// Makes a folder the host's, or finds that it is. A folder that has neither a marker nor the form that versions before have
/// left it in is refused, so that the host never deletes what it did not make.
pub(super) fn claim(folder: &Path) -> Result<(), super::OpenError> {
    create_private(folder)?;
    check(folder)?;
    let marker = folder.join(MARKER);
    if marker.symlink_metadata().is_ok_and(|marker| marker.is_file()) {
        return Ok(());
    }
    if let Some(foreign) = first_foreign(folder)? {
        let why = format!(
            "it contains {}, which the host did not make. Use an empty folder, or one that does not exist yet",
            foreign.display()
        );
        return Err(Refused::folder(folder, why).into());
    }
    fs::write(marker, MARKER_TEXT)?;
    Ok(())
}

/// Checks that this is a folder that only this user may write to.
pub(super) fn check(folder: &Path) -> Result<(), super::OpenError> {
    let metadata = folder.symlink_metadata()?;
    if metadata.is_symlink() {
        return Err(Refused::folder(folder, "it is a symbolic link. Name the folder itself").into());
    }
    if !metadata.is_dir() {
        return Err(Refused::folder(folder, "it is no folder").into());
    }
    match owner_problem(&metadata, 0o022) {
        Some(why) => Err(Refused::folder(folder, why).into()),
        None => Ok(()),
    }
}

/// Returns why a file or folder is not this user's alone: another owner, or one of these permissions.
#[cfg(unix)]
pub(super) fn owner_problem(metadata: &Metadata, forbidden: u32) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;

    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Some(format!("it belongs to user {owner}, and the host runs as user {user}"));
    }
    let mode = metadata.mode() & 0o7777;
    let remedy = if forbidden & 0o044 == 0 { "go-w" } else { "go-rwx" };
    (mode & forbidden != 0).then(|| {
        format!("its mode {mode:04o} gives other users access, who could make the host run code. Use `chmod {remedy}`")
    })
}

/// Other systems have no such permissions.
#[cfg(not(unix))]
pub(super) fn owner_problem(_: &Metadata, _: u32) -> Option<String> {
    None
}

/// Returns the first entry of a folder without a marker that no version of the host has made.
fn first_foreign(folder: &Path) -> io::Result<Option<PathBuf>> {
    for (entry, name) in entries(folder)? {
        let path = entry.path();
        let is_version = name.as_deref().is_some_and(|name| is_hex(name, VERSION_DIGITS));
        if name.as_deref() == Some(LOST_AND_FOUND) {
            continue;
        }
        if !is_version || !entry.file_type()?.is_dir() {
            return Ok(Some(path));
        }
        for (entry, name) in entries(&path)? {
            if !is_component(&entry.path(), name.as_deref())? && !is_unfinished(name.as_deref()) {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

fn is_component(path: &Path, name: Option<&str>) -> io::Result<bool> {
    Ok(name.is_some_and(|name| is_hex(name, DIGEST_DIGITS)) && file::is_ours(path)?)
}

/// Returns whether this is the name of a file that a crash has left unfinished, of this version or of one before.
fn is_unfinished(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with(UNFINISHED) || name.starts_with(".tmp"))
}

/// Removes the components of other versions and settings. Other files stay, and so do the folders that have them.
pub(super) fn remove_others(folder: &Path, ours: &str) -> io::Result<()> {
    for (entry, name) in entries(folder)? {
        let is_version = name.as_deref().is_some_and(|name| is_hex(name, VERSION_DIGITS) && name != ours);
        if !is_version || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        for (entry, name) in entries(&path)? {
            let path = entry.path();
            let is_file = entry.file_type()?.is_file();
            if is_component(&path, name.as_deref())? || (is_file && is_unfinished(name.as_deref())) {
                fs::remove_file(path)?;
            }
        }
        // Fails if other files are there.
        let removed = fs::remove_dir(&path);
        tracing::debug!(folder = %path.display(), ?removed, "removed components compiled for another version or other settings");
    }
    Ok(())
}

/// Removes the files that a crash has left unfinished.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for (entry, name) in entries(folder)? {
        if is_unfinished(name.as_deref()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Creates a folder that only this user may use, unless it exists.
pub(super) fn create_private(folder: &Path) -> io::Result<()> {
    if folder.symlink_metadata().is_ok() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
