//! The ledger: every mutating request in order of arrival, whether it performed its effect or not.
//!
//! - `GET /ledger`: the entries, as a list
//! - `GET /ledger/summary`: `{"requests", "effects", "keys", "repeated"}`
//! - `DELETE /ledger`: removes the entries, but no keys and no resources

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::{Services, lock};

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The time of arrival, in milliseconds since 1970.
    pub at: u64,
    /// The place in the order of arrival, from 1. Clearing the ledger does not reset it.
    pub seq: u64,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path, with the query if there was one.
    pub path: String,
    /// The effect, such as `charge_card` or `send_mail`.
    pub effect: String,
    /// The body. `null` if there was none, a string if it was not JSON.
    pub body: Value,
    /// Whether it changed data: it was the first request with its key, and it succeeded.
    pub performed: bool,
    /// The status of the response. `null` while the request is in flight.
    pub status: Option<u16>,
}

/// The counts of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Requests received.
    pub requests: usize,
    /// Requests that changed data.
    pub effects: usize,
    /// Different keys.
    pub keys: usize,
    /// Requests with a key that an earlier request had.
    pub repeated: usize,
}

/// A request that has just arrived.
pub(crate) struct Arrival<'a> {
    pub key: Option<&'a str>,
    pub method: &'a str,
    pub path: &'a str,
    pub effect: &'a str,
    pub body: &'a [u8],
}

/// The entries, and a signal of their changes.
pub struct Ledger {
    entries: Mutex<Entries>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    last_seq: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { entries: Mutex::default(), changes: watch::Sender::new(()) }
    }
}

impl Ledger {
    /// Returns all entries, in order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.entries).list.clone()
    }

    /// Counts the entries.
    pub fn summary(&self) -> Summary {
        let entries = &lock(&self.entries).list;
        let keyed = entries.iter().filter_map(|entry| entry.key.as_deref());
        let keys = keyed.clone().collect::<HashSet<_>>().len();
        Summary {
            requests: entries.len(),
            effects: entries.iter().filter(|entry| entry.performed).count(),
            keys,
            repeated: keyed.count() - keys,
        }
    }

    /// Removes all entries.
    pub fn clear(&self) {
        lock(&self.entries).list.clear();
        self.changes.send_replace(());
    }

    /// Waits until `condition` holds, so that tests need no sleeps.
    pub async fn until(&self, condition: impl Fn(&[Entry]) -> bool) {
        let mut changes = self.changes.subscribe();
        while !condition(&lock(&self.entries).list) {
            // The sender is in `self`, so a change comes or the future is dropped.
            _ = changes.changed().await;
        }
    }

    /// Records that a request arrived. Returns its number.
    pub(crate) fn arrived(&self, arrival: Arrival<'_>) -> u64 {
        let body = body(arrival.body);
        let mut entries = lock(&self.entries);
        entries.last_seq += 1;
        let seq = entries.last_seq;
        entries.list.push(Entry {
            at: now(),
            seq,
            key: arrival.key.map(str::to_owned),
            method: arrival.method.to_owned(),
            path: arrival.path.to_owned(),
            effect: arrival.effect.to_owned(),
            body,
            performed: false,
            status: None,
        });
        drop(entries);
        self.changes.send_replace(());
        seq
    }

    /// Records the response to a request, unless the ledger was cleared since the request arrived.
    pub(crate) fn answered(&self, seq: u64, performed: bool, status: StatusCode) {
        let entries = &mut lock(&self.entries).list;
        if let Ok(index) = entries.binary_search_by_key(&seq, |entry| entry.seq) {
            entries[index].performed = performed;
            entries[index].status = Some(status.as_u16());
        }
        self.changes.send_replace(());
    }
}

fn body(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

#[allow(clippy::disallowed_methods, reason = "a service outside of Forge, with a clock of its own")]
fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis().try_into().unwrap_or(u64::MAX)
}

/// `/ledger` and `/ledger/summary`.
pub fn router() -> Router<Services> {
    Router::new().route("/ledger", get(list).delete(clear)).route("/ledger/summary", get(summary))
}

async fn list(State(services): State<Services>) -> Json<Vec<Entry>> {
    Json(services.ledger.entries())
}

async fn summary(State(services): State<Services>) -> Json<Summary> {
    Json(services.ledger.summary())
}

async fn clear(State(services): State<Services>) -> StatusCode {
    services.ledger.clear();
    StatusCode::NO_CONTENT
}
