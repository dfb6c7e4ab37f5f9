//! The shells whose completions tests check.

use std::process::Command;

use anyhow::{Result, ensure};

use super::apt;

/// The shells besides bash, which is on every machine that compiles Forge. Debian's packages have the same names.
const SHELLS: [&str; 2] = ["zsh", "fish"];

/// Installs the shells from Debian's packages if they are missing.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&str> = SHELLS.into_iter().filter(|shell| !is_installed(shell)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    ensure!(
        apt::is_available(),
        "shells are missing that the tests of `forge completions` need: install {names}"
    );
    apt::install(&missing)
}

fn is_installed(shell: &str) -> bool {
    Command::new(shell).arg("--version").output().is_ok_and(|output| output.status.success())
}
