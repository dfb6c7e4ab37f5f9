//! The inbox of a run: what others send to it. Entries are durable before they are acknowledged, and stay until the run takes
//! them.
//!
//! The inbox is beside the journal: senders append to it on any node. What the run takes is recorded in its journal, in the
//! same commit that marks the entry as taken, so a replay reads the journal alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Failure, HashMap, Outcome, Run, RunId, TenantId, Timestamp, UnknownWord, kind};

/// The kind of an entry.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
#[strum(parse_err_ty = UnknownWord, parse_err_fn = UnknownWord::entry_kind)]
pub enum EntryKind {
    /// An event. Its name is that of the event.
    Event,
    /// The end of an attached child. Its name is the position of the call that started the child.
    ChildEnded,
    /// The parent of an attached child asks it to roll back.
    Cancel,
}

impl EntryKind {
    /// Returns the word that the database uses.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An entry of a run's inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// The position in the inbox, from 1, in the order in which entries were committed.
    pub seq: u64,
    /// The kind.
    pub kind: EntryKind,
    /// The name; see [`EntryKind`].
    pub name: Arc<str>,
    /// The key. Two entries of one kind and name with the same key are one.
    pub key: Arc<str>,
    /// The payload, a JSON document.
    pub payload: Arc<str>,
    /// The time at which it was sent.
    pub at: Timestamp,
}

/// An entry for the inbox of a run, before it is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The run.
    pub to: RunId,
    /// The tenant of the sender. A run of another tenant is unknown.
    pub tenant: TenantId,
    /// The kind.
    pub kind: EntryKind,
    /// The name; see [`EntryKind`].
    pub name: Arc<str>,
    /// The key. An event without one has a key of its own, so that it is appended once if its commit is repeated.
    pub key: Arc<str>,
    /// The payload, a JSON document.
    pub payload: Arc<str>,
    /// The time at which it is sent.
    pub at: Timestamp,
    /// The most events that the inbox may have.
    pub most_events: u64,
    /// The most bytes of payloads that the inbox may have.
    pub most_bytes: u64,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The position of the entry in the run's inbox.
    pub seq: u64,
    /// Whether an entry with the same key was there before, so that nothing was appended.
    pub duplicate: bool,
}

/// Why a message was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The tenant has no such run.
    #[error("there is no run {0}")]
    Unknown(RunId),
    /// The run is final.
    #[error("run {run} is {status}, so it takes no more events")]
    Final {
        /// The run.
        run: RunId,
        /// How it ended.
        status: super::WorkflowStatus,
    },
    /// The inbox is full.
    #[error(
        "run {run} has {have} that it has not taken, and the most is {most} ({limit}). Send the event again when the \
         run has taken some, or ask for a higher limit"
    )]
    Full {
        /// The run.
        run: RunId,
        /// What it has, with the unit.
        have: String,
        /// The limit.
        most: u64,
        /// The name of the limit.
        limit: &'static str,
    },
}

/// How an attached child ended, as the payload of its entry in the inbox of its parent.
#[derive(Debug, Serialize, Deserialize)]
struct ChildEnd {
    run: RunId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<ChildFailure>,
}

/// The failure of a child, which the row of the call that started it keeps as its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFailure {
    /// The child.
    pub run: RunId,
    /// The kind of the child's failure.
    pub kind: String,
    /// The message of the child's failure.
    pub message: String,
}

/// Returns the message that tells the parent of an attached child how the child ended. `None`: it is no attached child.
pub(super) fn end_of(run: &Run, at: Timestamp) -> Option<Message> {
    let parent = run.parent.filter(|parent| parent.attached)?;
    // What is not compensated and what is in doubt is in the record of the child.
    let failure = run.has_failed().then(|| {
        let (kind, message) = run.failure.as_ref().map_or((kind::ERROR, ""), |it| (&it.kind, &it.message));
        ChildFailure { run: run.id, kind: kind.to_owned(), message: message.to_owned() }
    });
    let output = run.output.as_deref().and_then(|output| RawValue::from_string(output.to_owned()).ok());
    let end = ChildEnd { run: run.id, output, failure };
    // It has nothing that JSON cannot write.
    let payload = serde_json::to_string(&end).unwrap_or_else(|_| "{}".to_owned());
    Some(Message::to_relative(run, parent.run, EntryKind::ChildEnded, parent.call.to_string(), payload, at))
}

/// Returns the message that cancels an attached child of a run.
pub(super) fn cancel(run: &Run, child: RunId, at: Timestamp) -> Message {
    Message::to_relative(run, child, EntryKind::Cancel, String::new(), "null".to_owned(), at)
}

impl Unsent {
    /// Returns the failure of the call that sent the message.
    pub(super) fn to_failure(&self) -> Failure {
        match self {
            // Room comes when the run takes events.
            Self::Full { .. } => Failure::new(kind::LIMIT, self.to_string()),
            Self::Unknown(_) | Self::Final { .. } => Failure::permanent(kind::ERROR, self.to_string()),
        }
    }
}

