//! `cargo xtask setup`: what the repository needs besides Rust and a C compiler.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use forge_toolchain::Toolchain;
use forge_toolchain::environment::forget_outer_cargo;

use super::{apt, browser, clients, postgres, shells};

/// Makes a rustup toolchain from Debian's packages.
const DEBIAN_SCRIPT: &str = include_str!("wasm-guest.sh");

/// The name of that toolchain.
const DEBIAN_TOOLCHAIN: &str = "wasm-guest";

/// A compiler that Debian keeps up to date for its browsers, and the sources of its standard library.
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

pub(crate) fn run() -> Result<()> {
    for_tests()?;
    clients::ensure()
}

/// Installs what the tests need, but for those of API clients: a machine that cannot have Node.js runs the others.
pub(crate) fn for_tests() -> Result<()> {
    wasm_target()?;
    postgres::ensure()?;
    shells::ensure()?;
    browser::ensure()
}

/// Returns the toolchain that compiles workflows. Makes one from Debian's packages if rustup cannot add the target.
pub(crate) fn wasm_target() -> Result<Toolchain> {
    let mut progress = |message: &str| eprintln!("xtask: {message}");
    let toolchain = match forge_toolchain::ensure(&mut progress) {
        Err(error) if may_use_debian() => {
            progress(&error.to_string());
            progress("Making it from Debian's packages instead.");
            make_debian_toolchain().context("the Rust target cannot be made from Debian's packages")?;
            forge_toolchain::ensure(&mut progress)?
        }
        result => result?,
    };
    progress(&format!("Workflows are compiled with {toolchain}."));
    Ok(toolchain)
}

fn may_use_debian() -> bool {
    let setting = std::env::var(forge_toolchain::SETTING).unwrap_or_default();
    ["", DEBIAN_TOOLCHAIN].contains(&setting.as_str()) && apt::is_available()
}

fn make_debian_toolchain() -> Result<()> {
    apt::install(&DEBIAN_RUST)?;
    eprintln!("xtask: Compiling Rust's standard library for WebAssembly. This takes about a minute, once.");
    let mut script = Command::new("sh");
    script.args(["-c", DEBIAN_SCRIPT, "wasm-guest.sh", DEBIAN_TOOLCHAIN]);
    forget_outer_cargo(&mut script);
    ensure!(script.status()?.success(), "xtask/src/wasm-guest.sh failed; its errors are above");
    Ok(())
}
