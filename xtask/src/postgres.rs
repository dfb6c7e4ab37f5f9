//! PostgreSQL's programs, which tests start servers with.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use forge_postgres::{Binaries, HOW_TO_INSTALL};

/// Debian's file about clusters, which its packages make and start as soon as there is a server, unless it says no.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";

/// Finds them, or installs them from Debian's packages.
pub(crate) fn ensure() -> Result<Binaries> {
    if let Some(found) = Binaries::find() {
        eprintln!("xtask: servers are started with {}.", found.folder().display());
        return Ok(found);
    }
    if std::env::var_os("FORGE_POSTGRES_BIN").is_some() || !Path::new("/usr/bin/apt-get").exists() {
        bail!(HOW_TO_INSTALL);
    }
    let user = Command::new("id").arg("-u").output().context("`id -u` could not be started")?;
    ensure!(user.stdout.trim_ascii() == b"0", "{HOW_TO_INSTALL}. As root, this command does it");
    install()?;
    Binaries::find().context(HOW_TO_INSTALL)
}

/// Installs the server without a cluster: no data, no service, nothing that listens.
fn install() -> Result<()> {
    eprintln!("xtask: installing Debian's package postgresql, without a database cluster.");
    apt_get(&["update", "-qq"])?;
    apt_get(&["install", "-y", "-qq", "--no-install-recommends", "--no-remove", "postgresql-common"])?;
    run(Command::new("pg_conftool").args([CLUSTERS, "set", "create_main_cluster", "false"]))?;
    let installed =
        apt_get(&["install", "-y", "-qq", "--no-install-recommends", "--no-remove", "postgresql"]);
    // Who installs another version later gets what Debian says.
    run(Command::new("pg_conftool").args([CLUSTERS, "remove", "create_main_cluster"]))?;
    installed
}

/// As root only.
fn apt_get(arguments: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}
