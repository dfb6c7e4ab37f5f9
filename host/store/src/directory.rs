//! Tenants with their API keys and secrets, the audit log, and the usage of tenants.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use forge_journal::{Timestamp, UnknownWord};

/// The kind of a directory entry.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[strum(parse_err_ty = UnknownWord, parse_err_fn = unknown_kind)]
pub enum EntryKind {
    /// A tenant; its name is the tenant's.
    Tenant,
    /// An API key; its name is the key's id.
    Key,
    /// A sealed secret.
    Secret,
}

impl EntryKind {
    /// Returns the word that the database uses.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_kind(word: &str) -> UnknownWord {
    UnknownWord::new("kind of entry", word)
}

/// An entry of the directory. Kind, tenant and name are unique together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The kind.
    pub kind: EntryKind,
    /// The tenant; empty for the host itself.
    pub tenant: String,
    /// The name.
    pub name: String,
    /// The content, a JSON document.
    pub document: String,
}

/// A change of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Inserts an entry, or replaces one if its document is still `was`.
    Put {
        /// The new entry.
        entry: Entry,
        /// The document of the entry to replace; `None` to insert.
        was: Option<String>,
    },
    /// Deletes the entry with this kind, tenant and name.
    Remove(EntryKind, String, String),
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The time.
    pub at: Timestamp,
    /// The tenant that was changed; empty for the host itself.
    pub tenant: String,
    /// The key or person that acted.
    pub actor: String,
    /// The action, for example `version.activate`.
    pub action: String,
    /// The object of the action.
    pub subject: String,
    /// Details, a JSON document.
    pub detail: Option<String>,
}

/// A selection of lines of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Selects lines of this tenant.
    pub tenant: Option<String>,
    /// Selects lines with a lower number.
    pub before: Option<i64>,
    /// The maximum number of lines.
    pub limit: u32,
}

/// The usage of a tenant in one hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// The tenant.
    pub tenant: String,
    /// The hour, in hours since 1970-01-01T00:00:00Z.
    pub hour: i64,
    /// The amounts.
    pub amounts: Amounts,
}

/// Measured amounts, which can be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Amounts {
    /// Units of fuel that guests consumed, replays included.
    pub fuel: u64,
    /// Runs started.
    pub runs: u64,
    /// Calls journaled: steps, requests, timers and compensations.
    pub steps: u64,
    /// HTTP requests sent.
    pub http_requests: u64,
    /// Bytes of request and response bodies.
    pub http_bytes: u64,
    /// Bytes written to journals.
    pub journal_bytes: u64,
    /// Milliseconds in which runs had an instance in memory.
    pub run_ms: u64,
    /// Milliseconds in which components were checked and compiled.
    #[serde(default)]
    pub compile_ms: u64,
}

impl Amounts {
    /// Returns the amounts with the names of their columns.
    pub(super) fn columns(&self) -> [(&'static str, u64); 8] {
        let Self { fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms, compile_ms } = *self;
        [
            ("fuel", fuel),
            ("runs", runs),
            ("steps", steps),
            ("http_requests", http_requests),
            ("http_bytes", http_bytes),
            ("journal_bytes", journal_bytes),
            ("run_ms", run_ms),
            ("compile_ms", compile_ms),
        ]
    }

    /// Returns the amounts in the order of [`Amounts::columns`].
    pub(super) fn from_columns(values: [u64; 8]) -> Self {
        let [fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms, compile_ms] = values;
        Self { fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms, compile_ms }
    }
}

impl std::ops::Add for Amounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let other = other.columns().map(|(_, amount)| amount);
        let mut sums = self.columns().map(|(_, amount)| amount);
        for (sum, amount) in sums.iter_mut().zip(other) {
            *sum = sum.saturating_add(amount);
        }
        Self::from_columns(sums)
    }
}

/// The directory of a store. As in [`Store`](super::Store), each method is atomic, and can return the errors listed there.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Returns all entries.
    async fn entries(&self) -> Result<Vec<Entry>, StoreError>;

    /// Changes an entry, if there is a change, and adds a line to the audit log, in one transaction. Both are durable when
    /// the method returns `true`. Returns `false`, and writes nothing, if the entry does not exist or is not as expected.
    /// Other nodes receive [`Notification::DirectoryChanged`](super::Notification::DirectoryChanged).
    async fn change(&self, change: Option<&Change>, audit: &AuditEntry) -> Result<bool, StoreError>;

    /// Returns lines of the audit log with their numbers, the newest first.
    async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError>;

    /// Adds amounts to the usage of tenants. The sums are durable when the method returns.
    async fn add_usage(&self, usage: &[UsageRow]) -> Result<(), StoreError>;

    /// Returns the usage in a range of hours, by tenant and hour.
    async fn usage(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError>;
}
