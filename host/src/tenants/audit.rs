use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, TenantError, Tenants};
use forge_clock as clock;
use forge_store::directory::{AuditEntry, AuditFilter, Change};

/// The default and the largest number of entries of a page.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

/// The bytes of the object of an action, and of its details, that a tenant can have noted: nobody can delete a line. Operators
/// are not bounded.
const SUBJECT: usize = 1 << 10;
const DETAIL: usize = 4 << 10;

/// Attempts of a change of the directory while other changes get in the way: see [`Tenants::apply`].
pub(super) const TRIES: u32 = 5;

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// The position in the log.
    pub seq: i64,
    /// When the caller acted.
    pub at: DateTime<Utc>,
    /// The affected tenant; `null` for the host itself.
    pub tenant: Option<String>,
    /// The caller.
    pub actor: String,
    /// The action, such as `version.activate`.
    pub action: String,
    /// The object of the action.
    pub subject: String,
    /// Details of the action.
    pub detail: Option<Value>,
}

/// A page of the audit log, newest entries first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditPage {
    /// The entries.
    pub records: Vec<AuditRecord>,
    /// The `cursor` of the next page; `null` on the last page.
    pub next_cursor: Option<i64>,
}

/// Returns the audit entry of an action that happens now.
pub(super) fn audit_entry(
    by: &Caller,
    tenant: &str,
    action: &str,
    subject: &str,
    detail: Option<Value>,
) -> AuditEntry {
    let (mut subject, mut detail) = (subject.to_owned(), detail.map(|detail| detail.to_string()));
    if !by.is_host {
        subject.truncate(subject.floor_char_boundary(SUBJECT));
        detail = detail.map(bounded);
    }
    AuditEntry {
        at: clock::now(),
        tenant: tenant.to_owned(),
        actor: by.actor(),
        action: action.to_owned(),
        subject,
        detail,
    }
}

/// Returns the details, or the begin of details that are too long.
fn bounded(detail: String) -> String {
    if detail.len() <= DETAIL {
        return detail;
    }
    // Escaped once more, it has at most twice the length.
    let begin = &detail[..detail.floor_char_boundary(DETAIL / 2)];
    json!({ "bytes": detail.len(), "begin": begin }).to_string()
}

impl Tenants {
    /// Writes an entry about a workflow or run of the caller's tenant to the audit log, before the caller acts. The object of
    /// the action must exist: an entry stays for ever.
    ///
    /// # Errors
    /// [`TenantError::TooFast`] and [`TenantError::Store`]. The action must not happen then.
    pub async fn note(
        &self,
        by: &Caller,
        action: &str,
        subject: &str,
        detail: Option<Value>,
    ) -> Result<(), TenantError> {
        let tenant = self.get(&by.tenant).await?;
        let value = tenant.limits().audit_rate;
        if !by.is_host && !tenant.account.keeps_audit_rate(value) {
            return Err(TenantError::TooFast { tenant: tenant.name.to_string(), limit: "audit_rate", value });
        }
        tenant.account.audited();
        let entry = audit_entry(by, &by.tenant, action, subject, detail);
        self.store.directory().change(None, &entry).await?;
        Ok(())
    }

    /// Changes the directory. Returns `false` if the entry has changed since it was read.
    pub(super) async fn apply(&self, change: &Change, entry: &AuditEntry) -> Result<bool, TenantError> {
        let changed = self.store.directory().change(Some(change), entry).await;
        // Also after an error: the change may be durable. It reaches what is under way before the caller is answered.
        let refreshed = self.refresh().await;
        let changed = changed?;
        if let Err(error) = refreshed {
            tracing::warn!(%error, "a change of the directory is durable, and could not be read: it takes effect later");
        }
        Ok(changed)
    }

    /// Returns a page of the audit log, of one tenant or of all. A reader who does not act for the host learns that an
    /// operator acted, and not which one.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn audit(
        &self,
        reader: &Caller,
        tenant: Option<&str>,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage, TenantError> {
        let limit = if limit == 0 { PAGE } else { limit.min(LARGEST_PAGE) };
        let filter = AuditFilter { tenant: tenant.map(str::to_owned), before: cursor, limit: limit + 1 };
        let mut entries = self.store.directory().audit_entries(&filter).await?;
        let has_more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let mut records: Vec<AuditRecord> =
            entries.into_iter().map(|(seq, entry)| record(seq, entry)).collect();
        if !reader.is_host {
            let directory = self.directory().await?;
            for record in &mut records {
                record.actor = directory.actor_for(&reader.tenant, std::mem::take(&mut record.actor));
            }
        }
        let next_cursor = records.last().filter(|_| has_more).map(|last| last.seq);
        Ok(AuditPage { records, next_cursor })
    }
}

fn record(seq: i64, entry: AuditEntry) -> AuditRecord {
    let AuditEntry { at, tenant, actor, action, subject, detail } = entry;
    AuditRecord {
        seq,
        at: at.to_datetime(),
        tenant: (!tenant.is_empty()).then_some(tenant),
        actor,
        action,
        subject,
        detail: detail.map(|detail| serde_json::from_str(&detail).unwrap_or(Value::String(detail))),
    }
}
