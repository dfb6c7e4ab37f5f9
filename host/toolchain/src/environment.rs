//! The environment of a cargo that runs inside of another one.
//!
//! In `cargo run`, `cargo test` and `cargo xtask`, the outer cargo sets variables about its own package and toolchain.
//! They would make an inner cargo use the wrong compiler, apply the host's flags to a workflow, or rebuild crates whose
//! build scripts watch `CARGO_PKG_NAME`.

use std::process::Command;

/// Removes the variables about the outer cargo's package, for another build of the same workspace. Those about the
/// toolchain and the flags stay.
pub fn forget_package(command: &mut Command) {
    forget(command, is_of_package);
}

/// Removes the variables about the outer cargo's package, its toolchain and flags for the host. What is compiled then
/// is compiled as from a bare shell.
pub fn forget_outer_cargo(command: &mut Command) {
    forget(command, |name| is_of_package(name) || is_of_toolchain(name));
}

fn forget(command: &mut Command, applies: impl Fn(&str) -> bool) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(&applies) {
            command.env_remove(name);
        }
    }
}

/// Returns whether cargo sets the variable for the programs, tests and build scripts of a package.
fn is_of_package(name: &str) -> bool {
    const PREFIXES: [&str; 5] =
        ["CARGO_PKG_", "CARGO_BIN_", "CARGO_FEATURE_", "CARGO_CFG_", "CARGO_MANIFEST_"];
    const NAMES: [&str; 6] = [
        "CARGO_CRATE_NAME",
        "CARGO_MAKEFLAGS",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_RUSTC_CURRENT_DIR",
        "CARGO_TARGET_TMPDIR",
        "OUT_DIR",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns whether the variable chooses a toolchain, a target or flags. `RUSTC_WRAPPER` does not count: a compiler cache
/// works for workflows too.
fn is_of_toolchain(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "CARGO",
        "CARGO_BUILD_RUSTC",
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUSTUP_TOOLCHAIN_SOURCE",
    ];
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_the_outer_cargo_is_forgotten() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_BIN_EXE_forge", "OUT_DIR"] {
            assert!(is_of_package(name), "{name}");
        }
    }

    #[test]
    fn what_the_user_configured_stays() {
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_NET_OFFLINE",
            "CARGO_TERM_COLOR",
            "RUSTC_WRAPPER",
            "PATH",
        ] {
            assert!(!is_of_package(name) && !is_of_toolchain(name), "{name}");
        }
    }

    #[test]
    fn the_same_workspace_keeps_its_toolchain_and_flags() {
        for name in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS", "CARGO"] {
            assert!(!is_of_package(name) && is_of_toolchain(name), "{name}");
        }
    }
}
