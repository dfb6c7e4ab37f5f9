use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A server that the demo started, and stops.
pub(super) struct Server {
    child: Child,
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub(super) url: String,
}

impl Server {
    /// Starts a server that prints where it listens in its first line.
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

    /// Its address without the scheme.
    pub(super) fn address(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Ends it with SIGKILL: it cannot prepare for that.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the outer cargo set is not for the programs that the demo starts.
pub(super) fn forget(command: &mut Command) {
    forge_toolchain::environment::forget_package(command);
}

/// A moment between two looks at something that another process does.
#[expect(clippy::disallowed_methods, reason = "it paces polling with a deadline; nothing relies on it")]
pub(super) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
