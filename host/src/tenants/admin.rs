//! Changes of tenants and their API keys. A change and its audit entry are written together.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::audit::{TRIES, audit_entry};
use super::{
    ApiKey, Caller, CreatedKey, NewKey, Role, Settings, SettingsChange, Tenant, TenantError, TenantInfo,
    Tenants, key,
};
use forge_clock as clock;
use forge_store::directory::{Change, EntryKind};

/// How long a tenant's API keys are listed after they were revoked or have expired. The audit log has them for ever.
const ENDED_KEYS_AGE: Duration = Duration::from_secs(24 * 3_600);

impl Tenants {
    /// Returns all tenants, by name.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn list(&self) -> Result<Vec<TenantInfo>, TenantError> {
        Ok(self.directory().await?.tenants().map(|tenant| TenantInfo::from(&**tenant)).collect())
    }

    /// Returns a tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`].
    pub async fn show(&self, name: &str) -> Result<TenantInfo, TenantError> {
        let tenant = self.get(name).await?;
        self.read_stored().await?;
        let in_db = self.store.db_totals(&tenant.name).await?;
        Ok(TenantInfo::from(&*tenant).with_db(in_db))
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
        if self.directory().await?.get(name).is_ok() {
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
            let (settings, was) = {
                let directory = self.directory().await?;
                let settings = &directory.get(name)?.terms().settings;
                (
                    settings.changed(change, &self.limits.tenant)?,
                    directory.document(EntryKind::Tenant, name, name),
                )
            };
            let put = Change::Put { entry: settings.encode(name)?, was };
            let detail = serde_json::to_value(change)?;
            if self.apply(&put, &audit_entry(by, name, "tenant.change", name, Some(detail))).await? {
                return self.show(name).await;
            }
        }
        Err(TenantError::Changed(name.to_owned()))
    }

    /// Admits a change of API keys or secrets by a tenant's own key within the tenant's rate. Operators have none.
    ///
    /// # Errors
    /// [`TenantError::TooFast`].
    pub(super) async fn admit_change(&self, by: &Caller) -> Result<(), TenantError> {
        if by.is_host {
            return Ok(());
        }
        let tenant = self.get(&by.tenant).await?;
        let value = tenant.limits().directory_rate;
        if tenant.account.keeps_directory_rate(value) {
            return Ok(());
        }
        Err(TenantError::TooFast { tenant: tenant.name.to_string(), limit: "directory_rate", value })
    }

    /// Returns the API keys of a tenant, or of the host, oldest first.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn keys(&self, tenant: Option<&str>) -> Result<Vec<ApiKey>, TenantError> {
        let mut keys: Vec<ApiKey> = self.directory().await?.keys_of(tenant).cloned().collect();
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
        self.admit_change(by).await?;
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
            let directory = self.directory().await?;
            let valid = directory.keys_of(Some(tenant)).filter(|key| key.is_valid()).count();
            let (tenant, advice) = (directory.get(tenant)?, "revoke a key that is not in use");
            tenant.check_limit("keys", tenant.limits().keys, valid + 1, advice)?;
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
        self.admit_change(by).await?;
        for _ in 0..TRIES {
            let owner = tenant.unwrap_or_default();
            let (key, was) = {
                let directory = self.directory().await?;
                let known = directory.key(id).map(|known| known.key.clone());
                let key = known.filter(|key| key.tenant.as_deref() == tenant);
                (key, directory.document(EntryKind::Key, owner, id))
            };
            let key = key.ok_or_else(|| TenantError::UnknownKey(id.to_owned()))?;
            if key.revoked_at.is_some() {
                return Ok(key);
            }
            let revoked = key.revoked();
            let put = Change::Put { entry: revoked.encode()?, was };
            let entry = audit_entry(by, owner, "key.revoke", id, None);
            if self.apply(&put, &entry).await? {
                return Ok(revoked);
            }
        }
        Err(TenantError::Changed(id.to_owned()))
    }

    /// Removes API keys of tenants that were revoked or expired a while ago, and the oldest of them if there are many. Keys of
    /// the host stay: as long as there is one, every caller needs a key.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub(crate) async fn purge_keys(&self) -> Result<(), TenantError> {
        let before = clock::now().to_datetime() - ENDED_KEYS_AGE;
        let ended = {
            let directory = self.directory().await?;
            let of = |tenant: &Arc<Tenant>| key::ended(directory.keys_of(Some(&tenant.name)), before);
            directory.tenants().flat_map(of).collect::<Vec<_>>()
        };
        // An idle host writes nothing.
        if ended.is_empty() && !self.is_list_long() {
            return Ok(());
        }
        self.store.directory().purge(&ended).await?;
        self.refresh().await
    }
}
