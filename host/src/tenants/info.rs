use serde::{Deserialize, Serialize};

use super::{Settings, Tenant};
use crate::config::Unit;

/// A tenant as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TenantInfo {
    /// Its name.
    pub name: String,
    /// What is set of it.
    pub settings: Settings,
    /// Its limits: those that are set, and the host's for the rest.
    pub limits: Vec<EffectiveLimit>,
}

/// A limit as it is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectiveLimit {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// What it counts.
    pub unit: Unit,
    /// It is this tenant's own.
    pub is_set: bool,
    /// What it bounds.
    pub about: String,
}

impl From<&Tenant> for TenantInfo {
    fn from(tenant: &Tenant) -> Self {
        let limit = |(name, unit, value, about): (&str, Unit, u64, &str)| EffectiveLimit {
            name: name.to_owned(),
            value,
            unit,
            is_set: tenant.settings.limits.contains_key(name),
            about: about.to_owned(),
        };
        Self {
            name: tenant.name.to_string(),
            settings: tenant.settings.clone(),
            limits: tenant.limits.all().into_iter().map(limit).collect(),
        }
    }
}
