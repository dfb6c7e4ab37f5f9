//! The servers that the demo starts.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A server, killed when it is dropped.
pub(super) struct Server {
    child: Child,
    /// Its address: `http://127.0.0.1:PORT`.
    pub(super) url: String,
}

impl Server {
    /// Starts a server that prints its address in its first line.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log_file = File::options().create(true).append(true).open(log)?;
        forget(command);
        let mut child = command.stdout(Stdio::piped()).stderr(log_file).stdin(Stdio::null()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.with_context(|| format!("{command:?} did not start; see {}", log.display()))?;
        Ok(Self { url: url.to_owned(), child })
    }

    /// Returns its address without the scheme.
    pub(super) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Waits until it ends by itself.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // These fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Removes the variables that cargo sets for `xtask`.
pub(super) fn forget(command: &mut Command) {
    forge_toolchain::environment::forget_package(command);
}

/// Waits between two polls.
#[expect(clippy::disallowed_methods, reason = "it paces polling with a deadline; no result depends on it")]
pub(super) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
