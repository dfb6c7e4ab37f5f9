//! Finding or adding the Rust target.

use std::process::Command;

use crate::process::{self, CommandError};
use crate::toolchain::{TARGET, Toolchain};

/// The environment variable with the name of the rustup toolchain that compiles workflows.
pub const SETTING: &str = "FORGE_WASM_TOOLCHAIN";

/// The target is missing and could not be added.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Rust target {TARGET} is missing: {source}\n\nTo add it, run `rustup target add {TARGET}`. Without \
     rustup, install your distribution's package for the target, or rustup from https://rustup.rs"
)]
pub struct SetupError {
    /// The error of rustup, or that of a compiler which fails although rustup has added the target.
    source: CommandError,
}

/// Returns a toolchain that compiles for [`TARGET`]: the one that [`SETTING`] names; or else the active one, if it
/// has the target; or else another rustup toolchain that has it. If no toolchain has the target, `rustup target add`
/// adds it, to the one that the setting names or to the active one. `progress` is called with a message before each
/// step that takes time.
///
/// # Errors
/// [`SetupError`] if rustup cannot add the target.
pub fn ensure(progress: &mut dyn FnMut(&str)) -> Result<Toolchain, SetupError> {
    let setting = std::env::var(SETTING).ok().filter(|name| !name.is_empty());
    let is_chosen = setting.is_some();
    let wanted = setting.map_or_else(Toolchain::active, Toolchain::named);
    if wanted.compile_empty().is_ok() {
        return Ok(wanted);
    }
    if !is_chosen
        && let Some(other) = Toolchain::installed().into_iter().find(|other| other.compile_empty().is_ok())
    {
        progress(&format!("Compiling with the toolchain {other}: the active one lacks the target {TARGET}."));
        return Ok(other);
    }
    let mut rustup = rustup_target_add(&wanted);
    progress(&format!("The Rust target {TARGET} is missing. Adding it: {}", process::line(&rustup)));
    match process::output(&mut rustup).and_then(|_| wanted.compile_empty()) {
        Ok(()) => Ok(wanted),
        Err(source) => Err(SetupError { source }),
    }
}

fn rustup_target_add(toolchain: &Toolchain) -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    rustup.args(toolchain.rustup_name().iter().flat_map(|name| ["--toolchain", name]));
    // The target is 20 MB. A firewall that drops packets would hold the download up for three minutes.
    rustup.env("RUSTUP_DOWNLOAD_TIMEOUT", "60");
    // A backtrace of rustup's would hide its error.
    rustup.env("RUST_BACKTRACE", "0");
    rustup
}
