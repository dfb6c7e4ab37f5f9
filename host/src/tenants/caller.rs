use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::Directory;
use super::signed::{self, Claims, Scope};
use super::{ApiKey, TenantError, Tenants};
use forge_clock as clock;
use forge_journal::{DEFAULT_TENANT, RunId, Timestamp, UnknownWord};

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
    /// The one run that it reads, if it presents a run token.
    pub scope: Option<RunScope>,
    /// The session, if it is a browser that has logged in.
    pub session: Option<Session>,
}

/// What a run token gives: reading one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunScope {
    /// The run.
    pub run: RunId,
    /// Whether the token reads inputs, outputs, results and log lines.
    pub payloads: bool,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
}

/// A session of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What the pages of the session send with each request that changes something. Pages of other sites cannot know it.
    pub csrf: String,
    /// When the session ends.
    pub expires_at: DateTime<Utc>,
}

/// What a caller presents.
#[derive(Debug, Clone, Copy)]
pub enum Credentials<'c> {
    /// Nothing.
    None,
    /// An API key or a run token.
    Token(&'c str),
    /// The session of a browser.
    Session(&'c str),
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
    /// The run token is invalid or has expired, or its API key is no longer valid.
    #[error(
        "this run token is invalid or has expired, or its API key was revoked: make another one with `POST /_api/runs/{{id}}/tokens`"
    )]
    InvalidToken,
    /// The session has ended, or its API key is no longer valid.
    #[error("the session has ended, or its API key was revoked: log in again")]
    InvalidSession,
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

impl Denied {
    fn other_tenant(has: &str, wanted: &str) -> Self {
        Self::OtherTenant { has: has.to_owned(), wanted: wanted.to_owned() }
    }
}

impl Caller {
    /// Returns the caller of a host without API keys.
    pub fn local(tenant: Arc<str>) -> Self {
        Self { tenant, role: Role::Admin, is_host: true, key: None, scope: None, session: None }
    }

    /// Checks that the caller has at least this role.
    ///
    /// # Errors
    /// [`TenantError::Role`].
    pub fn check(&self, needed: Role) -> Result<(), TenantError> {
        if self.role >= needed { Ok(()) } else { Err(TenantError::Role { needed, has: self.role }) }
    }

    /// Checks that the caller may know of a tenant: its own one, or any one if it acts for the host.
    ///
    /// # Errors
    /// [`TenantError::Unknown`]: it does not learn whether the tenant exists.
    pub(crate) fn check_tenant(&self, tenant: &str) -> Result<(), TenantError> {
        if self.is_host || *self.tenant == *tenant {
            Ok(())
        } else {
            Err(TenantError::Unknown(tenant.to_owned()))
        }
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

    /// Returns whether the caller may read inputs, outputs, results and log lines.
    pub fn reads_payloads(&self) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.payloads)
    }

    /// Returns when the token or session of the caller ends.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        let of_token = self.scope.as_ref().map(|scope| scope.expires_at);
        of_token.or(self.session.as_ref().map(|session| session.expires_at))
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
    /// Returns the caller with this API key or run token. A key of the host acts for `tenant`, or for the default tenant.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn authenticate(&self, token: Option<&str>, tenant: Option<&str>) -> Result<Caller, Denied> {
        self.identify(token.map_or(Credentials::None, Credentials::Token), tenant).await
    }

    /// Returns the caller with these credentials. A key of the host acts for `tenant`, or for the default tenant.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn identify(
        &self,
        credentials: Credentials<'_>,
        tenant: Option<&str>,
    ) -> Result<Caller, Denied> {
        let presented = self.read(credentials).await?;
        self.directory().await?.identify(presented, tenant)
    }

    /// Like [`Tenants::identify`], but uses the last known directory while the store cannot be read. Health requests use it.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn recognize(&self, credentials: Credentials<'_>) -> Result<Caller, Denied> {
        let presented = self.read(credentials).await?;
        match self.directory().await {
            Ok(directory) => directory.identify(presented, None),
            Err(error) => self.last_known(error)?.identify(presented, None),
        }
    }

    /// Reads credentials and checks the signature of a token.
    async fn read<'c>(&self, credentials: Credentials<'c>) -> Result<Presented<'c>, Denied> {
        let (token, denied) = match credentials {
            Credentials::None => return Ok(Presented::Nothing),
            // No login is needed: a browser has the session of another host.
            Credentials::Session(_) if !self.has_keys().await? => return Ok(Presented::Nothing),
            Credentials::Session(token) => (token, Denied::InvalidSession),
            Credentials::Token(token) if signed::is_run_token(token) => (token, Denied::InvalidToken),
            Credentials::Token(token) => return Ok(Presented::Key(token)),
        };
        let claims = self.signer().await?.open(token).ok_or(denied.clone())?;
        match (credentials, &claims.scope) {
            (Credentials::Session(_), Scope::Session { .. }) | (Credentials::Token(_), Scope::Run { .. }) => {
                Ok(Presented::Claims(claims))
            }
            _ => Err(denied),
        }
    }
}

