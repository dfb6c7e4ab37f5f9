use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApiKey, DEFAULT_TENANT, Snapshot, TenantError, Tenants};
use forge_journal::UnknownWord;

/// What an API key may do; each role may do what those before it may.
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
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[strum(parse_err_ty = UnknownWord, parse_err_fn = unknown_role)]
pub enum Role {
    /// Look at workflows, runs and usage.
    Read,
    /// Start, cancel, pause and resume runs.
    Start,
    /// Upload, activate and deprecate versions.
    Deploy,
    /// Manage API keys and secrets, and read the audit log.
    Admin,
}

fn unknown_role(word: &str) -> UnknownWord {
    UnknownWord::new("role", word)
}

/// Who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For which tenant.
    pub tenant: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// It acts for the host, and so for whatever tenant it names.
    pub is_host: bool,
    /// Its API key; none where nobody needs one.
    pub key: Option<KeyName>,
}

/// What is said of an API key where it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub name: String,
}

/// Why somebody may not act.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    /// Nobody says who asks.
    #[error("an API key is needed: send `Authorization: Bearer forge_…` (`forge --token`, or FORGE_TOKEN)")]
    NoKey,
    /// A key that is none, or is none any more.
    #[error("this API key is unknown, revoked or expired")]
    InvalidKey,
    /// A tenant's key and another tenant.
    #[error("this API key acts for tenant `{has}` and not for `{wanted}`")]
    OtherTenant {
        /// Whose key it is.
        has: String,
        /// For whom it was to act.
        wanted: String,
    },
    /// Something else.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

impl Caller {
    /// Whoever can reach a host that has no API keys.
    pub fn local(tenant: Arc<str>) -> Self {
        Self { tenant, role: Role::Admin, is_host: true, key: None }
    }

    /// Checks that it may do what takes this role.
    ///
    /// # Errors
    /// [`TenantError::Role`].
    pub fn check(&self, needed: Role) -> Result<(), TenantError> {
        if self.role >= needed { Ok(()) } else { Err(TenantError::Role { needed, has: self.role }) }
    }

    /// As the audit log names it.
    pub fn actor(&self) -> String {
        match &self.key {
            Some(KeyName { id, name }) => format!("key {id} ({name})"),
            None => "local".to_owned(),
        }
    }

    /// As workflows see it in `ctx.auth`.
    pub fn auth(&self) -> Value {
        match &self.key {
            Some(KeyName { id, name }) => json!({
                "subject": name,
                "roles": [self.role],
                "claims": { "tenant": &*self.tenant, "key": id },
            }),
            None => json!({}),
        }
    }
}

impl Tenants {
    /// Who presents this token, and for which tenant: its own, or the one that a key of the host names.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authenticate(&self, token: Option<&str>, tenant: Option<&str>) -> Result<Caller, Denied> {
        self.directory().await?.authenticate(token, tenant)
    }

    /// The same for somebody who asks how the host is: while the store cannot be read, by what was known before.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn recognize(&self, token: Option<&str>) -> Result<Caller, Denied> {
        let directory = match self.directory().await {
            Ok(directory) => directory,
            Err(error) => self.state().directory.clone().ok_or(error)?,
        };
        directory.authenticate(token, None)
    }
}

impl Snapshot {
    fn authenticate(&self, token: Option<&str>, tenant: Option<&str>) -> Result<Caller, Denied> {
        if self.keys.is_empty() && token.is_none() {
            return Ok(Caller::local(self.named(tenant.unwrap_or(DEFAULT_TENANT))?));
        }
        let (id, secret) = ApiKey::parse(token.ok_or(Denied::NoKey)?).ok_or(Denied::InvalidKey)?;
        let key = self.keys.get(id).filter(|key| key.admits(secret)).ok_or(Denied::InvalidKey)?;
        let named = match (&key.tenant, tenant) {
            (Some(own), Some(wanted)) if own != wanted => {
                return Err(Denied::OtherTenant { has: own.clone(), wanted: wanted.to_owned() });
            }
            (Some(own), _) => own,
            (None, wanted) => wanted.unwrap_or(DEFAULT_TENANT),
        };
        Ok(Caller {
            tenant: self.named(named)?,
            role: key.role,
            is_host: key.tenant.is_none(),
            key: Some(KeyName { id: key.id.clone(), name: key.name.clone() }),
        })
    }

    fn named(&self, tenant: &str) -> Result<Arc<str>, TenantError> {
        Ok(Arc::clone(&self.get(tenant)?.name))
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        let caller = |role| Caller { role, ..Caller::local(DEFAULT_TENANT.into()) };
        assert!(caller(Role::Deploy).check(Role::Start).is_ok());
        assert!(caller(Role::Deploy).check(Role::Deploy).is_ok());
        let error = caller(Role::Read).check(Role::Start).unwrap_err().to_string();
        assert_eq!(error, "this takes the role `start`, and the API key has `read`");
        assert!(Role::VARIANTS.is_sorted());
    }
}
