use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Account, TenantError, Tenants};
use forge_clock as clock;
use forge_journal::Timestamp;
use forge_store::StoreError;
use forge_store::directory::{Amounts, UsageRow};

const HOUR_MS: i64 = 3_600_000;

/// The usage of a tenant in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = HourlyUsage)]
pub struct Usage {
    /// The name of the tenant.
    pub tenant: String,
    /// When the hour began.
    pub hour: DateTime<Utc>,
    /// The amounts.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// The usage of tenants in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageReport {
    /// The usage by tenant and hour.
    pub hours: Vec<Usage>,
    /// The sum of all hours.
    pub total: Amounts,
    /// The bytes that runs and their journals take in the database now.
    #[serde(default)]
    pub storage_bytes: u64,
}

impl Tenants {
    /// Writes the usage that is not written yet.
    ///
    /// # Errors
    /// [`StoreError`]: the usage is kept, and written by a later call.
    pub async fn write_usage(&self) -> Result<(), StoreError> {
        let hour = clock::now().0.div_euclid(HOUR_MS);
        let accounts: Vec<Arc<Account>> = self.accounts();
        let (mut charged, mut rows) = (Vec::new(), Vec::new());
        for account in accounts {
            account.report_dropped();
            let amounts = account.take();
            if amounts != Amounts::default() {
                rows.push(UsageRow { tenant: account.tenant.to_string(), hour, amounts });
                charged.push(account);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.store.directory().add_usage(&rows).await;
        if written.is_err() {
            charged.iter().zip(&rows).for_each(|(account, row)| account.give_back(&row.amounts));
        }
        written
    }

    /// Reads what each tenant has in the store. Between two calls, the accounts count what this node commits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn read_stored(&self) -> Result<(), StoreError> {
        let stored = self.store.directory().stored().await?;
        let stored: HashMap<String, (u64, u64)> =
            stored.into_iter().map(|of| (of.tenant, (of.bytes, of.unfinished))).collect();
        for tenant in stored.keys() {
            self.account(tenant);
        }
        for account in self.accounts() {
            let (bytes, unfinished) = stored.get(&*account.tenant).copied().unwrap_or_default();
            account.set_stored(bytes, unfinished);
        }
        Ok(())
    }

    /// Reads what each tenant has in the store, if this node has committed something since the last call, or a
    /// tenant has no room: an idle node costs the store nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn read_stored_if_busy(&self) -> Result<(), StoreError> {
        let is_full = || {
            let directory = self.directory.read();
            directory.tenants().any(|tenant| {
                let (account, limits) = (&tenant.account, tenant.limits());
                account.stored() >= limits.storage_bytes || account.unfinished() >= limits.unfinished_runs
            })
        };
        if self.has_grown.swap(false, Ordering::Relaxed) || is_full() {
            self.read_stored().await?;
        }
        Ok(())
    }

    /// Returns the usage of one tenant, or of all, in the hours that overlap with `from..until`.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn usage(
        &self,
        tenant: Option<&str>,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<UsageReport, TenantError> {
        self.write_usage().await?;
        self.read_stored().await?;
        // The hour that contains `until` is included.
        let hours = from.0.div_euclid(HOUR_MS)..until.0.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS);
        let rows = self.store.directory().usage(tenant, hours).await?;
        let total = rows.iter().fold(Amounts::default(), |total, row| total + row.amounts);
        let hour = |row: UsageRow| Usage {
            tenant: row.tenant,
            hour: Timestamp(row.hour.saturating_mul(HOUR_MS)).to_datetime(),
            amounts: row.amounts,
        };
        let storage_bytes = match tenant {
            Some(tenant) => self.account(tenant).stored(),
            None => self.accounts().iter().map(|account| account.stored()).sum(),
        };
        Ok(UsageReport { hours: rows.into_iter().map(hour).collect(), total, storage_bytes })
    }
}
