//! Compiled components on disk, so that a restart does not compile them again.
//!
//! The folder holds native code that the host will run: only the host may write there (it is made
//! with mode 0700), and guests never see it. A file is used only if its checksum fits; anything else
//! is compiled again and replaced.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the checksum that a file begins with.
const CHECKSUM: usize = 32;

/// A folder of compiled components.
pub(super) struct Cache {
    /// Of this version of wasmtime with these settings: others do not fit.
    folder: PathBuf,
}

impl Cache {
    /// The cache for this engine. What other versions or settings have left in it is removed.
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
                tracing::debug!(folder = %entry.path().display(), ?removed, "compiled for another version");
            }
        }
        Ok(Self { folder })
    }

    /// The compiled component with this digest, if a sound one is there.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let parts = bytes.split_at_checked(CHECKSUM);
        let Some((_, code)) = parts.filter(|(checksum, code)| *checksum == checksum_of(digest, code)) else {
            tracing::warn!(path = %path.display(), "a compiled component is damaged: it is compiled again");
            // What is compiled again takes its place.
            let _ = fs::remove_file(&path);
            return None;
        };
        #[expect(
            unsafe_code,
            reason = "the bytes are what `put` wrote (the checksum fits), in a folder that only the host may write"
        )]
        let component = unsafe { Component::deserialize(engine, code) };
        let unusable = |error: &wasmtime::Error| {
            tracing::warn!(path = %path.display(), "it is compiled again: {error:#}");
            let _ = fs::remove_file(&path);
        };
        component.inspect_err(unusable).ok()
    }

    /// Whether there is a file for this digest, sound or not.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.path(digest).exists()
    }

    /// Keeps a compiled component. That it cannot be kept costs time after a restart, and nothing else.
    pub(super) fn put(&self, digest: &str, component: &Component) {
        let kept = component.serialize().map_err(io::Error::other).and_then(|code| self.write(digest, &code));
        if let Err(error) = kept {
            tracing::warn!(folder = %self.folder.display(), %error, "a compiled component is not kept");
        }
    }

    /// Under its name there is a whole file or none, also after a crash.
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

/// The digest is part of it, so that a file under another's name does not fit.
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
