use forge_journal::db::Totals;
use serde::{Deserialize, Serialize};

use super::{Settings, Tenant};
use crate::config::Unit;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TenantInfo {
    /// The name of the tenant.
    pub name: String,
    /// The settings.
    pub settings: Settings,
    /// All limits: those that are set, and the host's values for the others.
    pub limits: Vec<EffectiveLimit>,
}

/// A limit in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectiveLimit {
    /// The name of the limit.
    pub name: String,
    /// The value.
    pub value: u64,
    /// The unit of the value.
    pub unit: Unit,
    /// How much of it is in use, on this node or in the database; `null` if that is not counted.
    #[serde(default)]
    pub used: Option<u64>,
    /// Whether the limit is set for this tenant.
    pub is_set: bool,
    /// What the limit bounds.
    pub about: String,
}

impl TenantInfo {
    /// Adds what the tenant's store has.
    pub(super) fn with_db(mut self, totals: Totals) -> Self {
        for limit in &mut self.limits {
            match limit.name.as_str() {
                "db_entries" => limit.used = Some(totals.entries),
                "db_bytes" => limit.used = Some(totals.bytes),
                _ => {}
            }
        }
        self
    }
}

impl From<&Tenant> for TenantInfo {
    fn from(tenant: &Tenant) -> Self {
        let terms = tenant.terms();
        let limit = |(name, unit, value, about): (&str, Unit, u64, &str)| EffectiveLimit {
            name: name.to_owned(),
            value,
            unit,
            used: tenant.account.used(name),
            is_set: terms.settings.limits.contains_key(name),
            about: about.to_owned(),
        };
        Self {
            name: tenant.name.to_string(),
            settings: terms.settings.clone(),
            limits: terms.limits.all().into_iter().map(limit).collect(),
        }
    }
}
