//! What one cargo must not see of another.
//!
//! Inside `cargo run`, `cargo test` and `cargo xtask` the outer cargo has set variables that speak of
//! *its* package and *its* toolchain. An inner cargo would compile with the wrong compiler, apply host
//! flags to a guest, or rebuild crates whose build scripts watch `CARGO_PKG_NAME`.

use std::ffi::OsStr;
use std::process::Command;

/// Removes what the outer cargo says of its package. The toolchain and the user's flags stay, so this
/// is for another build of the *same* workspace.
pub fn forget_package(command: &mut Command) {
    forget(command, is_of_package);
}

/// Removes everything that speaks of the outer cargo's package, its toolchain or flags for the host, so
/// that a guest compiles as it would from a bare shell. A guest's flags belong in its
/// `.cargo/config.toml`.
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

/// Set by cargo for the programs, tests and build scripts of one package.
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

/// Chooses a toolchain, a target or flags, which for a guest are ours to choose. `RUSTC_WRAPPER` stays:
/// a compiler cache works for guests too.
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

/// Where programs are searched.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    exists_in(&path, program)
}

fn exists_in(path: &OsStr, program: &str) -> bool {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(path).any(|folder| folder.join(&file).is_file())
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

    #[test]
    fn a_program_is_found_only_where_the_path_leads() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("tool{}", std::env::consts::EXE_SUFFIX)), "").unwrap();
        assert!(exists_in(folder.path().as_os_str(), "tool"));
        assert!(!exists_in(folder.path().as_os_str(), "other"));
    }
}
