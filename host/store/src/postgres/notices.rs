//! Notices are PostgreSQL's notifications on one channel: the sender's epoch, a word, and what it is about.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::Shared;
use forge_journal::RunId;
use crate::{Epoch, Notice, StoreError};

/// How long the channel may be quiet before its connection is tried.
const QUIET: Duration = Duration::from_secs(20);

/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_millis(250);

/// What is said on the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
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

impl From<Notice> for Option<Word> {
    /// What a node says itself; the store says the rest.
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Free => Some(Word::Free),
            Notice::Awaited(run) => Some(Word::Awaited(run)),
            Notice::Rested(run) => Some(Word::Rested(run)),
            Notice::Asked | Notice::Versions | Notice::Reconnected | Notice::Fenced | Notice::Replaced => {
                None
            }
        }
    }
}

impl Word {
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
pub(super) struct Voice {
    epoch: AtomicI64,
    channel: String,
}

impl Voice {
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

    pub(super) fn say(&self, word: Word) -> String {
        word.payload(self.epoch())
    }

    pub(super) fn versions(&self) -> String {
        self.say(Word::Versions)
    }
}

const TELL: &str = "SELECT pg_notify($1, $2)";

pub(super) async fn tell(shared: &Shared, word: Word) -> Result<(), StoreError> {
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
                shared.notify(Notice::Reconnected);
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
                if let Some((sender, word)) = Word::parse(notification.payload()) {
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

fn heard(shared: &Shared, sender: Epoch, word: Word) {
    let here = shared.voice.epoch();
    match word {
        Word::Answered(_) => {
            shared.answered.send_replace(());
        }
        Word::Asked(epoch) if epoch == here => shared.notify(Notice::Asked),
        Word::Replaced(epoch) if epoch == here => shared.replaced.notify_one(),
        Word::Asked(_) | Word::Replaced(_) => {}
        _ if sender == here => {}
        Word::Free => shared.notify(Notice::Free),
        Word::Awaited(run) => shared.notify(Notice::Awaited(run)),
        Word::Rested(run) => shared.notify(Notice::Rested(run)),
        Word::Versions => shared.notify(Notice::Versions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let run = RunId(uuid::Uuid::from_u128(7));
        for word in [
            Word::Free,
            Word::Asked(Epoch(3)),
            Word::Answered(9),
            Word::Awaited(run),
            Word::Rested(run),
            Word::Versions,
            Word::Replaced(Epoch(1)),
        ] {
            assert_eq!(Word::parse(&word.payload(Epoch(5))), Some((Epoch(5), word)));
        }
    }

    #[test]
    fn what_nobody_understands_is_nothing() {
        for payload in ["", "free", "5", "5 hello", "5 asked", "x free", "5 awaited 7"] {
            assert_eq!(Word::parse(payload), None, "{payload}");
        }
    }
}
