//! A `forge serve` process with a database of its own, or one that it shares, seen from outside.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::database::Place;
use crate::http::{Connection, get, post};
use crate::observe::{SyncCounter, Usage};

/// How long the host may take to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to start a host.
#[derive(Clone, Default)]
pub(crate) struct HostOptions {
    /// Flags of `forge serve`.
    pub(crate) flags: Vec<String>,
    /// Counts its syncs.
    pub(crate) sync_counter: Option<SyncCounter>,
}

impl HostOptions {
    /// A host with these flags.
    pub(crate) fn with_flags<const N: usize>(flags: [&str; N]) -> Self {
        Self { flags: flags.map(str::to_owned).to_vec(), sync_counter: None }
    }
}

/// A host. Its folder is gone when this is dropped.
pub(crate) struct Host {
    forge: PathBuf,
    folder: TempDir,
    place: Place,
    options: HostOptions,
    process: Option<Process>,
}

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Host {
    /// Starts a host and gives it the component. Without a place it has a database in a folder of its own.
    pub(crate) async fn start(
        forge: &Path,
        parent: &Path,
        component: &[u8],
        options: HostOptions,
        place: Option<Place>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("host-").tempdir_in(parent)?;
        let place = place.unwrap_or_else(|| Place::Sqlite(folder.path().join("forge.db")));
        let mut host = Self { forge: forge.to_owned(), folder, place, options, process: None };
        host.launch()?;
        let upload = post(host.address()?, "/_api/workflows", "application/wasm", component);
        host.connect().await?.send(&upload).await?.ok().context("the host refuses the component")?;
        Ok(host)
    }

    /// Starts the process and returns when it serves.
    pub(crate) fn launch(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the host is running");
        let log = self.folder.path().join("forge.log");
        let log_file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&self.forge);
        command.args(["serve", "--listen", "127.0.0.1:0", "--database"]).arg(self.place.url());
        command.arg("--module-cache").arg(self.folder.path().join("modules")).args(&self.options.flags);
        if let Some(counter) = &self.options.sync_counter {
            counter.attach(&mut command);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.forge.display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Some(address) = address_in(&line) else {
            child.wait()?;
            bail!("forge serve did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        self.process = Some(Process { child, address });
        Ok(())
    }

    /// Stops it, and lets this program go on with what it had.
    pub(crate) async fn go_on_as(&mut self, forge: &Path) -> Result<()> {
        let ended = self.stop().await?;
        ensure!(ended.success(), "the host ended with {ended}");
        forge.clone_into(&mut self.forge);
        self.launch()
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        Connection::open(self.address()?).await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.running()?.address)
    }

    /// Its process's id.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.running()?.child.id())
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid()?)
    }

    /// Its database.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// It and no other one.
    pub(crate) fn alone(&self) -> &[Self] {
        std::slice::from_ref(self)
    }

    /// What it answers to a `GET`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let mut connection = self.connect().await?;
        let request = get(self.address()?, path);
        Ok(serde_json::from_slice(connection.send(&request).await?.ok()?)?)
    }

    /// Ends it with SIGKILL: it cannot prepare for that.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the host is not running")?;
        process.child.kill()?;
        process.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits: then a database that is a file is one file.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        let pid = self.pid()?;
        let asked = Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
        ensure!(asked.success(), "cannot send SIGTERM to process {pid}");
        let mut process = self.process.take().context("the host is not running")?;
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                process.child.kill()?;
                process.child.wait()?;
                bail!("the host did not stop within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().context("the host is not running")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself, which is as good.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// `forge 0.1.0 serves http://127.0.0.1:7070 (database sqlite:forge.db)`.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| word.strip_prefix("http://"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_where_the_host_listens() {
        let line = "forge 0.1.0 serves http://127.0.0.1:7070 (database sqlite:forge.db)\n";
        assert_eq!(address_in(line), Some(([127, 0, 0, 1], 7070).into()));
        assert_eq!(address_in(""), None);
    }
}
