//! What a store keeps beside runs and components: tenants with their API keys and secrets, who changed what, and what
//! tenants used.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use forge_journal::{Timestamp, UnknownWord};

/// The kind of a document of the directory.
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

/// A document of the directory. Kind, tenant and name are unique together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is about.
    pub kind: EntryKind,
    /// Whose it is; empty for the host itself.
    pub tenant: String,
    /// What it is called.
    pub name: String,
    /// A JSON document.
    pub document: String,
}

/// A change of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keeps an entry in the place of the one whose document was `was`; of none, if that is `None`.
    Put {
        /// The entry as it shall be.
        entry: Entry,
        /// Its document as it was read.
        was: Option<String>,
    },
    /// Removes the entry with this kind, tenant and name.
    Remove(EntryKind, String, String),
}

/// What somebody did: a line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Whose things were touched; empty for the host itself.
    pub tenant: String,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `version.activate`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More about it, a JSON document.
    pub detail: Option<String>,
}

/// Which lines of the audit log to read, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those of this tenant.
    pub tenant: Option<String>,
    /// Only those before this one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// What a tenant used in an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageRow {
    /// The tenant.
    pub tenant: String,
    /// Which hour: hours since 1970-01-01T00:00:00Z.
    pub hour: i64,
    /// How much.
    pub amounts: Amounts,
}

/// Amounts of what is measured. They add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Amounts {
    /// Units of fuel that guests computed, replays included.
    pub fuel: u64,
    /// Runs started.
    pub runs: u64,
    /// Calls journaled: steps, requests, timers and compensations.
    pub steps: u64,
    /// HTTP requests sent.
    pub http_requests: u64,
    /// Bytes of their bodies and of the answers'.
    pub http_bytes: u64,
    /// Bytes written to journals.
    pub journal_bytes: u64,
    /// Milliseconds for which runs had an instance in memory.
    pub run_ms: u64,
}

impl Amounts {
    /// The amounts with their names, in the order of the columns.
    pub(super) fn columns(&self) -> [(&'static str, u64); 7] {
        let Self { fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms } = *self;
        [
            ("fuel", fuel),
            ("runs", runs),
            ("steps", steps),
            ("http_requests", http_requests),
            ("http_bytes", http_bytes),
            ("journal_bytes", journal_bytes),
            ("run_ms", run_ms),
        ]
    }

    /// The opposite of [`Amounts::columns`].
    pub(super) fn from_columns(values: [u64; 7]) -> Self {
        let [fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms] = values;
        Self { fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms }
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

/// The directory of a store. As with [`Store`](super::Store), every method is atomic, and a change is durable when
/// its method returns.
#[async_trait]
pub trait Directory: Send + Sync {
    /// All entries.
    async fn entries(&self) -> Result<Vec<Entry>, StoreError>;

    /// Changes an entry, if any, and adds a line to the audit log. `false`: nothing was written, because the entry is
    /// not as it was, or is not there. Other nodes are told ([`Notification::Versions`](super::Notification::Versions)).
    async fn change(&self, change: Option<&Change>, deed: &AuditEntry) -> Result<bool, StoreError>;

    /// Lines of the audit log with their numbers, the newest first.
    async fn deeds(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError>;

    /// Adds to what tenants used.
    async fn charge(&self, used: &[UsageRow]) -> Result<(), StoreError>;

    /// What tenants used from one hour until before another, by tenant and hour.
    async fn used(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError>;
}
