//! A Rust toolchain that compiles guests.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::{forget_outer_cargo, on_path};
use crate::process::{self, CommandError};
use crate::scratch::Scratch;

/// What guests compile for. No WASI: nothing reaches a guest except through the interface in `wit/`.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A Rust toolchain, and how to run its cargo. [`ensure`](crate::wasm_target::ensure) gives one that
/// compiles for [`TARGET`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// One that rustup knows by this name.
    Rustup(String),
    /// The `cargo` and `rustc` on the path, on a machine without rustup.
    Path,
    /// A folder with `bin/cargo` and `bin/rustc`, on a machine without rustup.
    Folder(PathBuf),
}

impl Toolchain {
    /// The one that `cargo` uses in the current folder. None: there is no Rust here.
    pub(crate) fn active() -> Option<Self> {
        let mut show = Command::new("rustup");
        if on_path("rustup")
            && let Ok(shown) = process::output(show.args(["show", "active-toolchain"]))
            && let Some(name) = first_name(&shown)
        {
            return Some(Self::of_rustup(name));
        }
        (on_path("cargo") && on_path("rustc")).then_some(Self(Kind::Path))
    }

    pub(crate) fn of_rustup(name: &str) -> Self {
        Self(Kind::Rustup(name.to_owned()))
    }

    /// Only Debian's fallback makes one.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self(Kind::Folder(folder.to_owned()))
    }

    /// Its name as rustup knows it, if rustup does.
    pub fn rustup_name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Rustup(name) => Some(name),
            Kind::Path | Kind::Folder(_) => None,
        }
    }

    /// A command that runs its cargo as from a bare shell: variables of a cargo around us are gone, and
    /// so are `RUSTFLAGS`, which are meant for the host.
    pub fn cargo(&self) -> Command {
        self.tool("cargo")
    }

    pub(crate) fn rustc(&self) -> Command {
        self.tool("rustc")
    }

    fn tool(&self, tool: &str) -> Command {
        let mut command = match &self.0 {
            // Rather than `cargo +name`, which only rustup's own cargo understands: another may come
            // first on the path.
            Kind::Rustup(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, tool]);
                command
            }
            Kind::Path => Command::new(tool),
            Kind::Folder(folder) => Command::new(folder.join("bin").join(tool)),
        };
        forget_outer_cargo(&mut command);
        command
    }

    /// Whether it has a standard library for [`TARGET`].
    pub(crate) fn has_std(&self) -> bool {
        let mut rustc = self.rustc();
        process::output(rustc.args(["--print", "target-libdir", "--target", TARGET]))
            .is_ok_and(|folder| has_std_in(Path::new(folder.trim_end())))
    }

    /// Whether it compiles and links for [`TARGET`]. For toolchains that are put together from parts,
    /// any of which may have been upgraded or removed since.
    pub(crate) fn links(&self) -> bool {
        let Ok(scratch) = Scratch::new(&std::env::temp_dir(), "forge-wasm-target") else {
            return false;
        };
        let source = scratch.path().join("probe.rs");
        if std::fs::write(&source, "").is_err() {
            return false;
        }
        let mut rustc = self.rustc();
        rustc
            .args(["--target", TARGET, "--crate-type", "cdylib", "-o"])
            .arg(scratch.path().join("probe.wasm"));
        process::output(rustc.arg(source)).is_ok()
    }

    /// Where its libraries and programs are.
    #[cfg(target_os = "linux")]
    pub(crate) fn sysroot(&self) -> Result<PathBuf, CommandError> {
        process::output(self.rustc().args(["--print", "sysroot"])).map(|folder| folder.trim_end().into())
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Rustup(name) => f.write_str(name),
            Kind::Path => f.write_str("the Rust on the path"),
            Kind::Folder(folder) => write!(f, "the Rust in {}", folder.display()),
        }
    }
}

/// `stable-x86_64-unknown-linux-gnu (default)`: the reason in parentheses is for people.
fn first_name(shown: &str) -> Option<&str> {
    let line = shown.lines().next()?;
    let name = line.split(" (").next()?.trim();
    (!name.is_empty()).then_some(name)
}

fn has_std_in(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .map(|file| file.file_name())
        .any(|name| name.to_str().is_some_and(|name| name.starts_with("libstd-") && name.ends_with(".rlib")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustup_says_the_name_and_then_why() {
        assert_eq!(
            first_name("stable-x86_64-unknown-linux-gnu (default)\n"),
            Some("stable-x86_64-unknown-linux-gnu")
        );
        assert_eq!(first_name("/opt/a rust (overridden by '/x/rust-toolchain.toml')\n"), Some("/opt/a rust"));
        assert_eq!(first_name("nightly\nactive because: it is\n"), Some("nightly"));
        assert_eq!(first_name(""), None);
    }

    #[test]
    fn a_target_folder_without_a_standard_library_is_not_enough() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_std_in(&folder.path().join("missing")));
        std::fs::write(folder.path().join("libcore-0123.rlib"), "").unwrap();
        assert!(!has_std_in(folder.path()));
        std::fs::write(folder.path().join("libstd-0123.rlib"), "").unwrap();
        assert!(has_std_in(folder.path()));
    }

    #[test]
    fn a_named_toolchain_runs_through_rustup() {
        let toolchain = Toolchain::of_rustup("wasm-guest");
        assert_eq!(process::line(&toolchain.cargo()), "rustup run wasm-guest cargo");
        assert_eq!(toolchain.rustup_name(), Some("wasm-guest"));
    }

    #[test]
    fn without_rustup_the_cargo_on_the_path_is_run() {
        assert_eq!(process::line(&Toolchain(Kind::Path).cargo()), "cargo");
    }
}
