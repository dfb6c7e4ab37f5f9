use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::InvalidLimit;
use forge_egress::secrets::SecretError;
use forge_store::StoreError;

use super::Role;

/// An error of an operation on tenants, API keys or secrets.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TenantError {
    /// The tenant does not exist.
    #[error(
        "there is no tenant `{0}`; create it with `forge tenants create {0}` (requires a key of the host)"
    )]
    Unknown(String),
    /// A tenant with this name exists.
    #[error("tenant `{0}` exists already")]
    Exists(String),
    /// The name of a tenant is invalid.
    #[error(
        "`{0}` is not a valid name for a tenant: use 1 to 63 lower-case letters, digits and `-`, and begin with a letter or digit"
    )]
    InvalidName(String),
    /// The tenant is suspended.
    #[error("tenant `{0}` is suspended and read-only")]
    Suspended(String),
    /// A limit is reached.
    #[error("tenant `{tenant}` has reached its limit {limit} = {value}: {advice}")]
    Limit {
        /// The tenant.
        tenant: String,
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        value: u64,
        /// What the caller can do.
        advice: &'static str,
    },
    /// A rate is exceeded. Nothing was done.
    #[error(
        "tenant `{tenant}` has reached its limit {limit} = {value} per second: nothing was done; send the request again later"
    )]
    TooFast {
        /// The tenant.
        tenant: String,
        /// The name of the limit.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// The runs of the tenant take all the space that they may.
    #[error(
        "the runs of tenant `{tenant}` with their journals and events have {stored} bytes in the database; the most is {most} \
         (storage_bytes). Delete final runs (`forge runs delete`), keep them for a shorter time (retention), or ask for a \
         higher limit"
    )]
    Storage {
        /// The tenant.
        tenant: String,
        /// The bytes that the runs take.
        stored: u64,
        /// The limit.
        most: u64,
    },
    /// A limit is invalid.
    #[error("`limits`: {0}")]
    InvalidLimit(#[from] InvalidLimit),
    /// A rule for servers or a network is invalid.
    #[error("`{field}[{index}]`: {why}")]
    InvalidRule {
        /// The field with the list.
        field: &'static str,
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Private networks are set without rules for servers.
    #[error("`egress_private` requires `egress`: set both")]
    NetworksWithoutRules,
    /// An API key cannot be created.
    #[error("{0}")]
    InvalidKey(String),
    /// The time for which a run token is to be valid is zero or too long.
    #[error("`ttl` must be more than zero and at most {} (--run-token-time)", humantime::format_duration(*most))]
    TokenTime {
        /// The longest time.
        most: Duration,
    },
    /// The API key does not exist.
    #[error("there is no API key `{0}`; `forge keys list` lists the keys")]
    UnknownKey(String),
    /// The caller's role is too low.
    #[error("this requires the role `{needed}`, and the API key has `{has}`")]
    Role {
        /// The required role.
        needed: Role,
        /// The role of the caller.
        has: Role,
    },
    /// The secret does not exist.
    #[error("there is no secret `{0}`; `forge secrets list` lists the secrets")]
    UnknownSecret(String),
    /// A secret is invalid, or cannot be encrypted or decrypted.
    #[error(transparent)]
    Secret(Arc<SecretError>),
    /// Another caller changed the same entry at the same time.
    #[error("another caller changed `{0}` at the same time; read it and try again")]
    Changed(String),
    /// A document cannot be encoded. Nothing was changed.
    #[error("a document cannot be encoded as JSON: {0}")]
    Encoding(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SecretError> for TenantError {
    fn from(error: SecretError) -> Self {
        Self::Secret(Arc::new(error))
    }
}

/// Encoding failed; [`TenantError::corrupt`] is for decoding.
impl From<serde_json::Error> for TenantError {
    fn from(error: serde_json::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

impl TenantError {
    /// Reads the rules or networks of a list.
    pub(super) fn read_rules<T>(field: &'static str, texts: &[String]) -> Result<Vec<T>, Self>
    where
        T: FromStr<Err: Display>,
    {
        let read = |(index, text): (usize, &String)| {
            text.parse().map_err(|error: T::Err| Self::InvalidRule { field, index, why: error.to_string() })
        };
        texts.iter().enumerate().map(read).collect()
    }

    /// A document cannot be decoded.
    pub(super) fn corrupt(what: &str, name: &str, why: impl Display) -> Self {
        Self::Store(StoreError::Corrupt { table: "forge_directory", why: format!("{what} {name}: {why}") })
    }
}
