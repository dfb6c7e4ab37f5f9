//! `cargo xtask setup` with a `rustup` that only pretends.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests only, not in the functions that they share

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Knows the toolchains `stable`, which is active, and `other`. A toolchain has the target if there is a file
/// `NAME.target`. `target add` makes that file for `stable` if there is a file `online`.
const RUSTUP: &str = r#"#!/bin/sh
echo "$*" >>calls
case "$*" in
    "show active-toolchain") echo "stable (default)" ;;
    "toolchain list") printf "stable (active, default)\nother\n" ;;
    "run "*) test -e "$2.target" ;;
    "target add"*) test -e online || { echo "no network for $RUSTUP_DOWNLOAD_TIMEOUT s" >&2; exit 1; }; : >stable.target ;;
esac
"#;

/// A program that only says its version.
const PROGRAM: &str = "#!/bin/sh\necho 5.9\n";

/// Runs `cargo xtask setup` on a machine that has only this `rustup`, PostgreSQL, shells and a browser. The files are those that the
/// `rustup` looks for.
fn setup(folder: &Path, files: &[&str], setting: &str) -> Output {
    for name in ["initdb", "pg_basebackup", "pg_ctl", "postgres", "psql"].iter().chain(files) {
        fs::write(folder.join(name), "").unwrap();
    }
    let programs = ["zsh", "fish", "chromium", "chromedriver"].map(|name| (name, PROGRAM));
    for (name, script) in programs.into_iter().chain([("rustup", RUSTUP)]) {
        fs::write(folder.join(name), script).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    run_setup(folder, setting)
}

/// Runs `cargo xtask setup` on a machine that has what is in this folder.
fn run_setup(folder: &Path, setting: &str) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.arg("setup").current_dir(folder).env("PATH", folder).env("FORGE_POSTGRES_BIN", folder);
    // What the tests of API clients need is tested by them.
    xtask.env("FORGE_CLIENTS", folder);
    xtask.env("FORGE_WASM_TOOLCHAIN", setting).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn downloads(folder: &Path) -> Vec<String> {
    let calls = fs::read_to_string(folder.join("calls")).unwrap();
    calls.lines().filter(|call| call.starts_with("target add")).map(str::to_owned).collect()
}

#[test]
fn a_toolchain_that_has_the_target_is_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = setup(folder.path(), &["stable.target", "online"], "");
    assert!(output.status.success(), "{}", said(&output));
    let expected = format!(
        "xtask: Workflows are compiled with stable.\nxtask: Tests start PostgreSQL from {}.\n",
        folder.path().display()
    );
    assert_eq!(said(&output), expected);
    assert!(downloads(folder.path()).is_empty());
}

#[test]
fn a_missing_target_is_added_to_the_active_toolchain_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = setup(folder.path(), &["online"], "");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(downloads(folder.path()), ["target add wasm32-unknown-unknown --toolchain stable"]);
    assert!(
        said(&output).contains("Adding it: rustup target add wasm32-unknown-unknown"),
        "{}",
        said(&output)
    );
}

#[test]
fn another_toolchain_with_the_target_is_used_rather_than_a_download() {
    let folder = tempfile::tempdir().unwrap();
    let output = setup(folder.path(), &["other.target", "online"], "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("Workflows are compiled with other."), "{}", said(&output));
    assert!(downloads(folder.path()).is_empty());
}

#[test]
fn the_toolchain_of_the_setting_is_used_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let output = setup(folder.path(), &["stable.target", "other.target"], "other");
    assert!(said(&output).contains("Workflows are compiled with other."), "{}", said(&output));
    let output = setup(folder.path(), &["stable.target", "other.target"], "third");
    assert!(!output.status.success());
    assert_eq!(downloads(folder.path()), ["target add wasm32-unknown-unknown --toolchain third"]);
}

#[test]
fn a_download_has_a_minute_and_its_failure_comes_with_the_cause_and_the_command_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = setup(folder.path(), &[], "");
    assert!(!output.status.success());
    for part in ["\n    no network for 60 s\n", "run `rustup target add wasm32-unknown-unknown`"] {
        assert!(said(&output).contains(part), "{}", said(&output));
    }
}

#[test]
fn a_shell_that_is_missing_where_no_package_can_be_installed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(setup(folder.path(), &["stable.target"], "").status.success());
    fs::remove_file(folder.path().join("fish")).unwrap();
    let output = run_setup(folder.path(), "");
    assert!(!output.status.success());
    assert!(said(&output).contains("`forge completions` need: install fish"), "{}", said(&output));
}
