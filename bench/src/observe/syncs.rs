//! How often a process asks for its writes to be on disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The library that is loaded before the C library and counts.
const SOURCE: &str = include_str!("count_syncs.c");

/// Counts `fsync` and its like in a process started with it. SQLite is linked into the host, but calls
/// the C library for this. Only for a run of its own: it costs the host a little.
#[derive(Debug, Clone)]
pub(crate) struct SyncCounter {
    library: PathBuf,
    count: PathBuf,
}

impl SyncCounter {
    /// Compiles the library with `cc`.
    pub(crate) fn compile(folder: &Path) -> Result<Self> {
        let source = folder.join("count_syncs.c");
        let library = folder.join("count_syncs.so");
        std::fs::write(&source, SOURCE)?;
        let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let compiled = cc.status().context("cannot run cc, the C compiler")?;
        ensure!(compiled.success(), "cc did not compile the library that counts syncs");
        let count = folder.join("syncs");
        std::fs::write(&count, 0_u64.to_ne_bytes())?;
        Ok(Self { library, count })
    }

    /// Lets the program count when it is started.
    pub(crate) fn attach(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FORGE_BENCH_SYNCS", &self.count);
    }

    /// How many there were so far.
    pub(crate) fn count(&self) -> Result<u64> {
        let bytes = std::fs::read(&self.count)?;
        let bytes = bytes.try_into().ok().context("the count of syncs is no number of 8 bytes")?;
        Ok(u64::from_ne_bytes(bytes))
    }
}
