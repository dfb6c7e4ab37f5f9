//! Making tokens for browsers: run tokens and sessions.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::signed::{Claims, Scope, Signer};
use super::{Caller, Credentials, Denied, KeyName, RunScope, Session, TenantError, Tenants};
use crate::config::milliseconds;
use forge_clock as clock;
use forge_journal::RunId;
use forge_store::StoreError;

/// The random bytes of a CSRF token.
const CSRF: usize = 16;

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<S> {
    /// The text to present.
    pub token: String,
    /// What it gives.
    pub gives: S,
}

impl Tenants {
    /// Makes a token that reads one run of the caller's tenant. It is valid for `ttl`, and no longer than the caller's API key.
    /// Whether the run exists is not checked.
    ///
    /// # Errors
    /// [`TenantError::TokenTime`] if `ttl` is zero or exceeds `run_token_time`; [`TenantError::Store`].
    pub async fn run_token(
        &self,
        by: &Caller,
        run: RunId,
        ttl: Duration,
        payloads: bool,
    ) -> Result<Granted<RunScope>, TenantError> {
        let most = self.limits.run_token_time;
        if ttl.is_zero() || ttl > most {
            return Err(TenantError::TokenTime { most });
        }
        let expires_at = self.end(by, ttl).await?;
        let scope = Scope::Run { tenant: by.tenant.to_string(), run, payloads };
        let token = self.sign(by, expires_at, scope).await?;
        Ok(Granted { token, gives: RunScope { run, payloads, expires_at } })
    }

    /// Begins a session with an API key. Returns the session, with the caller that it stands for. It lasts for `session_time`,
    /// and no longer than the key.
    ///
    /// # Errors
    /// [`Denied`] if the key is not valid.
    pub async fn log_in(&self, key: &str) -> Result<(Granted<Session>, Caller), Denied> {
        let caller = self.identify(Credentials::Token(key), None).await?;
        if caller.key.is_none() || caller.scope.is_some() {
            return Err(Denied::InvalidKey);
        }
        let expires_at = self.end(&caller, self.limits.session_time).await?;
        let csrf = URL_SAFE_NO_PAD.encode(clock::random::<CSRF>().map_err(no_randomness)?);
        let token = self.sign(&caller, expires_at, Scope::Session { csrf: csrf.clone() }).await?;
        let session = Session { csrf, expires_at };
        let caller = Caller { session: Some(session.clone()), ..caller };
        Ok((Granted { token, gives: session }, caller))
    }

    /// Returns when a token ends: after `time`, or with the caller's API key or session.
    async fn end(&self, by: &Caller, time: Duration) -> Result<DateTime<Utc>, TenantError> {
        let end = clock::now().plus(milliseconds(time)).to_datetime();
        let of_key = match &by.key {
            Some(KeyName { id, .. }) => {
                self.directory().await?.key(id).and_then(|known| known.key.expires_at)
            }
            None => None,
        };
        Ok([of_key, by.expires_at()].into_iter().flatten().fold(end, DateTime::min))
    }

    async fn sign(
        &self,
        by: &Caller,
        expires_at: DateTime<Utc>,
        scope: Scope,
    ) -> Result<String, TenantError> {
        let key = by.key.as_ref().map(|key| key.id.clone());
        self.signer().await?.sign(&Claims { key, expires_at, scope })
    }

    /// Returns what signs tokens. The secret is made when the first token of the installation is made or presented.
    pub(super) async fn signer(&self) -> Result<&Signer, TenantError> {
        let read = async || {
            let new = clock::random().map_err(no_randomness)?;
            let secret = self.store.directory().signing_secret(&new).await?;
            Ok::<_, TenantError>(Signer::new(secret))
        };
        self.signer.get_or_try_init(read).await
    }
}

fn no_randomness(error: std::io::Error) -> TenantError {
    StoreError::Unavailable(format!("the system has no random bytes: {error}")).into()
}
