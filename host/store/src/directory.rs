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

/// What identifies an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// The kind.
    pub kind: EntryKind,
    /// The tenant; empty for the host itself.
    pub tenant: String,
    /// The name.
    pub name: String,
}

impl Entry {
    /// Returns what identifies the entry.
    pub fn id(&self) -> EntryId {
        EntryId { kind: self.kind, tenant: self.tenant.clone(), name: self.name.clone() }
    }
}

/// The entries that have changed since a revision of the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// The revision of the directory now.
    pub revision: i64,
    /// Whether `changed` has all entries of the directory.
    pub is_whole: bool,
    /// The entries as they are now.
    pub changed: Vec<Entry>,
    /// The entries that were removed.
    pub removed: Vec<EntryId>,
}

/// The number of changes that a store lists. A host that has missed more reads the directory as a whole.
pub(crate) const LISTED_CHANGES: i64 = 10_000;

/// Returns the entries that have changed after revision `$1`, as they are now, with the revision of the directory. There is
/// at least one row.
pub(crate) const CHANGES: &str = "SELECT s.revision, s.trimmed, c.kind, c.tenant, c.name, d.document \
     FROM forge_directory_state s \
     LEFT JOIN (SELECT DISTINCT kind, tenant, name FROM forge_directory_changes WHERE revision > $1) c ON TRUE \
     LEFT JOIN forge_directory d ON d.kind = c.kind AND d.tenant = c.tenant AND d.name = c.name";

/// Returns all entries, as [`CHANGES`] does.
pub(crate) const ENTRIES: &str = "SELECT s.revision, s.trimmed, d.kind, d.tenant, d.name, d.document \
     FROM forge_directory_state s LEFT JOIN forge_directory d ON TRUE ORDER BY d.kind, d.tenant, d.name";

/// Removes the oldest changes of the list.
pub(crate) const TRIM: [&str; 2] = [
    "UPDATE forge_directory_state SET trimmed = revision - $1 WHERE revision - $1 > trimmed",
    "DELETE FROM forge_directory_changes WHERE revision <= (SELECT trimmed FROM forge_directory_state)",
];

/// A row of [`CHANGES`] or [`ENTRIES`]. Without an entry, nothing has changed. Without a document, the entry was removed.
pub(crate) struct UpdateRow {
    pub(crate) revision: i64,
    pub(crate) trimmed: i64,
    pub(crate) entry: Option<(EntryId, Option<String>)>,
}

impl UpdateRow {
    /// Reads the columns of a row.
    pub(crate) fn new(
        revision: i64,
        trimmed: i64,
        id: [Option<String>; 3],
        document: Option<String>,
    ) -> Result<Self, StoreError> {
        let corrupt =
            |error: UnknownWord| StoreError::Corrupt { table: "forge_directory", why: error.to_string() };
        let entry = match id {
            [Some(kind), Some(tenant), Some(name)] => {
                Some((EntryId { kind: kind.parse().map_err(corrupt)?, tenant, name }, document))
            }
            _ => None,
        };
        Ok(Self { revision, trimmed, entry })
    }
}

/// Returns the update that rows describe. `None`: changes since that revision are not listed any more.
pub(crate) fn update(since: Option<i64>, rows: Vec<UpdateRow>) -> Option<Update> {
    let first = rows.first()?;
    if since.is_some_and(|since| since < first.trimmed || since > first.revision) {
        return None;
    }
    let mut update = Update { revision: first.revision, is_whole: since.is_none(), ..Update::default() };
    for (EntryId { kind, tenant, name }, document) in rows.into_iter().filter_map(|row| row.entry) {
        match document {
            Some(document) => update.changed.push(Entry { kind, tenant, name, document }),
            None => update.removed.push(EntryId { kind, tenant, name }),
        }
    }
    Some(update)
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

/// What a tenant has in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The name of the tenant.
    pub tenant: String,
    /// The bytes that its runs take, with their journals and inboxes.
    pub bytes: u64,
    /// The number of its runs that are not final.
    pub unfinished: u64,
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

/// The number of [`Amounts`].
pub(super) const AMOUNTS: usize = 13;

/// Measured amounts, which can be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = UsageAmounts)]
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
    /// Bytes that workflows logged.
    #[serde(default)]
    pub log_bytes: u64,
    /// Lines of workflows that were dropped, because the tenant logged more than `log_rate`.
    #[serde(default)]
    pub log_dropped: u64,
    /// Lines of the audit log about workflows and runs.
    #[serde(default)]
    pub audit_lines: u64,
    /// Milliseconds in which components were checked and compiled.
    #[serde(default)]
    pub compile_ms: u64,
    /// Entries that were put into the tenant's store, also by transactions that failed.
    #[serde(default)]
    pub db_puts: u64,
    /// Bytes of keys and values in transactions of the tenant's store, also of transactions that failed.
    #[serde(default)]
    pub db_bytes: u64,
}

