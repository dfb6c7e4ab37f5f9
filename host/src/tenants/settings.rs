use serde::{Deserialize, Serialize};

use super::TenantError;
use crate::config::{LimitValues, TenantLimits};
use forge_egress::{Network, Policy, Rule};
use forge_store::directory::Entry;

/// What is set of a tenant; the rest is as the host has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Servers that its workflows may reach, as `https://api.example.com` or `https://*.example.com`. None: as the
    /// host is configured for the tenant `default`, and no server for any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<String>>,
    /// Networks that these servers may be in although they are not public, such as `10.0.0.0/8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress_private: Vec<String>,
    /// Limits of its own, by name.
    #[serde(skip_serializing_if = "LimitValues::is_empty")]
    pub limits: LimitValues,
    /// It may look at what it has, and nothing of it begins or goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// What to change of a tenant. What is not mentioned stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsChange {
    /// Servers that its workflows may reach from now on; an empty list is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<String>>,
    /// Networks that they may be in although they are not public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_private: Option<Vec<String>>,
    /// Limits by name; `null` takes the host's again.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub limits: std::collections::BTreeMap<String, Option<u64>>,
    /// Whether it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
}

impl Settings {
    pub(super) fn decode(entry: &Entry) -> Result<Self, TenantError> {
        serde_json::from_str(&entry.document)
            .map_err(|error| TenantError::corrupt("tenant", &entry.name, error))
    }

    pub(super) fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The policy that is set, if one is.
    pub(super) fn policy(&self) -> Result<Option<Policy>, TenantError> {
        let Some(rules) = &self.egress else { return Ok(None) };
        let rules = rules.iter().map(|rule| rule.parse()).collect::<Result<Vec<Rule>, _>>()?;
        let private = self.egress_private.iter().map(|network| network.parse());
        Ok(Some(Policy::only(rules, private.collect::<Result<Vec<Network>, _>>()?)))
    }

    /// The host's limits with those that are set. One that this host cannot give is left as the host has it.
    pub(super) fn limits_within(&self, host: &TenantLimits) -> TenantLimits {
        self.limits.iter().fold(host.clone(), |limits, (name, value)| {
            match limits.with(&LimitValues::from([(name.clone(), *value)])) {
                Ok(limits) => limits,
                Err(error) => {
                    tracing::warn!(%error, "a tenant's limit is not applied on this host");
                    limits
                }
            }
        })
    }

    /// The settings after a change.
    pub(super) fn changed(&self, change: &SettingsChange, host: &TenantLimits) -> Result<Self, TenantError> {
        let mut settings = self.clone();
        let SettingsChange { egress, egress_private, limits, suspended } = change;
        if let Some(egress) = egress {
            settings.egress = Some(egress.clone());
        }
        if let Some(networks) = egress_private {
            settings.egress_private.clone_from(networks);
        }
        for (name, value) in limits {
            match value {
                Some(value) => {
                    host.with(&LimitValues::from([(name.clone(), *value)]))?;
                    settings.limits.insert(name.clone(), *value);
                }
                None => {
                    TenantLimits::check_name(name)?;
                    settings.limits.remove(name);
                }
            }
        }
        settings.suspended = suspended.unwrap_or(settings.suspended);
        if settings.egress.is_none() && egress_private.as_ref().is_some_and(|networks| !networks.is_empty()) {
            return Err(TenantError::NetworksWithoutRules);
        }
        settings.policy()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_alone_what_it_does_not_mention() {
        let host = TenantLimits::default();
        let change = |text: &str| serde_json::from_str::<SettingsChange>(text).unwrap();
        let one = Settings::default()
            .changed(&change(r#"{"egress":["https://a.example"],"limits":{"versions":5}}"#), &host)
            .unwrap();
        let two = one.changed(&change(r#"{"suspended":true,"limits":{"secrets":1}}"#), &host).unwrap();
        assert_eq!(two.egress.as_deref(), Some(["https://a.example".to_owned()].as_slice()));
        assert!(two.suspended && two.limits.len() == 2 && two.limits_within(&host).versions == 5);
        let three = two.changed(&change(r#"{"limits":{"versions":null}}"#), &host).unwrap();
        assert_eq!(three.limits_within(&host).versions, host.versions);
        assert!(three.suspended, "{}", three.encode());
    }

    #[test]
    fn what_cannot_be_is_refused_as_a_whole() {
        let host = TenantLimits::default();
        for wrong in [
            r#"{"egress":["example.com"]}"#,
            r#"{"egress":[],"egress_private":["ten"]}"#,
            r#"{"egress_private":["10.0.0.0/8"]}"#,
            r#"{"limits":{"nothing":1}}"#,
            r#"{"limits":{"nothing":null}}"#,
            r#"{"limits":{"memory_bytes":99999999999}}"#,
        ] {
            let change = serde_json::from_str::<SettingsChange>(wrong).unwrap();
            assert!(Settings::default().changed(&change, &host).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<SettingsChange>(r#"{"limit":{}}"#).is_err());
    }
}
