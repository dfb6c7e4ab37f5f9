//! Changing tenants and their API keys. Each change is in the audit log, or is not made.

use serde_json::json;

use super::audit::deed;
use super::{
    ApiKey, Caller, CreatedKey, NewKey, Role, Settings, SettingsChange, TenantError, TenantInfo, Tenants,
};
use forge_clock as clock;
use forge_store::directory::{Change, Entry, EntryKind};

/// How often a change is tried that another one was in the way of.
const TRIES: u32 = 5;

impl Tenants {
    /// All tenants, by name.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn list(&self) -> Result<Vec<TenantInfo>, TenantError> {
        Ok(self.directory().await?.tenants.values().map(|tenant| TenantInfo::from(&**tenant)).collect())
    }

    /// A tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`].
    pub async fn show(&self, name: &str) -> Result<TenantInfo, TenantError> {
        Ok(TenantInfo::from(&*self.get(name).await?))
    }

    /// Makes a tenant.
    ///
    /// # Errors
    /// [`TenantError::InvalidName`], [`TenantError::Exists`], and those of [`Tenants::change`].
    pub async fn create(
        &self,
        name: &str,
        settings: &SettingsChange,
        by: &Caller,
    ) -> Result<TenantInfo, TenantError> {
        super::check_name(name)?;
        if self.directory().await?.tenants.contains_key(name) {
            return Err(TenantError::Exists(name.to_owned()));
        }
        let settings = Settings::default().changed(settings, &self.limits.tenant)?;
        let put = Change::Put { entry: entry(name, &settings), was: None };
        let detail = serde_json::to_value(&settings).ok();
        if !self.apply(&put, &deed(by, name, "tenant.create", name, detail)).await? {
            return Err(TenantError::Exists(name.to_owned()));
        }
        self.show(name).await
    }

    /// Changes what is set of a tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`], and what cannot be set. Nothing was changed then.
    pub async fn change(
        &self,
        name: &str,
        change: &SettingsChange,
        by: &Caller,
    ) -> Result<TenantInfo, TenantError> {
        for _ in 0..TRIES {
            let directory = self.directory().await?;
            let tenant = directory.tenants.get(name).ok_or_else(|| TenantError::Unknown(name.to_owned()))?;
            let settings = tenant.settings.changed(change, &self.limits.tenant)?;
            let is_tenant = |entry: &&Entry| entry.kind == EntryKind::Tenant && entry.name == name;
            // The default tenant is there without an entry.
            let was = directory.entries.iter().find(is_tenant).map(|entry| entry.document.clone());
            let put = Change::Put { entry: entry(name, &settings), was };
            let detail = serde_json::to_value(change).ok();
            if self.apply(&put, &deed(by, name, "tenant.change", name, detail)).await? {
                return self.show(name).await;
            }
        }
        Err(TenantError::Changed(name.to_owned()))
    }

    /// The API keys that act for a tenant, or for the host; the oldest first.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn keys(&self, tenant: Option<&str>) -> Result<Vec<ApiKey>, TenantError> {
        let directory = self.directory().await?;
        let theirs = directory.keys.values().filter(|key| key.tenant.as_deref() == tenant);
        let mut keys: Vec<ApiKey> = theirs.cloned().collect();
        keys.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(keys)
    }

    /// Makes an API key that acts for a tenant, or for the host.
    ///
    /// # Errors
    /// [`TenantError::InvalidKey`], [`TenantError::Limit`], [`TenantError::Unknown`].
    pub async fn create_key(
        &self,
        tenant: Option<&str>,
        new: NewKey,
        by: &Caller,
    ) -> Result<CreatedKey, TenantError> {
        if new.expires_at.is_some_and(|end| end <= clock::now().to_datetime()) {
            let why = "an API key that has expired when it is made is of no use: `expires_at` has to be in the future";
            return Err(TenantError::InvalidKey(why.to_owned()));
        }
        if (tenant.is_some() || new.role != Role::Admin) && !self.has_keys().await? {
            let why = "the first API key has to be one of the host with the role `admin`, or nobody could make another one: \
                       `forge keys create --host --role admin NAME`";
            return Err(TenantError::InvalidKey(why.to_owned()));
        }
        if let Some(tenant) = tenant {
            let value = self.get(tenant).await?.limits.keys;
            let valid = self.keys(Some(tenant)).await?.iter().filter(|key| key.is_valid()).count();
            if valid as u64 >= value {
                let advice = "revoke one that nobody needs";
                return Err(TenantError::Limit { tenant: tenant.to_owned(), limit: "keys", value, advice });
            }
        }
        let created = ApiKey::create(tenant, new)?;
        let put = Change::Put { entry: created.key.encode(), was: None };
        let detail = json!({ "role": created.key.role, "name": created.key.name });
        let deed = deed(by, tenant.unwrap_or_default(), "key.create", &created.key.id, Some(detail));
        if !self.apply(&put, &deed).await? {
            return Err(TenantError::Changed(created.key.id));
        }
        Ok(created)
    }

    /// Makes an API key useless: one that acts for the tenant, or for the host.
    ///
    /// # Errors
    /// [`TenantError::UnknownKey`].
    pub async fn revoke_key(
        &self,
        tenant: Option<&str>,
        id: &str,
        by: &Caller,
    ) -> Result<ApiKey, TenantError> {
        for _ in 0..TRIES {
            let directory = self.directory().await?;
            let key = directory.keys.get(id).filter(|key| key.tenant.as_deref() == tenant);
            let key = key.ok_or_else(|| TenantError::UnknownKey(id.to_owned()))?;
            if key.revoked_at.is_some() {
                return Ok(key.clone());
            }
            let is_key = |entry: &&Entry| entry.kind == EntryKind::Key && entry.name == id;
            let was = directory.entries.iter().find(is_key).map(|entry| entry.document.clone());
            let revoked = key.revoked();
            let put = Change::Put { entry: revoked.encode(), was };
            let deed = deed(by, tenant.unwrap_or_default(), "key.revoke", id, None);
            if self.apply(&put, &deed).await? {
                return Ok(revoked);
            }
        }
        Err(TenantError::Changed(id.to_owned()))
    }
}

fn entry(name: &str, settings: &Settings) -> Entry {
    Entry {
        kind: EntryKind::Tenant,
        tenant: name.to_owned(),
        name: name.to_owned(),
        document: settings.encode(),
    }
}
