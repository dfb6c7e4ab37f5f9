//! The cache of compiled components on disk, so that a restart does not compile them again.
//!
//! The folder holds native code that the host runs. Each file has an authentication code under a key that only this host
//! has; with another one, the component is compiled again and the file is replaced. The host touches only files of its own
//! format, in a folder that it has marked as a cache and that nobody else may write.

mod file;
mod folder;
mod key;

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::mac::MacKey;

pub(super) use folder::Refused;

/// The beginning of the names of files that are being written. A crash leaves them behind.
const UNFINISHED: &str = ".forge-";

/// Where compiled components are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFolder {
    /// The folder. It is created if it does not exist.
    pub folder: PathBuf,
    /// The file with the key that authenticates its files, outside of the folder. It is created if it does not exist.
    pub key: PathBuf,
}

impl CacheFolder {
    /// Returns a folder with its key beside it: `FOLDER.key`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        // Without a slash at its end.
        let folder: PathBuf = folder.into().components().collect();
        let mut key = folder.clone().into_os_string();
        key.push(".key");
        Self { folder, key: key.into() }
    }
}

/// A folder of compiled components.
pub(super) struct Cache {
    /// The folder for this version of wasmtime with these settings.
    folder: PathBuf,
    key: MacKey,
}

/// The error of a cache that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The folder or the key is not safe to use: the host must not start.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be read or written: the host can do without.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Cache {
    /// Opens the cache of this engine and removes what other versions or settings have left there.
    pub(super) fn open(place: &CacheFolder, engine: &Engine) -> Result<Self, OpenError> {
        let mut hash = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hash);
        let name = format!("{:016x}", hash.finish());
        // Without a slash at its end, which would lead through a link.
        let root: PathBuf = place.folder.components().collect();
        folder::claim(&root)?;
        let key = key::open(&place.key)?;
        folder::remove_others(&root, &name)?;
        let folder = root.join(&name);
        folder::create_private(&folder)?;
        folder::check(&folder)?;
        folder::remove_unfinished(&folder)?;
        Ok(Self { folder, key })
    }

    /// Returns the compiled component with this digest, if an authentic one is there.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let Some(code) = file::authentic(&bytes, &self.key, digest) else {
            tracing::warn!(path = %path.display(), "a compiled component is damaged, or another host has written it: it is compiled again");
            // If this fails, the component that is compiled again replaces the file.
            let _ = fs::remove_file(&path);
            return None;
        };
        #[expect(unsafe_code, reason = "the authentication code shows that this host wrote the bytes")]
        let component = unsafe { Component::deserialize(engine, code) };
        let unusable = |error: &wasmtime::Error| {
            tracing::warn!(path = %path.display(), "cannot load a cached component: it is compiled again: {error:#}");
            let _ = fs::remove_file(&path);
        };
        component.inspect_err(unusable).ok()
    }

    /// Returns whether there is an authentic file for this digest.
    pub(super) fn has(&self, digest: &str) -> bool {
        let bytes = fs::read(self.path(digest));
        bytes.is_ok_and(|bytes| file::authentic(&bytes, &self.key, digest).is_some())
    }

    /// Writes a compiled component. A failure is only logged: it costs no more than compiling again after a restart.
    pub(super) fn put(&self, digest: &str, component: &Component) {
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| self.write(digest, &code));
        if let Err(error) = kept {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot write a compiled component to the cache");
        }
    }

    /// Writes a file and renames it, so that also after a crash there is a complete file or none.
    fn write(&self, digest: &str, code: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
        file.write_all(&file::head(&self.key, digest, code))?;
        file.write_all(code)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest)
    }
}

/// Returns the entries of a folder, with their names as text. A name that is no text is none of the host's.
fn entries(folder: &Path) -> io::Result<Vec<(fs::DirEntry, Option<String>)>> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        Ok((entry, name))
    };
    fs::read_dir(folder)?.map(entry).collect()
}

/// Returns whether this is a name of this many lower-case hexadecimal digits.
fn is_hex(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
