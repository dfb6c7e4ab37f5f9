//! A `forge serve` process, seen from outside.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::database::{Reader, SQLITE};
use crate::http::{Connection, Socket, post};

/// A host. Dropping it kills the process and deletes its folder.
pub(crate) struct Host {
    program: PathBuf,
    flags: Vec<String>,
    folder: TempDir,
    database: String,
    process: Option<(Child, SocketAddr)>,
}

impl Host {
    /// Starts a host and uploads the component. Without a `database`, it has a file in its folder.
    pub(crate) async fn start(
        program: &Path,
        parent: &Path,
        component: &[u8],
        flags: &[&str],
        database: Option<String>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("host-").tempdir_in(parent)?;
        let database = database.unwrap_or(format!("{SQLITE}{}", folder.path().join("forge.db").display()));
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut host = Self { program: program.to_owned(), flags, folder, database, process: None };
        host.launch()?;
        let upload = post("/_api/workflows", None, "application/wasm", component);
        host.connect().await?.send_ok(&upload).await.context("the host refuses the component")?;
        Ok(host)
    }

    /// Starts the process and returns when it serves.
    pub(crate) fn launch(&mut self) -> Result<()> {
        let log = self.folder.path().join("forge.log");
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--database", &self.database]);
        // Compiled components are kept in the current folder.
        command.args(&self.flags).current_dir(self.folder.path());
        let log_file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().with_context(|| format!("cannot start {:?}", self.program))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Some(address) = address_in(&line) else {
            child.wait()?;
            bail!("forge serve did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        self.process = Some((child, address));
        Ok(())
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.process()?.1).await
    }

    /// Opens a WebSocket for subscriptions.
    pub(crate) async fn socket(&self) -> Result<Socket> {
        Socket::open(self.process()?.1).await
    }

    /// Executes a command of the CLI, such as `["runs", "show", ID]`.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Result<()> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["--server", &format!("http://{}", self.process()?.1)]).args(arguments);
        let output = command.output().await.with_context(|| format!("cannot start {:?}", self.program))?;
        ensure!(output.status.success(), "{arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The URL of its database.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Opens its database to read.
    pub(crate) async fn read(&self) -> Result<Reader> {
        Reader::open(&self.database).await
    }

    /// A slice of this host alone.
    pub(crate) fn alone(&self) -> &[Self] {
        std::slice::from_ref(self)
    }

    /// The proportional set size of the process in bytes: its own memory and its share of shared memory.
    pub(crate) fn memory(&self) -> Result<u64> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process()?.0.id()))?;
        Ok(pss_in(&rollup).context("smaps_rollup has no `Pss`")? * 1_024)
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        let (mut child, _) = self.process.take().context("the host is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn process(&self) -> Result<&(Child, SocketAddr)> {
        self.process.as_ref().context("the host is not running")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may not be running.
        let _ = self.kill();
    }
}

/// `forge 0.1.0 serves http://127.0.0.1:7070 (database sqlite:forge.db)`.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| word.strip_prefix("http://"))?.parse().ok()
}

/// In KiB.
fn pss_in(rollup: &str) -> Option<u64> {
    let value = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_memory_are_found() {
        let line = "forge 0.1.0 serves http://127.0.0.1:7070 (database sqlite:forge.db)\n";
        assert_eq!(address_in(line), Some(([127, 0, 0, 1], 7070).into()));
        assert_eq!(address_in(""), None);
        assert_eq!(pss_in("Rss:  900 kB\nPss:   800 kB\nPss_Dirty: 700 kB\n"), Some(800));
        assert_eq!(pss_in(""), None);
    }
}
