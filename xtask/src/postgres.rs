//! PostgreSQL's programs and pgbouncer, with which tests start servers.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use forge_postgres::{Binaries, HOW_TO_INSTALL};

use super::apt;

/// The file in which Debian's packages find out whether to create a database cluster and start it.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";

/// Installs the programs from Debian's packages if they are missing.
pub(crate) fn ensure() -> Result<()> {
    if Binaries::find().is_none() {
        if std::env::var_os("FORGE_POSTGRES_BIN").is_some() || !apt::is_available() {
            bail!(HOW_TO_INSTALL);
        }
        eprintln!("xtask: PostgreSQL's programs are missing.");
        install().context(HOW_TO_INSTALL)?;
    }
    let found = Binaries::find().context(HOW_TO_INSTALL)?;
    eprintln!("xtask: Tests start PostgreSQL from {}.", found.folder().display());
    if apt::is_available() {
        apt::install(&["pgbouncer"])?;
    }
    Ok(())
}

/// Installs the server without a database cluster: no data, no service, no open port.
fn install() -> Result<()> {
    apt::install(&["postgresql-common"])?;
    apt::run(Command::new("pg_conftool").args([CLUSTERS, "set", "create_main_cluster", "false"]))?;
    let installed = apt::install(&["postgresql"]);
    // A version that somebody installs later follows Debian's default again.
    apt::run(Command::new("pg_conftool").args([CLUSTERS, "remove", "create_main_cluster"]))?;
    installed
}
