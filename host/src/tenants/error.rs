use std::sync::Arc;

use crate::config::InvalidLimit;
use forge_egress::secrets::SecretError;
use forge_egress::{InvalidNetwork, InvalidRule};
use forge_store::StoreError;

use super::Role;

/// Why something about tenants, keys or secrets was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TenantError {
    /// There is no such tenant.
    #[error("there is no tenant `{0}`; `forge tenants create {0}` makes it, if you may")]
    Unknown(String),
    /// There is one with this name.
    #[error("there is a tenant `{0}` already")]
    Exists(String),
    /// It is no name for one.
    #[error(
        "`{0}` is no name for a tenant: use 1 to 63 lower-case letters, digits and `-`, beginning with a letter or digit"
    )]
    InvalidName(String),
    /// It may do nothing.
    #[error("tenant `{0}` is suspended: it can look at what it has, and start and change nothing")]
    Suspended(String),
    /// A limit was reached.
    #[error("tenant `{tenant}` has {limit} = {value}, and that many are there: {advice}")]
    Limit {
        /// The tenant.
        tenant: String,
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        value: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A limit that cannot be.
    #[error(transparent)]
    InvalidLimit(#[from] InvalidLimit),
    /// A rule for servers that is none.
    #[error(transparent)]
    InvalidRule(#[from] InvalidRule),
    /// A network that is none.
    #[error(transparent)]
    InvalidNetwork(#[from] InvalidNetwork),
    /// Networks where there are no rules.
    #[error(
        "`egress_private` says in which networks the servers that `egress` names may be, and the tenant has no `egress`: \
         set both"
    )]
    NetworksWithoutRules,
    /// A key that cannot be made.
    #[error("{0}")]
    InvalidKey(String),
    /// There is no such API key.
    #[error("there is no API key `{0}`; `forge keys list` has those that there are")]
    UnknownKey(String),
    /// Somebody without the role acts.
    #[error("this takes the role `{needed}`, and the API key has `{has}`")]
    Role {
        /// What it takes.
        needed: Role,
        /// What there is.
        has: Role,
    },
    /// There is no such secret.
    #[error("there is no secret `{0}`; `forge secrets list` has those that there are")]
    UnknownSecret(String),
    /// Something about a secret.
    #[error(transparent)]
    Secret(Arc<SecretError>),
    /// It was changed by somebody else at the same time.
    #[error("`{0}` was changed by somebody else at the same time: look at it, and try again")]
    Changed(String),
    /// The store failed. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SecretError> for TenantError {
    fn from(error: SecretError) -> Self {
        Self::Secret(Arc::new(error))
    }
}

impl TenantError {
    /// A document that cannot be read.
    pub(super) fn corrupt(what: &str, name: &str, why: impl std::fmt::Display) -> Self {
        Self::Store(StoreError::Corrupt { table: "forge_directory", why: format!("{what} {name}: {why}") })
    }
}
