//! Tools of LLVM's. They must be at least as new as the compiler's LLVM, or they do not know what it makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::apt;

/// Makes a profile of what programs have counted.
pub(super) const PROFDATA: Tool = Tool {
    name: "llvm-profdata",
    setting: "FORGE_LLVM_PROFDATA",
    does: "makes a profile of what the program counts",
    package: "llvm",
    component: Some("llvm-tools"),
};

/// Arranges the code of a finished program.
pub(super) const BOLT: Tool = Tool {
    name: "llvm-bolt",
    setting: "FORGE_LLVM_BOLT",
    does: "arranges the program's code",
    package: "bolt",
    component: None,
};

/// One of them.
pub(super) struct Tool {
    name: &'static str,
    /// The environment variable that says where it is.
    pub(super) setting: &'static str,
    does: &'static str,
    /// Debian's package, without LLVM's number.
    package: &'static str,
    /// rustup's component.
    component: Option<&'static str>,
}

/// What `rustc -vV` says.
pub(super) struct Compiler {
    /// The machine that it runs on.
    pub(super) host: String,
    /// The first number of its LLVM's version.
    llvm: u32,
}

impl Tool {
    /// Finds it, or installs it: rustup's if there is one and its server can be reached, or else Debian's if it has one
    /// that is new enough.
    pub(super) fn ensure(&self, compiler: &Compiler) -> Result<PathBuf> {
        let Self { name, setting, .. } = self;
        if let Some(tool) = std::env::var_os(setting).map(PathBuf::from) {
            ensure!(
                is_new_enough(&tool, compiler),
                "{setting} names {}, which is no {name} of LLVM {} or newer",
                tool.display(),
                compiler.llvm
            );
            return Ok(tool);
        }
        if let Some(found) = self.find(compiler) {
            return Ok(found);
        }
        let package = format!("{}-{}", self.package, compiler.llvm);
        self.install(&package);
        if let Some(found) = self.find(compiler) {
            return Ok(found);
        }
        let rustup = self.component.map(rustup).map(|command| format!("with rustup: `{command}`; or "));
        bail!(
            "{name} of LLVM {} or newer is missing, which {}. Install it: {}your distribution's package {package}; or \
             say in {setting} where it is",
            compiler.llvm,
            self.does,
            rustup.unwrap_or_default()
        )
    }

    /// Whether it helped is seen by looking for it again.
    fn install(&self, package: &str) {
        eprintln!("xtask: {} is missing", self.name);
        if let Some(component) = self.component {
            eprintln!("xtask: {}", rustup(component));
            if apt::run(Command::new("rustup").args(["component", "add", component])).is_ok() {
                return;
            }
            eprintln!("xtask: rustup could not add it");
        }
        if apt::is_available()
            && let Err(error) = apt::install(&[package])
        {
            eprintln!("xtask: {error:#}");
        }
    }

    fn find(&self, compiler: &Compiler) -> Option<PathBuf> {
        let of_rustup = sysroot()?.join("lib/rustlib").join(&compiler.host).join("bin").join(self.name);
        let of_debian = Path::new("/usr/lib").join(format!("llvm-{}/bin", compiler.llvm)).join(self.name);
        [of_rustup, of_debian, self.name.into()].into_iter().find(|tool| is_new_enough(tool, compiler))
    }
}

fn rustup(component: &str) -> String {
    format!("rustup component add {component}")
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn sysroot() -> Option<PathBuf> {
    let output = rustc().args(["--print", "sysroot"]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().into())
}

/// Asks the compiler that cargo uses here.
pub(super) fn compiler() -> Result<Compiler> {
    let output = rustc().arg("-vV").output().context("`rustc -vV` could not be started")?;
    parse(&String::from_utf8_lossy(&output.stdout)).context("`rustc -vV` does not say what it is")
}

fn parse(version: &str) -> Option<Compiler> {
    let value = |name| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (llvm, _) = value("LLVM version:")?.split_once('.')?;
    Some(Compiler { host: value("host:")?.to_owned(), llvm: llvm.parse().ok()? })
}

fn is_new_enough(tool: &Path, compiler: &Compiler) -> bool {
    let Ok(output) = Command::new(tool).arg("--version").output() else { return false };
    llvm_of(&String::from_utf8_lossy(&output.stdout)).is_some_and(|version| version >= compiler.llvm)
}

/// The first number after `LLVM version`, which is not all that it says.
fn llvm_of(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("LLVM version ")?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_compilers_and_tools_are_understood() {
        let compiler = parse("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.2\n").unwrap();
        assert_eq!((compiler.host.as_str(), compiler.llvm), ("x86_64-unknown-linux-gnu", 22));
        assert_eq!(llvm_of("Debian LLVM version 14.0.6\n  Optimized build.\n"), Some(14));
        assert_eq!(llvm_of("LLVM (http://llvm.org/):\n  LLVM version 22.1.2-rust-1.95.0-stable\n"), Some(22));
        assert_eq!(llvm_of("something else"), None);
    }
}
