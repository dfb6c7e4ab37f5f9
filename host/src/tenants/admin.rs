//! Changes of tenants and their API keys. A change and its audit entry are written together.

use serde_json::json;

use super::audit::audit_entry;
use super::{
    ApiKey, Caller, CreatedKey, NewKey, Role, Settings, SettingsChange, TenantError, TenantInfo, Tenants,
};
use forge_clock as clock;
use forge_store::directory::{Change, EntryKind};

/// Attempts of a change while other changes get in the way.
pub(super) const TRIES: u32 = 5;

impl Tenants {
    /// Returns all tenants, by name.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn list(&self) -> Result<Vec<TenantInfo>, TenantError> {
        Ok(self.directory().await?.tenants.values().map(|tenant| TenantInfo::from(&**tenant)).collect())
    }

    /// Returns a tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`].
    pub async fn show(&self, name: &str) -> Result<TenantInfo, TenantError> {
        Ok(TenantInfo::from(&*self.get(name).await?))
    }

    /// Creates a tenant.
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
        let put = Change::Put { entry: settings.encode(name)?, was: None };
        let detail = serde_json::to_value(&settings)?;
        if !self.apply(&put, &audit_entry(by, name, "tenant.create", name, Some(detail))).await? {
            return Err(TenantError::Exists(name.to_owned()));
        }
        self.show(name).await
    }

    /// Changes the settings of a tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`], or the error of an invalid setting. Nothing was changed then.
    pub async fn change(
        &self,
        name: &str,
        change: &SettingsChange,
        by: &Caller,
    ) -> Result<TenantInfo, TenantError> {
        for _ in 0..TRIES {
            let directory = self.directory().await?;
            let settings = directory.get(name)?.settings.changed(change, &self.limits.tenant)?;
            let was = directory.document(EntryKind::Tenant, name, name);
            let put = Change::Put { entry: settings.encode(name)?, was };
            let detail = serde_json::to_value(change)?;
            if self.apply(&put, &audit_entry(by, name, "tenant.change", name, Some(detail))).await? {
                return self.show(name).await;
            }
        }
        Err(TenantError::Changed(name.to_owned()))
    }

    /// Returns the API keys of a tenant, or of the host, oldest first.
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

    /// Creates an API key of a tenant, or of the host.
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
            let why = "`expires_at` must be in the future";
            return Err(TenantError::InvalidKey(why.to_owned()));
        }
        if (tenant.is_some() || new.role != Role::Admin) && !self.has_keys().await? {
            let why = "the first API key must be a key of the host with the role `admin`, because later keys are created \
                       with it: `forge keys create --host --role admin NAME`";
            return Err(TenantError::InvalidKey(why.to_owned()));
        }
        if let Some(tenant) = tenant {
            let valid = self.keys(Some(tenant)).await?.iter().filter(|key| key.is_valid()).count();
            let tenant = self.get(tenant).await?;
            tenant.check_limit("keys", tenant.limits.keys, valid + 1, "revoke a key that is not in use")?;
        }
        let created = ApiKey::create(tenant, new)?;
        let put = Change::Put { entry: created.key.encode()?, was: None };
        let detail = json!({ "role": created.key.role, "name": created.key.name });
        let entry = audit_entry(by, tenant.unwrap_or_default(), "key.create", &created.key.id, Some(detail));
        if !self.apply(&put, &entry).await? {
            return Err(TenantError::Changed(created.key.id));
        }
        Ok(created)
    }

    /// Revokes an API key of a tenant, or of the host.
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
            let owner = tenant.unwrap_or_default();
            let was = directory.document(EntryKind::Key, owner, id);
            let revoked = key.revoked();
            let put = Change::Put { entry: revoked.encode()?, was };
            let entry = audit_entry(by, owner, "key.revoke", id, None);
            if self.apply(&put, &entry).await? {
                return Ok(revoked);
            }
        }
        Err(TenantError::Changed(id.to_owned()))
    }
}
