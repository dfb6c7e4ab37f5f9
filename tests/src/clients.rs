//! What the tests of API clients share: programs that `cargo xtask setup` has installed, and their output.

use std::path::PathBuf;
use std::process::Command;

use crate::binary::root;

/// Returns a file that `cargo xtask setup` has installed.
pub fn installed(path: &str) -> PathBuf {
    let folder = std::env::var_os("FORGE_CLIENTS").map(PathBuf::from);
    let file = folder.unwrap_or_else(|| root().join("target/clients")).join(path);
    assert!(file.exists(), "{} is missing: run `cargo xtask setup`, which installs it", file.display());
    file
}

/// Runs a command and returns what it printed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}{errors}", output.status);
    printed
}
