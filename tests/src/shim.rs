//! Libraries that, preloaded into a host, change what the system does for it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::binary::tests;

/// One of a host's writes fails.
pub fn failing_writes() -> PathBuf {
    static LIBRARY: Shim = Shim::new("fail_write");
    LIBRARY.path()
}

/// A host's wall clock is ahead.
pub fn skewed_clock() -> PathBuf {
    static LIBRARY: Shim = Shim::new("skew_clock");
    LIBRARY.path()
}

struct Shim {
    name: &'static str,
    folder: OnceLock<TempDir>,
}

impl Shim {
    const fn new(name: &'static str) -> Self {
        Self { name, folder: OnceLock::new() }
    }

    /// The library, compiled when it is needed first.
    fn path(&self) -> PathBuf {
        let library = |folder: &TempDir| folder.path().join(self.name).with_extension("so");
        let folder = self.folder.get_or_init(|| {
            let folder = TempDir::new().expect("a temporary folder can be made");
            let source = tests().join("shim").join(self.name).with_extension("c");
            let mut compiler = Command::new("cc");
            compiler
                .args(["-shared", "-fPIC", "-O1"])
                .arg(&source)
                .arg("-o")
                .arg(library(&folder))
                .arg("-ldl");
            let compiled = compiler.status().expect("there is a C compiler");
            assert!(compiled.success(), "{} compiles", source.display());
            folder
        });
        library(folder)
    }
}
