//! The server of `forge dev`: `forge serve --dev` as a child process, so that it is the same server.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::config::Database;

/// The time for the server to stop after SIGTERM: more than the five seconds that it takes at most.
const STOP_TIME: Duration = Duration::from_secs(10);

/// A running server. It is killed if this is dropped.
pub(super) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the server and waits until it listens.
    pub(super) async fn start(listen: SocketAddr, database: &Database) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the file of this program")?;
        let mut child = Command::new(program)
            .args(["serve", "--dev", "--log", "text", "--listen", &listen.to_string()])
            .args(["--database", &database.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the server")?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await.context("cannot read the output of the server")?;
        if line.is_empty() {
            let status = child.wait().await.context("cannot wait for the server")?;
            bail!("the server has not started ({status}); its message is above");
        }
        // Not JSON, for which the server would also print its errors as JSON.
        let url = line.split_once(" serves ").and_then(|(_, rest)| rest.split_whitespace().next());
        let url = url.context("the server printed something else than its address")?.to_owned();
        Ok(Self { child, url })
    }

    /// Returns the address of the server.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until the server has ended by itself.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Stops the server. Its runs continue with the next one.
    pub(super) async fn stop(mut self) {
        terminate(&self.child);
        if tokio::time::timeout(STOP_TIME, self.child.wait()).await.is_err() {
            // It is killed when it is dropped.
            tracing::warn!("the server does not stop: it is killed");
        }
    }
}

#[cfg(unix)]
fn terminate(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended: Ctrl-C on a terminal reaches it, too.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(_child: &Child) {}
