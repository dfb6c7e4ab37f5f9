//! Being asked to stop.

use anyhow::Context as _;

/// The signals that ask us to stop. From here on they do not kill us.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens to them.
    pub(super) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub(super) async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Listens to them.
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {})
    }

    /// The name of the next one.
    pub(super) async fn recv(&mut self) -> &'static str {
        if let Err(error) = tokio::signal::ctrl_c().await.context("cannot listen to Ctrl-C") {
            tracing::warn!("{error:#}");
            return std::future::pending().await;
        }
        "Ctrl-C"
    }
}
