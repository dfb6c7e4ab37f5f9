//! Installing Debian's packages.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Returns whether this machine has Debian's package manager.
pub(crate) fn is_available() -> bool {
    Command::new("apt-get").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Installs those of the packages that are missing, and removes none. An error says the command to run as root.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let user = Command::new("id").arg("-u").output().context("`id -u` could not be started")?;
    ensure!(
        user.stdout.trim_ascii() == b"0",
        "packages are missing. Run as root: apt-get update && apt-get install --no-install-recommends {names}"
    );
    eprintln!("xtask: installing Debian's packages: {names}");
    apt_get(&["update", "-qq"])?;
    apt_get(&[&["install", "-y", "-qq", "--no-install-recommends", "--no-remove"], &missing[..]].concat())
}

fn is_installed(package: &str) -> bool {
    let status = Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]).output();
    status.is_ok_and(|status| status.stdout == b"install ok installed")
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
