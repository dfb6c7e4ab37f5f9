//! The task of a subscription.
//!
//! It hands its frames to the connection through a channel with a few slots, and makes a frame only when it has one: a client that
//! does not read holds no more than these. The connection's own task may be stopped by its client for long, so it does not
//! make frames itself: it would hold its turn in the queues for permits and memory. A subscription that its client ends in the
//! middle of a read counts until the read has ended: otherwise a client that subscribes and unsubscribes in a loop would begin
//! more reads than it has turns.

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::executor::ExecutorError;
use crate::executor::live::{Frame, ListSubscription, RunSubscription};

/// The frames of a connection that wait to be sent.
pub(super) const SLOTS: usize = 2;

/// A subscription of a client. It lives in the task that drives it.
#[expect(
    clippy::large_enum_variant,
    reason = "there are few subscriptions to lists, and a run's is the smaller one"
)]
pub(super) enum Subscription {
    Run(RunSubscription),
    List(ListSubscription),
}

/// What a subscription yields.
pub(super) struct Yielded {
    /// The number of the subscription on its connection.
    pub(super) subscription: u64,
    /// A frame, the end, or the error with which it ends.
    pub(super) what: Result<Option<Frame>, ExecutorError>,
}

impl Subscription {
    async fn changed(&mut self) -> Result<(), ExecutorError> {
        match self {
            Self::Run(subscription) => subscription.changed().await,
            Self::List(subscription) => subscription.changed().await,
        }
    }

    async fn try_next(&mut self) -> Result<Option<Frame>, ExecutorError> {
        match self {
            Self::Run(subscription) => subscription.try_next().await,
            Self::List(subscription) => subscription.try_next().await,
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Run(subscription) => subscription.is_over(),
            Self::List(_) => false,
        }
    }

    /// Hands what the subscription yields to a connection, until the handle is dropped.
    pub(super) fn drive(self, number: u64, frames: mpsc::Sender<Yielded>) -> DropGuard {
        let ended = CancellationToken::new();
        tokio::spawn(self.forward(number, frames, ended.clone()));
        ended.drop_guard()
    }

    async fn forward(mut self, subscription: u64, frames: mpsc::Sender<Yielded>, ended: CancellationToken) {
        loop {
            let next = async {
                let changed = self.changed().await;
                Some((changed, frames.reserve().await.ok()?))
            };
            let Some(Some((changed, slot))) = ended.run_until_cancelled(next).await else { return };
            if ended.is_cancelled() {
                return;
            }
            let what = match changed {
                Ok(()) => self.try_next().await,
                Err(error) => Err(error),
            };
            let goes_on = match &what {
                Ok(Some(_)) => true,
                Ok(None) if !self.is_over() => continue,
                Ok(None) | Err(_) => false,
            };
            slot.send(Yielded { subscription, what });
            if !goes_on {
                return;
            }
        }
    }
}
