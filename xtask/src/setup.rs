//! `cargo xtask setup`: what the repository needs beyond Rust and a C compiler.

use anyhow::Result;
use forge_toolchain::Toolchain;

pub(crate) fn run() -> Result<()> {
    let toolchain = wasm_target()?;
    eprintln!("xtask: guests compile with {toolchain}.");
    super::postgres::ensure()?;
    Ok(())
}

/// The toolchain for guests. Says what it does where there is something to do.
pub(crate) fn wasm_target() -> Result<Toolchain> {
    Ok(forge_toolchain::ensure(&mut |step| eprintln!("xtask: {step}"))?)
}
