//! The cache of compiled components on disk, so that a restart does not compile them again.
//!
//! The folder holds native code that the host runs: only the host may write there (mode 0700), and guests cannot
//! reach it. A file is used only if its checksum matches; otherwise the component is compiled again and the file is
//! replaced.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The size of the checksum at the beginning of a file, in bytes.
const CHECKSUM: usize = 32;

/// A folder of compiled components.
pub(super) struct Cache {
    /// The folder for this version of wasmtime with these settings.
    folder: PathBuf,
}

impl Cache {
    /// Opens the cache of this engine and removes what other versions or settings have left there.
    pub(super) fn open(root: &Path, engine: &Engine) -> io::Result<Self> {
        let mut hash = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hash);
        let name = format!("{:016x}", hash.finish());
        let folder = root.join(&name);
        create_private(root)?;
        create_private(&folder)?;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && entry.file_name() != *name {
                let removed = fs::remove_dir_all(entry.path());
                tracing::debug!(folder = %entry.path().display(), ?removed, "removed components compiled for another version or other settings");
            }
        }
        Ok(Self { folder })
    }

    /// Returns the compiled component with this digest, if an intact one is there.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let parts = bytes.split_at_checked(CHECKSUM);
        let Some((_, code)) = parts.filter(|(checksum, code)| *checksum == checksum_of(digest, code)) else {
            tracing::warn!(path = %path.display(), "a compiled component is damaged: it is compiled again");
            // If this fails, the component that is compiled again replaces the file.
            let _ = fs::remove_file(&path);
            return None;
        };
        #[expect(
            unsafe_code,
            reason = "the checksum shows that `put` wrote the bytes, in a folder that only the host may write"
        )]
        let component = unsafe { Component::deserialize(engine, code) };
        let unusable = |error: &wasmtime::Error| {
            tracing::warn!(path = %path.display(), "cannot load a cached component: it is compiled again: {error:#}");
            let _ = fs::remove_file(&path);
        };
        component.inspect_err(unusable).ok()
    }

    /// Returns whether there is a file for this digest, intact or not.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.path(digest).exists()
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
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&checksum_of(digest, code))?;
        file.write_all(code)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest)
    }
}

/// Returns the checksum of a file. It covers the digest, so a file under the name of another does not match.
fn checksum_of(digest: &str, code: &[u8]) -> [u8; CHECKSUM] {
    Sha256::new().chain_update(digest).chain_update(code).finalize().into()
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
