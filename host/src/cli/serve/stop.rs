//! The signals that stop the server.

use anyhow::Context as _;

/// A listener for the signals that stop the server. While it exists, they do not kill the process.
pub(in crate::cli) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Starts listening.
    pub(in crate::cli) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and returns its name.
    pub(in crate::cli) async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Starts listening.
    pub(in crate::cli) fn listen() -> anyhow::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal and returns its name.
    pub(in crate::cli) async fn recv(&mut self) -> &'static str {
        if let Err(error) = tokio::signal::ctrl_c().await.context("cannot listen to Ctrl-C") {
            tracing::warn!("{error:#}");
            return std::future::pending().await;
        }
        "Ctrl-C"
    }
}
