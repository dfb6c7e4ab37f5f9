//! Messages between nodes: PostgreSQL notifications on one channel. The payload is the sender's epoch, a word and an
//! argument. Nodes of different versions exchange them, so the words stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::{Changed, Epoch, Notification, StoreError};
use forge_journal::RunId;

/// How long the channel may be quiet before its connection is checked.
const QUIET: Duration = Duration::from_secs(20);

/// The pause before another attempt to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// A message on the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Unowned,
    /// There is a request for the node with this epoch.
    Requested(Epoch),
    /// There is a response to this request.
    Responded(i64),
    Awaited(RunId),
    AtRest(RunId),
    Watched(Vec<RunId>),
    Changed(Vec<(RunId, Changed)>),
    /// These runs, each of the node with this epoch, have new entries in their inboxes.
    Inboxes(Vec<(Epoch, RunId)>),
    DirectoryChanged,
    /// Another process has taken the name of the node with this epoch.
    Replaced(Epoch),
}

impl From<Notification> for Option<Message> {
    /// Returns the message of a notification that nodes send; the store sends the others.
    fn from(notification: Notification) -> Self {
        match notification {
            Notification::Unowned => Some(Message::Unowned),
            Notification::Awaited(run) => Some(Message::Awaited(run)),
            Notification::AtRest(run) => Some(Message::AtRest(run)),
            Notification::Watched(runs) => Some(Message::Watched(runs)),
            Notification::Changed(runs) => Some(Message::Changed(runs)),
            Notification::Requested
            | Notification::Inbox(_)
            | Notification::DirectoryChanged
            | Notification::Reconnected
            | Notification::Fenced
            | Notification::Replaced => None,
        }
    }
}

/// Returns the items of a list, separated by commas.
fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(",")
}

impl Message {
    pub(super) fn payload(&self, sender: Epoch) -> String {
        match self {
            Self::Unowned => format!("{sender} free"),
            Self::Requested(epoch) => format!("{sender} asked {epoch}"),
            Self::Responded(request) => format!("{sender} answered {request}"),
            Self::Awaited(run) => format!("{sender} awaited {run}"),
            Self::AtRest(run) => format!("{sender} rested {run}"),
            Self::Watched(runs) => format!("{sender} watched {}", list(runs, ToString::to_string)),
            Self::Changed(runs) => {
                let text =
                    |(run, Changed { revision, last, first }): &_| format!("{run}/{revision}/{last}/{first}");
                format!("{sender} changed {}", list(runs, text))
            }
            Self::Inboxes(runs) => {
                format!("{sender} inboxes {}", list(runs, |(epoch, run)| format!("{epoch}/{run}")))
            }
            Self::DirectoryChanged => format!("{sender} versions"),
            Self::Replaced(epoch) => format!("{sender} replaced {epoch}"),
        }
    }

    /// Returns the sender and the message; `None` for a message of a newer version.
    pub(super) fn parse(payload: &str) -> Option<(Epoch, Self)> {
        let mut words = payload.split(' ');
        let sender = Epoch(words.next()?.parse().ok()?);
        let word = words.next()?;
        let argument = words.next().unwrap_or_default();
        let message = match word {
            "free" => Self::Unowned,
            "asked" => Self::Requested(Epoch(argument.parse().ok()?)),
            "answered" => Self::Responded(argument.parse().ok()?),
            "awaited" => Self::Awaited(argument.parse().ok()?),
            "rested" => Self::AtRest(argument.parse().ok()?),
            "watched" => {
                Self::Watched(argument.split(',').map(|run| run.parse().ok()).collect::<Option<_>>()?)
            }
            "changed" => {
                let run = |text: &str| {
                    let (run, changed) = text.split_once('/')?;
                    let mut numbers = changed.split('/').map(|number| number.parse().ok());
                    let mut number = || numbers.next().flatten();
                    let changed = Changed { revision: number()?, last: number()?, first: number()? };
                    Some((run.parse().ok()?, changed))
                };
                Self::Changed(argument.split(',').map(run).collect::<Option<_>>()?)
            }
            "inboxes" => {
                let run = |text: &str| {
                    let (epoch, run) = text.split_once('/')?;
                    Some((Epoch(epoch.parse().ok()?), run.parse().ok()?))
                };
                Self::Inboxes(argument.split(',').map(run).collect::<Option<_>>()?)
            }
            "versions" => Self::DirectoryChanged,
            "replaced" => Self::Replaced(Epoch(argument.parse().ok()?)),
            _ => return None,
        };
        Some((sender, message))
    }
}

/// The epoch and the channel with which this node sends messages.
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

    pub(super) fn payload(&self, message: Message) -> String {
        message.payload(self.epoch())
    }
}

