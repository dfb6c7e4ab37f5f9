//! Secrets of tenants: encrypted in the store, decrypted when the tenant is loaded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::audit::{TRIES, audit_entry};
use super::{Caller, TenantError, Tenants};
use forge_clock as clock;
use forge_egress::Rule;
use forge_egress::secrets::{KeyRing, Sealed, Secret, SecretError, SecretValue, Secrets, check_name};
use forge_store::directory::{Change, Entry, EntryKind};

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretInfo {
    /// The name, as in `{{secret:NAME}}`.
    pub name: String,
    /// The servers to which the host may send it.
    pub servers: Vec<String>,
    /// When the secret was set.
    pub updated_at: DateTime<Utc>,
    /// The id of the key that encrypts it.
    pub key: String,
}

/// A secret to set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// The value: 8 bytes to 64 KiB of visible ASCII.
    #[schema(write_only)]
    pub value: String,
    /// The servers to which the host may send it, such as `https://api.example.com` or `https://*.example.com`.
    pub servers: Vec<String>,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// A secret as the store has it.
#[derive(Serialize, Deserialize)]
struct Document {
    sealed: Sealed,
    servers: Vec<String>,
    updated_at: DateTime<Utc>,
}

impl Document {
    fn decode(entry: &Entry) -> Result<Self, TenantError> {
        serde_json::from_str(&entry.document)
            .map_err(|error| TenantError::corrupt("secret", &entry.name, error))
    }

    fn encode(&self, tenant: &str, name: &str) -> Result<Entry, TenantError> {
        Ok(Entry {
            kind: EntryKind::Secret,
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            document: serde_json::to_string(self)?,
        })
    }

    fn info(self, name: &str) -> SecretInfo {
        let Self { sealed, servers, updated_at } = self;
        SecretInfo { name: name.to_owned(), servers, updated_at, key: sealed.key_id }
    }
}

/// Decrypts the secrets of a tenant. A secret that cannot be decrypted is omitted; requests that name it are denied.
pub(super) fn open(keys: Option<&KeyRing>, entries: &[Entry]) -> Secrets {
    let mut secrets = BTreeMap::new();
    for entry in entries {
        match open_one(keys, entry) {
            Ok(secret) => {
                secrets.insert(entry.name.clone(), secret);
            }
            Err(error) => {
                tracing::error!(tenant = entry.tenant, secret = entry.name, %error, "a secret cannot be decrypted")
            }
        }
    }
    Secrets::new(secrets).unwrap_or_else(|error| {
        tracing::error!(%error, "the secrets of a tenant cannot be used");
        Secrets::none()
    })
}

fn open_one(keys: Option<&KeyRing>, entry: &Entry) -> Result<Secret, TenantError> {
    let document = Document::decode(entry)?;
    let keys = keys.ok_or(SecretError::NoKey)?;
    let value = keys.open(&entry.tenant, &entry.name, &document.sealed)?;
    let hosts = TenantError::read_rules("servers", &document.servers)?;
    Ok(Secret { value, hosts })
}

impl Tenants {
    /// Returns the secrets of a tenant, by name.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn secrets(&self, tenant: &str) -> Result<Vec<SecretInfo>, TenantError> {
        let theirs = self.directory().await?.secrets_of(tenant);
        theirs.iter().map(|entry| Ok(Document::decode(entry)?.info(&entry.name))).collect()
    }

    /// Sets a secret of a tenant, and replaces a secret with the same name.
    ///
    /// # Errors
    /// [`TenantError`] if the name, the value or a rule is invalid, the host has no key, or the tenant has reached its
    /// limit.
    pub async fn set_secret(
        &self,
        tenant: &str,
        name: &str,
        new: NewSecret,
        by: &Caller,
    ) -> Result<SecretInfo, TenantError> {
        self.admit_change(by).await?;
        check_name(name)?;
        let NewSecret { value, servers } = new;
        let value = SecretValue::new(value)?;
        let rules: Vec<Rule> = TenantError::read_rules("servers", &servers)?;
        let keys = self.secret_keys.as_ref().ok_or(SecretError::NoKey)?;
        let sealed = keys.seal(tenant, name, &value)?;
        let document = Document { sealed, servers, updated_at: clock::now().to_datetime() };
        let entry = document.encode(tenant, name)?;
        for _ in 0..TRIES {
            let (theirs, was) = {
                let directory = self.directory().await?;
                let theirs = directory.secrets_of(tenant);
                let was = directory.document(EntryKind::Secret, tenant, name);
                if was.is_none() {
                    let (tenant, advice) = (directory.get(tenant)?, "remove a secret that is not in use");
                    tenant.check_limit("secrets", tenant.limits().secrets, theirs.len() + 1, advice)?;
                }
                (theirs, was)
            };
            self.check_together(&theirs, name, &value, &rules)?;
            let detail = serde_json::to_value(&document.servers)?;
            let audited = audit_entry(by, tenant, "secret.set", name, Some(detail));
            if self.apply(&Change::Put { entry: entry.clone(), was }, &audited).await? {
                return Ok(document.info(name));
            }
        }
        Err(TenantError::Changed(name.to_owned()))
    }

    /// Checks that the secrets of a tenant do not conflict with each other.
    fn check_together(
        &self,
        theirs: &[Entry],
        name: &str,
        value: &SecretValue,
        hosts: &[Rule],
    ) -> Result<(), TenantError> {
        let others = theirs.iter().filter(|entry| entry.name != name);
        let opened = others.filter_map(|entry| {
            Some((entry.name.clone(), open_one(self.secret_keys.as_deref(), entry).ok()?))
        });
        let mut all: BTreeMap<String, Secret> = opened.collect();
        all.insert(name.to_owned(), Secret { value: value.clone(), hosts: hosts.to_vec() });
        Secrets::new(all)?;
        Ok(())
    }

    /// Removes a secret of a tenant.
    ///
    /// # Errors
    /// [`TenantError::UnknownSecret`].
    pub async fn remove_secret(&self, tenant: &str, name: &str, by: &Caller) -> Result<(), TenantError> {
        self.admit_change(by).await?;
        let removal = Change::Remove(EntryKind::Secret, tenant.to_owned(), name.to_owned());
        if self.apply(&removal, &audit_entry(by, tenant, "secret.remove", name, None)).await? {
            return Ok(());
        }
        Err(TenantError::UnknownSecret(name.to_owned()))
    }

    /// Encrypts with the newest key all secrets that are encrypted with another one. Returns their number.
    ///
    /// # Errors
    /// [`TenantError`] if a secret cannot be decrypted. The secrets before it are encrypted with the newest key then.
    pub async fn reseal(&self, by: &Caller) -> Result<u64, TenantError> {
        let keys = self.secret_keys.as_ref().ok_or(SecretError::NoKey)?;
        let secrets = self.directory().await?.secrets();
        let mut sealed = 0;
        for entry in &secrets {
            let document = Document::decode(entry)?;
            if keys.is_current(&document.sealed) {
                continue;
            }
            let value = keys.open(&entry.tenant, &entry.name, &document.sealed)?;
            let document = Document { sealed: keys.seal(&entry.tenant, &entry.name, &value)?, ..document };
            let put = Change::Put {
                entry: document.encode(&entry.tenant, &entry.name)?,
                was: Some(entry.document.clone()),
            };
            // A secret that was set meanwhile is encrypted with the newest key.
            if self.apply(&put, &audit_entry(by, &entry.tenant, "secret.reseal", &entry.name, None)).await? {
                sealed += 1;
            }
        }
        Ok(sealed)
    }
}
