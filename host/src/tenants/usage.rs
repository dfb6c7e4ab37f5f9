use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Account, TenantError, Tenants};
use forge_clock as clock;
use forge_journal::Timestamp;
use forge_store::directory::{Amounts, UsageRow};

/// How often what was used is written. A host that is killed forgets at most so much of it.
const EVERY: Duration = Duration::from_secs(5);

const HOUR_MS: i64 = 3_600_000;

/// What a tenant used in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// The tenant.
    pub tenant: String,
    /// When the hour began.
    pub hour: DateTime<Utc>,
    /// How much it used.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// What tenants used in a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageReport {
    /// By tenant and hour.
    pub hours: Vec<Usage>,
    /// All of it.
    pub total: Amounts,
}

impl Tenants {
    /// Writes what was used, for as long as the host runs.
    pub(crate) async fn keep_accounts(self: Arc<Self>, shutdown: CancellationToken) {
        let mut is_last = false;
        while !is_last {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => is_last = true,
            }
            if let Err(error) = self.settle().await {
                tracing::debug!(%error, "what was used is written later");
            }
        }
    }

    /// Writes what was used and not written yet.
    ///
    /// # Errors
    /// [`TenantError::Store`]: it will be written later.
    pub async fn settle(&self) -> Result<(), TenantError> {
        let hour = clock::now().0.div_euclid(HOUR_MS);
        let accounts: Vec<Arc<Account>> = self.state().accounts.values().cloned().collect();
        let used: Vec<(Arc<Account>, UsageRow)> = accounts
            .into_iter()
            .map(|account| {
                let (tenant, amounts) = (account.tenant.to_string(), account.take());
                (account, UsageRow { tenant, hour, amounts })
            })
            .filter(|(_, used)| used.amounts != Amounts::default())
            .collect();
        if used.is_empty() {
            return Ok(());
        }
        let rows: Vec<UsageRow> = used.iter().map(|(_, used)| used.clone()).collect();
        let written = self.store.directory().add_usage(&rows).await;
        if written.is_err() {
            used.iter().for_each(|(account, used)| account.give_back(&used.amounts));
        }
        Ok(written?)
    }

    /// What tenants used in the hours that began from one time until before another.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn usage(
        &self,
        tenant: Option<&str>,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<UsageReport, TenantError> {
        self.settle().await?;
        // The hour in which the time ends is part of it.
        let hours = from.0.div_euclid(HOUR_MS)..until.0.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS);
        let used = self.store.directory().usage(tenant, hours).await?;
        let total = used.iter().fold(Amounts::default(), |total, used| total + used.amounts);
        let hour = |used: UsageRow| Usage {
            tenant: used.tenant,
            hour: Timestamp(used.hour.saturating_mul(HOUR_MS)).to_datetime(),
            amounts: used.amounts,
        };
        Ok(UsageReport { hours: used.into_iter().map(hour).collect(), total })
    }
}