impl Tenants {
    /// Completes when the API key, the token or the session of a caller is no longer valid: what was opened with it must be
    /// closed.
    pub(crate) async fn revoked(&self, caller: &Caller) {
        tokio::select! {
            () = self.key_revoked(caller) => {}
            () = reach(caller.expires_at()) => {}
        }
    }

    async fn key_revoked(&self, caller: &Caller) {
        let Some(KeyName { id, .. }) = &caller.key else { return std::future::pending().await };
        // A key that is unknown by now was removed.
        let known = self.directory.read().key(id).cloned();
        let Some(known) = known else { return };
        tokio::select! {
            () = known.revoked.cancelled() => {}
            () = reach(known.key.expires_at) => {}
        }
    }
}

/// Completes at this time, if there is one.
async fn reach(end: Option<DateTime<Utc>>) {
    match end {
        Some(end) => clock::reach(Timestamp(end.timestamp_millis())).await,
        None => std::future::pending().await,
    }
}

/// Credentials whose form, and whose signature if they have one, is right.
enum Presented<'c> {
    Nothing,
    Key(&'c str),
    Claims(Claims),
}

impl Directory {
    fn identify(&self, presented: Presented<'_>, tenant: Option<&str>) -> Result<Caller, Denied> {
        match presented {
            Presented::Nothing if !self.has_keys() => {
                Ok(Caller::local(self.named(tenant.unwrap_or(DEFAULT_TENANT))?))
            }
            Presented::Nothing => Err(Denied::NoKey),
            Presented::Key(token) => {
                let (id, secret) = ApiKey::parse(token).ok_or(Denied::InvalidKey)?;
                let key = self.key(id).map(|known| &known.key);
                let key = key.filter(|key| key.admits(secret)).ok_or(Denied::InvalidKey)?;
                self.of_key(key, tenant)
            }
            Presented::Claims(claims) => self.of_claims(claims, tenant),
        }
    }

    /// Returns the caller with a key, which acts for `tenant` if it is a key of the host.
    fn of_key(&self, key: &ApiKey, tenant: Option<&str>) -> Result<Caller, Denied> {
        let named = match (&key.tenant, tenant) {
            (Some(own), Some(wanted)) if own != wanted => return Err(Denied::other_tenant(own, wanted)),
            (Some(own), _) => own,
            (None, wanted) => wanted.unwrap_or(DEFAULT_TENANT),
        };
        Ok(Caller {
            tenant: self.named(named)?,
            role: key.role,
            is_host: key.tenant.is_none(),
            key: Some(KeyName { id: key.id.clone(), name: key.name.clone() }),
            scope: None,
            session: None,
        })
    }

    /// Returns the caller with a token, for which the key that made it has to be valid.
    fn of_claims(&self, claims: Claims, tenant: Option<&str>) -> Result<Caller, Denied> {
        let Claims { key, expires_at, scope } = claims;
        let valid = |id: &String| self.key(id).map(|known| &known.key).filter(|key| key.is_valid());
        let key = key.as_ref().map(valid);
        match scope {
            Scope::Run { tenant: own, run, payloads } => {
                let by = match key {
                    Some(Some(key)) => self.of_key(key, Some(&own))?,
                    None if !self.has_keys() => Caller::local(self.named(&own)?),
                    _ => return Err(Denied::InvalidToken),
                };
                if let Some(wanted) = tenant.filter(|wanted| *wanted != own) {
                    return Err(Denied::other_tenant(&own, wanted));
                }
                let scope = Some(RunScope { run, payloads, expires_at });
                Ok(Caller { role: Role::Read, is_host: false, scope, ..by })
            }
            Scope::Session { csrf } => {
                let by = self.of_key(key.flatten().ok_or(Denied::InvalidSession)?, tenant)?;
                Ok(Caller { session: Some(Session { csrf, expires_at }), ..by })
            }
        }
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
