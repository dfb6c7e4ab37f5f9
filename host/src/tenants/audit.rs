use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Caller, TenantError, Tenants};
use forge_clock as clock;
use forge_store::directory::{AuditEntry, AuditFilter, Change};

/// Lines in a page if nothing is said, and the most.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// Its place in the log.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Whose things were touched; none: the host's own.
    pub tenant: Option<String>,
    /// Who did it.
    pub actor: String,
    /// What was done, such as `version.activate`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More about it.
    pub detail: Option<Value>,
}

/// A page of the audit log, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditPage {
    /// The lines.
    pub records: Vec<AuditRecord>,
    /// Give this as `cursor` to get the next page; absent on the last.
    pub next_cursor: Option<i64>,
}

/// What somebody does now.
pub(super) fn deed(
    by: &Caller,
    tenant: &str,
    action: &str,
    subject: &str,
    detail: Option<Value>,
) -> AuditEntry {
    AuditEntry {
        at: clock::now(),
        tenant: tenant.to_owned(),
        actor: by.actor(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail: detail.map(|detail| detail.to_string()),
    }
}

impl Tenants {
    /// Notes what somebody is about to do with the tenant's workflows or runs. What cannot be noted is not done.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn note(
        &self,
        by: &Caller,
        action: &str,
        subject: &str,
        detail: Option<Value>,
    ) -> Result<(), TenantError> {
        let deed = deed(by, &by.tenant, action, subject, detail);
        self.store.directory().change(None, &deed).await?;
        Ok(())
    }

    /// Changes the directory. False: it is not as it was.
    pub(super) async fn apply(&self, change: &Change, deed: &AuditEntry) -> Result<bool, TenantError> {
        let changed = self.store.directory().change(Some(change), deed).await;
        // Also if it failed: then nobody knows.
        self.forget();
        Ok(changed?)
    }

    /// What was done: of one tenant, or of all.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn audit(
        &self,
        tenant: Option<&str>,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage, TenantError> {
        let limit = if limit == 0 { PAGE } else { limit.min(LARGEST_PAGE) };
        let filter = AuditFilter { tenant: tenant.map(str::to_owned), before: cursor, limit: limit + 1 };
        let mut deeds = self.store.directory().audit_entries(&filter).await?;
        let has_more = deeds.len() > limit as usize;
        deeds.truncate(limit as usize);
        let records: Vec<AuditRecord> = deeds.into_iter().map(|(seq, deed)| record(seq, deed)).collect();
        let next_cursor = records.last().filter(|_| has_more).map(|last| last.seq);
        Ok(AuditPage { records, next_cursor })
    }
}

fn record(seq: i64, deed: AuditEntry) -> AuditRecord {
    let AuditEntry { at, tenant, actor, action, subject, detail } = deed;
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
