use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::Directory;
use super::{ApiKey, TenantError, Tenants};
use forge_clock as clock;
use forge_journal::{DEFAULT_TENANT, Timestamp, UnknownWord};

/// The permissions of an API key. Each role includes those before it.
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
    /// Read workflows, runs and usage.
    Read,
    /// Start, cancel, pause and resume runs.
    Start,
    /// Upload, activate and deprecate versions.
    Deploy,
    /// Terminate, resolve and delete runs, manage API keys and secrets, and read the audit log.
    Admin,
}

fn unknown_role(word: &str) -> UnknownWord {
    UnknownWord::new("role", word)
}

/// The caller of an API operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that it acts for.
    pub tenant: Arc<str>,
    /// The role.
    pub role: Role,
    /// Whether it acts for the host, and so for any tenant.
    pub is_host: bool,
    /// The API key; `None` if the host has no keys.
    pub key: Option<KeyName>,
}

/// An API key as the audit log and `ctx.auth` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// An error of authentication.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    /// The request has no API key.
    #[error("an API key is required: send `Authorization: Bearer forge_…` (`forge --token`, or FORGE_TOKEN)")]
    NoKey,
    /// The API key is unknown, revoked or expired.
    #[error("this API key is unknown, revoked or expired")]
    InvalidKey,
    /// A tenant's key is used for another tenant.
    #[error("this API key belongs to tenant `{has}` and cannot act for `{wanted}`")]
    OtherTenant {
        /// The tenant of the key.
        has: String,
        /// The requested tenant.
        wanted: String,
    },
    /// The tenant does not exist, or the directory cannot be read.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

impl Caller {
    /// Returns the caller of a host without API keys.
    pub fn local(tenant: Arc<str>) -> Self {
        Self { tenant, role: Role::Admin, is_host: true, key: None }
    }

    /// Checks that the caller has at least this role.
    ///
    /// # Errors
    /// [`TenantError::Role`].
    pub fn check(&self, needed: Role) -> Result<(), TenantError> {
        if self.role >= needed { Ok(()) } else { Err(TenantError::Role { needed, has: self.role }) }
    }

    /// The begin of [`Caller::actor`] for a key of a tenant.
    pub(super) const KEY: &'static str = "key ";

    /// Returns the name of the caller in the audit log.
    pub fn actor(&self) -> String {
        match &self.key {
            Some(KeyName { id, name }) if self.is_host => format!("operator key {id} ({name})"),
            Some(KeyName { id, name }) => format!("{}{id} ({name})", Self::KEY),
            None => "local".to_owned(),
        }
    }

    /// Returns what workflows see in `ctx.auth`.
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
    /// Returns the caller with this token. A key of the host acts for `tenant`, or for the default tenant.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authenticate(&self, token: Option<&str>, tenant: Option<&str>) -> Result<Caller, Denied> {
        self.directory().await?.authenticate(token, tenant)
    }

    /// Like [`Tenants::authenticate`], but uses the last known directory while the store cannot be read. Health requests
    /// use it.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn recognize(&self, token: Option<&str>) -> Result<Caller, Denied> {
        match self.directory().await {
            Ok(directory) => directory.authenticate(token, None),
            Err(error) => self.last_known(error)?.authenticate(token, None),
        }
    }
}

impl Tenants {
    /// Completes when the API key of a caller is no longer valid: what was opened with it must be closed.
    pub(crate) async fn revoked(&self, caller: &Caller) {
        let Some(KeyName { id, .. }) = &caller.key else { return std::future::pending().await };
        // A key that is unknown by now was removed.
        let known = self.directory.read().key(id).cloned();
        let Some(known) = known else { return };
        let expired = async {
            match known.key.expires_at {
                Some(end) => clock::reach(Timestamp(end.timestamp_millis())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = known.revoked.cancelled() => {}
            () = expired => {}
        }
    }
}

impl Directory {
    fn authenticate(&self, token: Option<&str>, tenant: Option<&str>) -> Result<Caller, Denied> {
        if !self.has_keys() && token.is_none() {
            return Ok(Caller::local(self.named(tenant.unwrap_or(DEFAULT_TENANT))?));
        }
        let (id, secret) = ApiKey::parse(token.ok_or(Denied::NoKey)?).ok_or(Denied::InvalidKey)?;
        let key = self.key(id).map(|known| &known.key);
        let key = key.filter(|key| key.admits(secret)).ok_or(Denied::InvalidKey)?;
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
        assert_eq!(error, "this requires the role `start`, and the API key has `read`");
        assert!(Role::VARIANTS.is_sorted());
    }
}