const NOTIFY: &str = "SELECT pg_notify($1, $2)";

pub(super) async fn send(shared: &Shared, message: Message) -> Result<(), StoreError> {
    let (channel, payload) = (shared.notifier.channel(), shared.notifier.payload(message));
    shared.readers.all(|| sqlx::query(NOTIFY).bind(channel).bind(&payload)).await.map(|_| ())
}

/// Receives messages until the store is closed.
pub(super) async fn listen(shared: Arc<Shared>, limit: Duration, first: PgListener) {
    let mut listener = Some(first);
    loop {
        if let Some(listener) = &mut listener {
            receive(&shared, listener, limit).await;
            tracing::warn!("the connection for notifications of other nodes was lost");
        }
        match connect(shared.endpoint.options(), shared.notifier.channel(), limit).await {
            Ok(connected) => {
                listener = Some(connected);
                shared.notify(Notification::Reconnected);
                shared.responded.send_replace(());
            }
            Err(error) => {
                tracing::debug!(%error, "cannot connect for notifications of other nodes");
                listener = None;
                sleep(PAUSE).await;
            }
        }
    }
}

/// Returns a connection that receives the messages that are sent from now on.
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

/// Receives messages until the connection is lost.
async fn receive(shared: &Shared, listener: &mut PgListener, limit: Duration) {
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Some((sender, message)) = Message::parse(notification.payload()) {
                    received(shared, sender, message);
                }
            }
            Ok(Ok(None) | Err(_)) => return,
            // A connection to a server that has disappeared is quiet, too.
            Err(_) => match timeout(limit, sqlx::query("SELECT 1").execute(&mut *listener)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

fn received(shared: &Shared, sender: Epoch, message: Message) {
    let here = shared.notifier.epoch();
    match message {
        Message::Responded(_) => {
            shared.responded.send_replace(());
        }
        Message::Requested(epoch) if epoch == here => shared.notify(Notification::Requested),
        Message::Replaced(epoch) if epoch == here => shared.replaced.notify_one(),
        Message::Requested(_) | Message::Replaced(_) => {}
        _ if sender == here => {}
        Message::Unowned => shared.notify(Notification::Unowned),
        Message::Awaited(run) => shared.notify(Notification::Awaited(run)),
        Message::AtRest(run) => shared.notify(Notification::AtRest(run)),
        Message::Watched(runs) => shared.notify(Notification::Watched(runs)),
        Message::Changed(runs) => shared.notify(Notification::Changed(runs)),
        Message::Inboxes(runs) => {
            if runs.iter().any(|(owner, _)| *owner == Epoch(0)) {
                shared.notify(Notification::Unowned);
            }
            for (_, run) in runs.into_iter().filter(|(owner, _)| *owner == here) {
                shared.notify(Notification::Inbox(run));
            }
        }
        Message::DirectoryChanged => shared.notify(Notification::DirectoryChanged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_parsed_as_it_was_sent() {
        let run = RunId(uuid::Uuid::from_u128(7));
        for message in [
            Message::Unowned,
            Message::Requested(Epoch(3)),
            Message::Responded(9),
            Message::Awaited(run),
            Message::AtRest(run),
            Message::Watched(vec![run, RunId(uuid::Uuid::from_u128(8))]),
            Message::Changed(vec![
                (run, Changed { revision: 3, last: 5, first: 1 }),
                (
                    RunId(uuid::Uuid::from_u128(8)),
                    Changed { revision: u64::MAX, last: u64::MAX, first: Changed::NO_CALL },
                ),
            ]),
            Message::Inboxes(vec![(Epoch(3), run), (Epoch(0), run)]),
            Message::DirectoryChanged,
            Message::Replaced(Epoch(1)),
        ] {
            assert_eq!(Message::parse(&message.clone().payload(Epoch(5))), Some((Epoch(5), message)));
        }
    }

    #[test]
    fn a_message_with_the_most_runs_fits_a_notification() {
        let run = RunId(uuid::Uuid::max());
        let changed = Changed { revision: u64::MAX, last: u64::MAX, first: Changed::NO_CALL };
        let runs = vec![(run, changed); crate::MOST_NOTIFIED];
        assert!(Message::Changed(runs).payload(Epoch(i64::MAX)).len() < 8_000);
    }

    #[test]
    fn an_unknown_payload_is_no_message() {
        for payload in
            ["", "free", "5", "5 hello", "5 asked", "x free", "5 awaited 7", "5 changed 7", "5 watched"]
        {
            assert_eq!(Message::parse(payload), None, "{payload}");
        }
    }
}
