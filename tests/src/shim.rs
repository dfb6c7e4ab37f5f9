use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The library that, preloaded into a host, lets one of its writes fail.
pub fn failing_writes() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/fail_write.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1"]).arg(&source).arg("-o").arg(library(&folder)).arg("-ldl");
        let compiled = compiler.status().expect("there is a C compiler");
        assert!(compiled.success(), "{} compiles", source.display());
        folder
    });
    library(folder)
}

fn library(folder: &TempDir) -> PathBuf {
    folder.path().join("fail_write.so")
}
