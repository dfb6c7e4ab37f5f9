//! A Rust toolchain that compiles workflows.

use std::fmt;
use std::process::Command;

use crate::environment::forget_outer_cargo;
use crate::process::{self, CommandError};

/// The target that workflows are compiled for. It has no WASI: a workflow reaches only the interface in `wit/`.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A Rust toolchain. [`ensure`](crate::ensure) returns one that compiles for [`TARGET`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Its name in rustup. `None`: the `cargo` and `rustc` on the path, on a machine without rustup.
    name: Option<String>,
}

impl Toolchain {
    /// Returns the rustup toolchain with this name.
    pub(crate) fn named(name: String) -> Self {
        Self { name: Some(name) }
    }

    /// Returns the toolchain that `cargo` uses in the current folder.
    pub(crate) fn active() -> Self {
        let first = listed(&["show", "active-toolchain"]).into_iter().next();
        first.unwrap_or(Self { name: None })
    }

    /// Returns the toolchains that rustup knows.
    pub(crate) fn installed() -> Vec<Self> {
        listed(&["toolchain", "list"])
    }

    pub(crate) fn rustup_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns a command that runs this toolchain's cargo, in the environment of
    /// [`forget_outer_cargo`].
    pub fn cargo(&self) -> Command {
        self.tool("cargo")
    }

    fn tool(&self, tool: &str) -> Command {
        let mut command = match &self.name {
            // `cargo +name` needs rustup's cargo, which may not be the first one on the path.
            Some(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, tool]);
                command
            }
            None => Command::new(tool),
        };
        forget_outer_cargo(&mut command);
        command
    }

    /// Compiles and links an empty library for [`TARGET`]. Looking for the target's files is not enough: the parts of a
    /// linked toolchain are upgraded and removed independently.
    pub(crate) fn compile_empty(&self) -> Result<(), CommandError> {
        let mut rustc = self.tool("rustc");
        rustc.args(["--target", TARGET, "--crate-type", "cdylib", "-o"]);
        let folder = tempfile::tempdir()
            .map_err(|source| CommandError::NotStarted { command: process::line(&rustc), source })?;
        // `-` is the standard input, which is empty.
        process::output(rustc.arg(folder.path().join("empty.wasm")).arg("-")).map(drop)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("the Rust on the path"))
    }
}

/// Returns the toolchains that a rustup command prints. Without rustup there are none.
fn listed(arguments: &[&str]) -> Vec<Toolchain> {
    let printed = process::output(Command::new("rustup").args(arguments)).unwrap_or_default();
    names(&printed).map(|name| Toolchain { name: Some(name.to_owned()) }).collect()
}

/// Returns the names in lines such as `stable-x86_64-unknown-linux-gnu (default)`.
fn names(printed: &str) -> impl Iterator<Item = &str> {
    printed.lines().filter_map(|line| line.split(" (").next()).map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustup_says_the_name_and_then_why() {
        let first = |printed| names(printed).next();
        assert_eq!(
            first("stable-x86_64-unknown-linux-gnu (default)\n"),
            Some("stable-x86_64-unknown-linux-gnu")
        );
        assert_eq!(first("/opt/a rust (overridden by '/x/rust-toolchain.toml')\n"), Some("/opt/a rust"));
        assert_eq!(first("nightly\nactive because: it is\n"), Some("nightly"));
        assert_eq!(first(""), None);
        assert!(names("stable (active, default)\nnightly\n").eq(["stable", "nightly"]));
    }

    #[test]
    fn a_named_toolchain_runs_through_rustup() {
        let toolchain = Toolchain::named("wasm-guest".to_owned());
        assert_eq!(process::line(&toolchain.cargo()), "rustup run wasm-guest cargo");
        assert_eq!(toolchain.rustup_name(), Some("wasm-guest"));
    }

    #[test]
    fn without_rustup_the_cargo_on_the_path_is_run() {
        assert_eq!(process::line(&Toolchain { name: None }.cargo()), "cargo");
    }
}
