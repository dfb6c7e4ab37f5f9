//! Notices are PostgreSQL's notifications on one channel: the sender's epoch, a word, and what it is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::{Epoch, Notification, StoreError};
use forge_journal::RunId;

/// How long the channel may be quiet before its connection is tried.
const QUIET: Duration = Duration::from_secs(20);

/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(250);

/// What is said on the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Free,
    /// Somebody asks the node with this epoch.
    Asked(Epoch),
    /// This question was answered.
    Answered(i64),
    Awaited(RunId),
    Rested(RunId),
    Versions,
    /// Another process has the name of the node with this epoch.
    Replaced(Epoch),
}

impl From<Notification> for Option<Message> {
    /// What a node says itself; the store says the rest.
    fn from(notice: Notification) -> Self {
        match notice {
            Notification::Free => Some(Message::Free),
            Notification::Awaited(run) => Some(Message::Awaited(run)),
            Notification::Rested(run) => Some(Message::Rested(run)),
            Notification::Asked
            | Notification::Versions
            | Notification::Reconnected
            | Notification::Fenced
            | Notification::Replaced => None,
        }
    }
}

impl Message {
    pub(super) fn payload(self, sender: Epoch) -> String {
        match self {
            Self::Free => format!("{sender} free"),
            Self::Asked(epoch) => format!("{sender} asked {epoch}"),
            Self::Answered(question) => format!("{sender} answered {question}"),
            Self::Awaited(run) => format!("{sender} awaited {run}"),
            Self::Rested(run) => format!("{sender} rested {run}"),
            Self::Versions => format!("{sender} versions"),
            Self::Replaced(epoch) => format!("{sender} replaced {epoch}"),
        }
    }

    /// The sender, and what it says. `None` for what a newer version says.
    pub(super) fn parse(payload: &str) -> Option<(Epoch, Self)> {
        let mut words = payload.split(' ');
        let sender = Epoch(words.next()?.parse().ok()?);
        let word = words.next()?;
        let about = words.next().unwrap_or_default();
        let word = match word {
            "free" => Self::Free,
            "asked" => Self::Asked(Epoch(about.parse().ok()?)),
            "answered" => Self::Answered(about.parse().ok()?),
            "awaited" => Self::Awaited(about.parse().ok()?),
            "rested" => Self::Rested(about.parse().ok()?),
            "versions" => Self::Versions,
            "replaced" => Self::Replaced(Epoch(about.parse().ok()?)),
            _ => return None,
        };
        Some((sender, word))
    }
}

/// How this node speaks: in which epoch, on which channel.
pub(super) struct Notifier {
    epoch: AtomicI64,
    channel: String,
}

impl Notifier {
    pub(super) fn new(epoch: Epoch, channel: String) -> Self {
        Self { epoch: AtomicI64::new(epoch.0), channel }
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    pub(super) fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn say(&self, word: Message) -> String {
        word.payload(self.epoch())
    }

    pub(super) fn versions(&self) -> String {
        self.say(Message::Versions)
    }
}

const TELL: &str = "SELECT pg_notify($1, $2)";

pub(super) async fn tell(shared: &Shared, word: Message) -> Result<(), StoreError> {
    let said = shared.voice.say(word);
    shared.readers.all(|| sqlx::query(TELL).bind(shared.voice.channel()).bind(&said)).await.map(|_| ())
}

/// Hears until the store is closed.
pub(super) async fn listen(
    shared: Arc<Shared>,
    options: PgConnectOptions,
    limit: Duration,
    first: PgListener,
) {
    let mut listener = Some(first);
    loop {
        if let Some(listener) = &mut listener {
            hear(&shared, listener, limit).await;
            tracing::warn!("the connection for notices from other nodes is lost");
        }
        match connect(&options, shared.voice.channel(), limit).await {
            Ok(connected) => {
                listener = Some(connected);
                shared.notify(Notification::Reconnected);
                shared.answered.send_replace(());
            }
            Err(error) => {
                tracing::debug!(%error, "notices from other nodes cannot be heard");
                listener = None;
                sleep(PAUSE).await;
            }
        }
    }
}

/// A connection that hears what is said on the channel from now on.
pub(super) async fn connect(
    options: &PgConnectOptions,
    channel: &str,
    limit: Duration,
) -> Result<PgListener, super::error::QueryError> {
    let connecting = async {
        let pool =
            PgPoolOptions::new().max_connections(1).acquire_timeout(limit).connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        listener.listen(channel).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    Ok(timeout(limit, connecting).await.map_err(|_| super::error::QueryError::TimedOut(limit))??)
}

/// Returns when the connection is lost.
async fn hear(shared: &Shared, listener: &mut PgListener, limit: Duration) {
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Some((sender, word)) = Message::parse(notification.payload()) {
                    heard(shared, sender, word);
                }
            }
            Ok(Ok(None) | Err(_)) => return,
            // A connection whose other end is gone without a word is quiet, too.
            Err(_) => match timeout(limit, sqlx::query("SELECT 1").execute(&mut *listener)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

fn heard(shared: &Shared, sender: Epoch, word: Message) {
    let here = shared.voice.epoch();
    match word {
        Message::Answered(_) => {
            shared.answered.send_replace(());
        }
        Message::Asked(epoch) if epoch == here => shared.notify(Notification::Asked),
        Message::Replaced(epoch) if epoch == here => shared.replaced.notify_one(),
        Message::Asked(_) | Message::Replaced(_) => {}
        _ if sender == here => {}
        Message::Free => shared.notify(Notification::Free),
        Message::Awaited(run) => shared.notify(Notification::Awaited(run)),
        Message::Rested(run) => shared.notify(Notification::Rested(run)),
        Message::Versions => shared.notify(Notification::Versions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let run = RunId(uuid::Uuid::from_u128(7));
        for word in [
            Message::Free,
            Message::Asked(Epoch(3)),
            Message::Answered(9),
            Message::Awaited(run),
            Message::Rested(run),
            Message::Versions,
            Message::Replaced(Epoch(1)),
        ] {
            assert_eq!(Message::parse(&word.payload(Epoch(5))), Some((Epoch(5), word)));
        }
    }

    #[test]
    fn what_nobody_understands_is_nothing() {
        for payload in ["", "free", "5", "5 hello", "5 asked", "x free", "5 awaited 7"] {
            assert_eq!(Message::parse(payload), None, "{payload}");
        }
    }
}