impl Amounts {
    /// Returns the amounts with the names of their columns.
    pub(super) fn columns(&self) -> [(&'static str, u64); AMOUNTS] {
        let Self {
            fuel,
            runs,
            steps,
            http_requests,
            http_bytes,
            journal_bytes,
            run_ms,
            log_bytes,
            log_dropped,
            audit_lines,
            compile_ms,
            db_puts,
            db_bytes,
        } = *self;
        [
            ("fuel", fuel),
            ("runs", runs),
            ("steps", steps),
            ("http_requests", http_requests),
            ("http_bytes", http_bytes),
            ("journal_bytes", journal_bytes),
            ("run_ms", run_ms),
            ("log_bytes", log_bytes),
            ("log_dropped", log_dropped),
            ("audit_lines", audit_lines),
            ("compile_ms", compile_ms),
            ("db_puts", db_puts),
            ("db_bytes", db_bytes),
        ]
    }

    /// Returns the amounts in the order of [`Amounts::columns`].
    pub(super) fn from_columns(values: [u64; AMOUNTS]) -> Self {
        let [
            fuel,
            runs,
            steps,
            http_requests,
            http_bytes,
            journal_bytes,
            run_ms,
            log_bytes,
            log_dropped,
            audit_lines,
            compile_ms,
            db_puts,
            db_bytes,
        ] = values;
        Self {
            fuel,
            runs,
            steps,
            http_requests,
            http_bytes,
            journal_bytes,
            run_ms,
            log_bytes,
            log_dropped,
            audit_lines,
            compile_ms,
            db_puts,
            db_bytes,
        }
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

/// A secret with which the nodes of an installation sign.
pub type SigningSecret = [u8; 32];

/// Returns the stored secret.
pub(crate) const SIGNING_SECRET: &str = "SELECT secret FROM forge_signing_secret";

/// Stores the secret `$1`, unless there is one.
pub(crate) const NEW_SIGNING_SECRET: &str =
    "INSERT INTO forge_signing_secret (one, secret) VALUES (1, $1) ON CONFLICT DO NOTHING";

/// Reads a stored secret.
pub(crate) fn signing_secret(stored: &[u8]) -> Result<SigningSecret, StoreError> {
    stored.try_into().map_err(|_| StoreError::Corrupt {
        table: "forge_signing_secret",
        why: format!("the secret has {} bytes", stored.len()),
    })
}

/// The directory of a store. As in [`Store`](super::Store), each method is atomic, and can return the errors listed there.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Returns the entries that have changed since a revision, or all, in one snapshot of committed data. No change is missed:
    /// revisions are committed in their order.
    async fn update(&self, since: Option<i64>) -> Result<Update, StoreError>;

    /// Removes entries that are no longer needed, and what is too old in the list of changes. Writes nothing to the audit log:
    /// what made the entries useless was a change, and is there. Durable when the method returns.
    async fn purge(&self, entries: &[EntryId]) -> Result<(), StoreError>;

    /// Changes an entry, if there is a change, and adds a line to the audit log, in one transaction. Both are durable when
    /// the method returns `true`. Returns `false`, and writes nothing, if the entry does not exist or is not as expected.
    /// Other nodes receive [`Notification::DirectoryChanged`](super::Notification::DirectoryChanged).
    async fn change(&self, change: Option<&Change>, audit: &AuditEntry) -> Result<bool, StoreError>;

    /// Returns the secret with which the nodes of the installation sign: the stored one, or `new`, which is stored then. It is
    /// durable when the method returns.
    async fn signing_secret(&self, new: &SigningSecret) -> Result<SigningSecret, StoreError>;

    /// Returns lines of the audit log with their numbers, the newest first.
    async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEntry)>, StoreError>;

    /// Adds amounts to the usage of tenants. The sums are durable when the method returns.
    async fn add_usage(&self, usage: &[UsageRow]) -> Result<(), StoreError>;

    /// Returns what each tenant has in the store. Commits and deletions keep the numbers; nothing is scanned.
    async fn stored(&self) -> Result<Vec<Stored>, StoreError>;

    /// Returns the usage in a range of hours, by tenant and hour.
    async fn usage(
        &self,
        tenant: Option<&str>,
        hours: std::ops::Range<i64>,
    ) -> Result<Vec<UsageRow>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(revision: i64, trimmed: i64, name: Option<&str>, document: Option<&str>) -> UpdateRow {
        let id = [name.map(|_| "key"), name.map(|_| "acme"), name].map(|word| word.map(str::to_owned));
        UpdateRow::new(revision, trimmed, id, document.map(str::to_owned)).unwrap()
    }

    #[test]
    fn an_update_has_what_was_changed_and_what_was_removed() {
        let rows = vec![row(7, 0, Some("a"), Some("{}")), row(7, 0, Some("b"), None)];
        let found = update(Some(3), rows).unwrap();
        assert_eq!((found.revision, found.is_whole), (7, false));
        assert_eq!((found.changed[0].name.as_str(), found.removed[0].name.as_str()), ("a", "b"));
        let nothing = update(Some(7), vec![row(7, 0, None, None)]).unwrap();
        assert_eq!(nothing, Update { revision: 7, ..Update::default() });
        assert!(update(None, vec![row(7, 0, None, None)]).unwrap().is_whole);
    }

    #[test]
    fn a_host_that_has_missed_more_changes_than_are_listed_reads_all() {
        assert!(update(Some(5), vec![row(9, 5, None, None)]).is_some());
        assert!(update(Some(4), vec![row(9, 5, None, None)]).is_none());
        assert!(update(Some(10), vec![row(9, 5, None, None)]).is_none(), "the database is an older copy");
    }
}
