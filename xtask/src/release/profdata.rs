//! `llvm-profdata`, which makes a profile of what programs have counted. It must be at least as new as the compiler's
//! LLVM, or it does not know what is in their files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use forge_toolchain::process;

use crate::postgres::apt_get;

/// Says where it is.
const SETTING: &str = "FORGE_LLVM_PROFDATA";

/// rustup's component is some 30 MB. A firewall that drops packets must not hold this up for long.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(120);

const COMMAND: &str = "rustup component add llvm-tools";

/// What `rustc -vV` says.
pub(super) struct Compiler {
    /// The machine that it runs on.
    pub(super) host: String,
    /// The first number of its LLVM's version.
    llvm: u32,
}

/// Finds it, or installs it: rustup's if its server can be reached, or else Debian's if it has one that is new enough.
pub(super) fn ensure() -> Result<PathBuf> {
    let compiler = compiler()?;
    if let Some(tool) = std::env::var_os(SETTING).map(PathBuf::from) {
        ensure!(
            is_new_enough(&tool, &compiler),
            "{SETTING} names {}, which is no llvm-profdata of LLVM {} or newer",
            tool.display(),
            compiler.llvm
        );
        return Ok(tool);
    }
    if let Some(found) = find(&compiler) {
        return Ok(found);
    }
    eprintln!("xtask: llvm-profdata is missing: {COMMAND}");
    let mut rustup = Command::new("rustup");
    let progress = &mut |line: &str| eprintln!("xtask: {line}");
    let added = process::run(rustup.args(["component", "add", "llvm-tools"]), Some(DOWNLOAD_LIMIT), progress);
    let package = format!("llvm-{}", compiler.llvm);
    if added.is_err() && Path::new("/usr/bin/apt-get").exists() {
        eprintln!("xtask: rustup could not add it. Installing the package {package}.");
        if let Err(error) = install(&package) {
            eprintln!("xtask: {error:#}");
        }
    }
    if let Some(found) = find(&compiler) {
        return Ok(found);
    }
    bail!(
        "llvm-profdata of LLVM {} or newer is missing, which makes a profile of what the program counts. With rustup: \
         `{COMMAND}`; or your distribution's package {package}; or say in {SETTING} where it is",
        compiler.llvm
    )
}

fn install(package: &str) -> Result<()> {
    apt_get(&["update", "-qq"])?;
    apt_get(&["install", "-y", "-qq", "--no-install-recommends", "--no-remove", package])
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
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

fn find(compiler: &Compiler) -> Option<PathBuf> {
    let sysroot = rustc().args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let of_rustup = Path::new(&sysroot).join("lib/rustlib").join(&compiler.host).join("bin/llvm-profdata");
    let of_debian = PathBuf::from(format!("/usr/lib/llvm-{}/bin/llvm-profdata", compiler.llvm));
    [of_rustup, of_debian, "llvm-profdata".into()].into_iter().find(|tool| is_new_enough(tool, compiler))
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
