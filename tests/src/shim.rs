//! Libraries for `LD_PRELOAD` that inject faults into a host.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::binary::tests;

/// Returns the library that fails one write of a host.
pub fn failing_writes() -> PathBuf {
    static LIBRARY: Shim = Shim::new("fail_write");
    LIBRARY.path()
}

/// Returns the library that puts a host's wall clock ahead.
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

    /// Returns the library. The first call compiles it.
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