impl Message {
    /// Checks that a run with this status, and with events that it has not taken, takes the message.
    ///
    /// # Errors
    /// [`Unsent`].
    pub fn check_room(&self, status: super::WorkflowStatus, events: u64, bytes: u64) -> Result<(), Unsent> {
        if status.is_final() {
            return Err(Unsent::Final { run: self.to, status });
        }
        if self.kind == EntryKind::Event && events >= self.most_events {
            return Err(self.full(format!("{events} events"), self.most_events, "inbox_events"));
        }
        let bytes_then = bytes.saturating_add(self.payload.len() as u64);
        if self.kind == EntryKind::Event && bytes_then > self.most_bytes {
            return Err(self.full(format!("{bytes} bytes of events"), self.most_bytes, "inbox_bytes"));
        }
        Ok(())
    }

    /// Returns the error of an inbox that is full.
    pub fn full(&self, have: String, most: u64, limit: &'static str) -> Unsent {
        Unsent::Full { run: self.to, have, most, limit }
    }

    /// Creates a message to a parent or a child, of which there is one.
    fn to_relative(
        run: &Run,
        to: RunId,
        kind: EntryKind,
        name: String,
        payload: String,
        at: Timestamp,
    ) -> Self {
        Self {
            to,
            tenant: Arc::clone(&run.tenant),
            kind,
            name: name.into(),
            key: run.id.to_string().into(),
            payload: payload.into(),
            at,
            most_events: u64::MAX,
            most_bytes: u64::MAX,
        }
    }

    /// Returns the entry that the message becomes.
    #[must_use]
    pub fn into_entry(self, seq: u64) -> InboxEntry {
        let Self { kind, name, key, payload, at, .. } = self;
        InboxEntry { seq, kind, name, key, payload, at }
    }
}

impl InboxEntry {
    /// Returns the outcome of the call that takes the entry, and what its row keeps as its result.
    pub(super) fn outcome(&self) -> (Outcome, Option<Arc<str>>) {
        if self.kind != EntryKind::ChildEnded {
            return (Ok(Some(Arc::clone(&self.payload))), Some(Arc::clone(&self.payload)));
        }
        match serde_json::from_str(&self.payload) {
            Ok(ChildEnd { failure: None, output, .. }) => {
                let output: Arc<str> = output.as_deref().map_or("null", RawValue::get).into();
                (Ok(Some(Arc::clone(&output))), Some(output))
            }
            Ok(ChildEnd { failure: Some(failure), .. }) => {
                let ChildFailure { run, kind, message } = &failure;
                let message = format!("run {run} failed ({kind}): {message}");
                let kept = serde_json::to_string(&failure).ok().map(Into::into);
                (Err(Failure::new(kind::CHILD, message)), kept)
            }
            Err(error) => (
                Err(Failure::permanent(kind::CHILD, format!("the end of a child cannot be read: {error}"))),
                None,
            ),
        }
    }
}

/// What a call waits for in the inbox.
pub(super) type Address = (EntryKind, Arc<str>);

/// The entries that a run has not taken, as far as this node knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    /// The position of the last entry that this node knows.
    last: u64,
    entries: BTreeMap<u64, InboxEntry>,
    /// The entries by address. Never iterated.
    by_address: HashMap<Address, BTreeSet<u64>>,
}

impl Inbox {
    /// Creates an inbox with these entries. `last` is the position of the last one that was appended, taken or not.
    pub fn new(last: u64, entries: impl IntoIterator<Item = InboxEntry>) -> Self {
        let mut inbox = Self::default();
        for entry in entries {
            inbox.insert(entry);
        }
        inbox.last = inbox.last.max(last);
        inbox
    }

    /// Returns the position of the last entry that is known.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns the entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = &InboxEntry> {
        self.entries.values()
    }

    /// Returns the entries, in their order.
    pub fn into_entries(self) -> impl Iterator<Item = InboxEntry> {
        self.entries.into_values()
    }

    /// Adds an entry. One that is known changes nothing.
    pub(super) fn insert(&mut self, entry: InboxEntry) -> bool {
        let is_new = entry.seq > self.last;
        if is_new {
            self.last = entry.seq;
            let address = (entry.kind, Arc::clone(&entry.name));
            self.by_address.entry(address).or_default().insert(entry.seq);
            self.entries.insert(entry.seq, entry);
        }
        is_new
    }

    /// Returns the first entry for this address.
    pub(super) fn first(&self, address: &Address) -> Option<&InboxEntry> {
        self.entries.get(self.by_address.get(address)?.first()?)
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, seq: u64) -> Option<InboxEntry> {
        let entry = self.entries.remove(&seq)?;
        let address = (entry.kind, Arc::clone(&entry.name));
        if let Some(entries) = self.by_address.get_mut(&address) {
            entries.remove(&seq);
            if entries.is_empty() {
                self.by_address.remove(&address);
            }
        }
        Some(entry)
    }

    /// Returns whether the parent of the run asks it to roll back.
    pub fn has_cancel(&self) -> bool {
        self.first(&(EntryKind::Cancel, Arc::default())).is_some()
    }
}
