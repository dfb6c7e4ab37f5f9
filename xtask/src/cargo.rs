//! Cargo, the repository, and its target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use forge_toolchain::environment::forget_package;

/// The cargo that runs this, without the variables that describe the package `xtask`: build scripts that watch them
/// would make it compile half of the host again.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_package(&mut cargo);
    cargo
}

/// Returns the folder of the repository. It is determined at run time: cargo does not compile this again when the
/// repository, and the target folder with it, has moved.
pub(crate) fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo xtask`")?;
    Ok(Path::new(&xtask).parent().context("xtask lies in the repository")?.to_owned())
}

/// Returns the target folder of the repository's workspace, as an absolute path.
pub(crate) fn target() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), PathBuf::from);
    Ok(std::path::absolute(target)?)
}
