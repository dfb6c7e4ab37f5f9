use serde::{Deserialize, Serialize};

use super::TenantError;
use crate::config::{LimitChangesSchema, LimitValues, LimitValuesSchema, Retention, TenantLimits};
use crate::encoding::null_as_absent;
use forge_egress::{Network, Policy, Rule};
use forge_journal::DEFAULT_TENANT;
use forge_store::directory::{Entry, EntryKind};

/// The name that the limit `component_bytes` has in databases of the first versions.
const COMPONENT_BYTES_BEFORE: &str = "module_bytes";

/// The settings of a tenant. The host's configuration applies to what is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Settings {
    /// The servers that its workflows may reach, such as `https://api.example.com` or `https://*.example.com`. If not
    /// set, the tenant `default` has the host's configuration, and other tenants may reach no server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<String>>,
    /// The private networks in which these servers may be, such as `10.0.0.0/8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress_private: Vec<String>,
    /// The limits that are set, by name.
    #[serde(skip_serializing_if = "LimitValues::is_empty")]
    #[schema(value_type = LimitValuesSchema)]
    pub limits: LimitValues,
    /// How long final runs are kept, such as `completed=30d,payment:failed=1y`. The host's rules apply where there is none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "Retention::stored")]
    #[schema(value_type = Option<String>)]
    pub retention: Option<Retention>,
    /// Whether the tenant is suspended. A suspended tenant is read-only. Its runs are stopped and their requests aborted;
    /// they continue when it is resumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// A change of a tenant's settings. Fields that are absent do not change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsChange {
    /// The servers that its workflows may reach; an empty list allows no server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<String>>,
    /// The private networks in which these servers may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_private: Option<Vec<String>>,
    /// Limits by name; `null` resets a limit to the host's value.
    #[serde(
        skip_serializing_if = "std::collections::BTreeMap::is_empty",
        deserialize_with = "null_as_absent"
    )]
    #[schema(value_type = LimitChangesSchema)]
    pub limits: std::collections::BTreeMap<String, Option<u64>>,
    /// How long final runs are kept; an empty text removes the tenant's rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub retention: Option<Retention>,
    /// Whether the tenant is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
}

impl Settings {
    pub(super) fn decode(entry: &Entry) -> Result<Self, TenantError> {
        let mut settings: Self = serde_json::from_str(&entry.document)
            .map_err(|error| TenantError::corrupt("tenant", &entry.name, error))?;
        if let Some(value) = settings.limits.remove(COMPONENT_BYTES_BEFORE) {
            settings.limits.entry("component_bytes".to_owned()).or_insert(value);
        }
        Ok(settings)
    }

    pub(super) fn encode(&self, tenant: &str) -> Result<Entry, TenantError> {
        Ok(Entry {
            kind: EntryKind::Tenant,
            tenant: tenant.to_owned(),
            name: tenant.to_owned(),
            document: serde_json::to_string(self)?,
        })
    }

    /// Returns the rules of the servers that the workflows of a tenant with these settings may reach. `None` stands for the
    /// host's configuration, which only the tenant `default` has.
    pub fn servers(&self, tenant: &str) -> Option<&[String]> {
        match &self.egress {
            None if tenant == DEFAULT_TENANT => None,
            rules => Some(rules.as_deref().unwrap_or_default()),
        }
    }

    /// Returns the egress policy that is set, if any.
    pub(super) fn policy(&self) -> Result<Option<Policy>, TenantError> {
        let Some(rules) = &self.egress else { return Ok(None) };
        let rules: Vec<Rule> = TenantError::read_rules("egress", rules)?;
        let private: Vec<Network> = TenantError::read_rules("egress_private", &self.egress_private)?;
        Ok(Some(Policy::only(rules, private)))
    }

    /// Returns the host's limits with those that are set. A limit that exceeds what this host can give is ignored.
    pub(super) fn limits_within(&self, host: &TenantLimits) -> TenantLimits {
        self.limits.iter().fold(host.clone(), |limits, (name, value)| {
            match limits.with(&LimitValues::from([(name.clone(), *value)])) {
                Ok(limits) => limits,
                Err(error) => {
                    tracing::warn!(%error, "a limit of a tenant is ignored on this host");
                    limits
                }
            }
        })
    }

    /// Returns the settings after a change.
    pub(super) fn changed(&self, change: &SettingsChange, host: &TenantLimits) -> Result<Self, TenantError> {
        let mut settings = self.clone();
        let SettingsChange { egress, egress_private, limits, retention, suspended } = change;
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
        if let Some(retention) = retention {
            settings.retention = Some(retention.clone()).filter(|rules| !rules.is_empty());
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
    fn a_limit_that_was_set_by_its_name_of_before_is_kept() {
        let document = r#"{"limits":{"module_bytes":7}}"#.to_owned();
        let entry =
            Entry { kind: EntryKind::Tenant, tenant: "acme".to_owned(), name: "acme".to_owned(), document };
        let settings = Settings::decode(&entry).unwrap();
        assert_eq!(settings.limits, LimitValues::from([("component_bytes".to_owned(), 7)]));
    }

    #[test]
    fn a_tenant_without_rules_reaches_no_server_unless_it_is_the_default_one() {
        let without = Settings::default();
        assert_eq!(without.servers(DEFAULT_TENANT), None);
        assert_eq!(without.servers("acme"), Some(&[][..]));
        let none = Settings { egress: Some(Vec::new()), ..Settings::default() };
        assert_eq!(none.servers(DEFAULT_TENANT), Some(&[][..]));
        let rule = "https://a.example".to_owned();
        let one = Settings { egress: Some(vec![rule.clone()]), ..Settings::default() };
        assert_eq!(one.servers("acme"), Some(&[rule][..]));
    }

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
        assert!(three.suspended, "{three:?}");
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
