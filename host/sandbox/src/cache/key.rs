//! The key that authenticates compiled components.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::folder::{Refused, owner_problem};
use crate::mac::{MacKey, SIZE};

/// Reads the key from its file, and creates the file if it does not exist. If it cannot be created, the key lasts until the
/// process ends.
pub(super) fn open(path: &Path) -> Result<MacKey, Refused> {
    let refused = |why: String| Refused::key(path, why);
    let unreadable = |error: io::Error| refused(format!("it cannot be read: {error}"));
    match read(path) {
        Ok(found) => return found.map_err(refused),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreadable(error)),
    }
    let key = MacKey::new().map_err(|error| refused(error.to_string()))?;
    match create(path, &key) {
        Ok(()) => Ok(key),
        // Another process has created it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(path).map_err(unreadable)?.map_err(refused)
        }
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "cannot write the key of the compiled components: after a restart they are compiled again");
            Ok(key)
        }
    }
}

/// Reads a key. The inner error says why the file must not be used.
fn read(path: &Path) -> io::Result<Result<MacKey, String>> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() {
        return Ok(Err("it is no regular file".to_owned()));
    }
    if let Some(problem) = owner_problem(&metadata, 0o077) {
        return Ok(Err(problem));
    }
    let text = fs::read_to_string(path)?;
    let text = text.trim_ascii_end();
    let digit = |index: usize| text.get(index..index + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..SIZE).map(|index| digit(2 * index)).collect();
    let key = bytes.filter(|_| text.len() == 2 * SIZE).and_then(|bytes| bytes.try_into().ok());
    Ok(key.map(MacKey).ok_or_else(|| {
        format!("it does not have {} hexadecimal digits; delete it to get a new key", 2 * SIZE)
    }))
}

/// Writes a key to a new file, which has all of it or does not exist.
fn create(path: &Path, MacKey(key): &MacKey) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut text = key.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    text.push('\n');
    // Temporary files have mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}
