//! The directory in memory: all tenants, API keys and secrets, and how a change in the store reaches them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLockReadGuard;
use tokio_util::sync::CancellationToken;

use super::tenant::Definition;
use super::{ApiKey, FRESH, Settings, Tenant, TenantError, Tenants, secrets};
use forge_egress::secrets::Secrets;
use forge_egress::{Policy, Responses};
use forge_journal::DEFAULT_TENANT;
use forge_store::StoreError;
use forge_store::directory::{Entry, EntryId, EntryKind, Update};

/// The age from which on the directory is read again although nothing acts: with the interval of that job, less than the five
/// seconds that operators are promised, and more than the time between two renewals of a lease of 10 s, which also tell
/// whether there is a change.
const FOLLOWED: Duration = Duration::from_millis(3_500);

/// The number of changes after which the store's list of changes is shortened again.
const SHORTEN_EVERY: i64 = 1_000;

/// All tenants, API keys and secrets, as they were last read.
#[derive(Default)]
pub(super) struct Directory {
    /// `None` until it was read as a whole.
    revision: Option<i64>,
    /// The revision at which the store's list of changes was last shortened.
    shortened_at: i64,
    /// When it was read, and the number of changes that were known then.
    read: Option<(Instant, u64)>,
    tenants: BTreeMap<Arc<str>, Arc<Tenant>>,
    documents: BTreeMap<EntryId, Arc<str>>,
    /// The tenants whose documents have changed, until they are defined again, and whether those of their secrets have.
    changed: BTreeMap<String, bool>,
    /// By id. Never iterated.
    keys: HashMap<String, Arc<KnownKey>>,
}

/// An API key, with what ends when it is revoked.
pub(super) struct KnownKey {
    pub(super) key: ApiKey,
    /// Cancelled when the key is revoked or removed.
    pub(super) revoked: CancellationToken,
}

impl Directory {
    /// Returns a tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`].
    pub(super) fn get(&self, name: &str) -> Result<&Arc<Tenant>, TenantError> {
        self.tenants.get(name).ok_or_else(|| TenantError::Unknown(name.to_owned()))
    }

    /// Returns all tenants, by name.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// Returns an API key.
    pub(super) fn key(&self, id: &str) -> Option<&Arc<KnownKey>> {
        self.keys.get(id)
    }

    /// Returns whether there is an API key, valid or not.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the API keys of a tenant, or of the host, by id.
    pub(super) fn keys_of(&self, tenant: Option<&str>) -> impl Iterator<Item = &ApiKey> {
        let entries = self.entries(EntryKind::Key, tenant.unwrap_or_default());
        entries.filter_map(|(id, _)| Some(&self.keys.get(&id.name)?.key))
    }

    /// Returns the document of an entry. The default tenant can exist without an entry.
    pub(super) fn document(&self, kind: EntryKind, tenant: &str, name: &str) -> Option<String> {
        let id = EntryId { kind, tenant: tenant.to_owned(), name: name.to_owned() };
        self.documents.get(&id).map(|document| document.to_string())
    }

    /// Returns the secrets of a tenant, by name.
    pub(super) fn secrets_of(&self, tenant: &str) -> Vec<Entry> {
        self.entries(EntryKind::Secret, tenant).map(entry).collect()
    }

    /// Returns the secrets of all tenants.
    pub(super) fn secrets(&self) -> Vec<Entry> {
        self.documents.iter().filter(|(id, _)| id.kind == EntryKind::Secret).map(entry).collect()
    }

    fn entries(&self, kind: EntryKind, tenant: &str) -> impl Iterator<Item = (&EntryId, &Arc<str>)> {
        let first = EntryId { kind, tenant: tenant.to_owned(), name: String::new() };
        let theirs = self.documents.range((Bound::Included(first), Bound::Unbounded));
        theirs.take_while(move |(id, _)| id.kind == kind && id.tenant == tenant)
    }

    /// Applies changes of entries. API keys change at once; returns the tenants that are to be defined again.
    fn apply(&mut self, update: Update) -> Result<Vec<(String, bool)>, TenantError> {
        let Update { is_whole, changed, mut removed, .. } = update;
        let keys = changed.iter().filter(|entry| entry.kind == EntryKind::Key);
        let keys = keys.map(ApiKey::decode).collect::<Result<Vec<_>, _>>()?;
        if is_whole {
            let there: BTreeSet<EntryId> = changed.iter().map(Entry::id).collect();
            removed.extend(self.documents.keys().filter(|id| !there.contains(id)).cloned());
        }
        for entry in changed {
            let (id, document) = (entry.id(), Arc::from(entry.document));
            if self.documents.insert(id, Arc::clone(&document)).as_ref() != Some(&document) {
                self.touch(entry.kind, entry.tenant);
            }
        }
        for key in keys {
            self.put_key(key);
        }
        for id in removed {
            self.documents.remove(&id);
            if id.kind == EntryKind::Key
                && let Some(gone) = self.keys.remove(&id.name)
            {
                gone.revoked.cancel();
            }
            self.touch(id.kind, id.tenant);
        }
        if !self.tenants.contains_key(DEFAULT_TENANT) {
            self.touch(EntryKind::Tenant, DEFAULT_TENANT.to_owned());
        }
        Ok(self.changed.iter().map(|(tenant, secrets)| (tenant.clone(), *secrets)).collect())
    }

    /// Notes that a document of a tenant has changed. Those of keys do not define a tenant.
    fn touch(&mut self, kind: EntryKind, tenant: String) {
        if kind != EntryKind::Key {
            *self.changed.entry(tenant).or_default() |= kind == EntryKind::Secret;
        }
    }

    fn put_key(&mut self, key: ApiKey) {
        let before = self.keys.get(&key.id);
        let revoked = before.map_or_else(CancellationToken::new, |before| before.revoked.clone());
        if key.revoked_at.is_some() {
            revoked.cancel();
        }
        self.keys.insert(key.id.clone(), Arc::new(KnownKey { key, revoked }));
    }

    /// Returns the entry of a tenant, and those of its secrets. The default tenant needs none.
    fn source(&self, tenant: &str) -> Option<(Entry, Vec<Entry>)> {
        let document = self.document(EntryKind::Tenant, tenant, tenant);
        let document = document.or_else(|| (tenant == DEFAULT_TENANT).then(|| "{}".to_owned()))?;
        let (kind, name) = (EntryKind::Tenant, tenant.to_owned());
        Some((Entry { kind, tenant: name.clone(), name, document }, self.secrets_of(tenant)))
    }
}

fn entry((id, document): (&EntryId, &Arc<str>)) -> Entry {
    let EntryId { kind, tenant, name } = id.clone();
    Entry { kind, tenant, name, document: document.to_string() }
}

impl Tenants {
    /// Returns the directory, after the changes that are known to be there were read.
    pub(super) async fn directory(&self) -> Result<RwLockReadGuard<'_, Directory>, TenantError> {
        if !self.is_fresh(FRESH) {
            self.reading.make(self.read_changes()).await?;
        }
        Ok(self.directory.read())
    }

    /// Returns the directory as it was last read.
    ///
    /// # Errors
    /// `error` if it never was.
    pub(super) fn last_known(
        &self,
        error: TenantError,
    ) -> Result<RwLockReadGuard<'_, Directory>, TenantError> {
        let directory = self.directory.read();
        if directory.revision.is_some() { Ok(directory) } else { Err(error) }
    }

    /// Reads what has changed in the directory, for everything that is under way. It would be noticed otherwise when
    /// something begins.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub(crate) async fn refresh(&self) -> Result<(), TenantError> {
        self.forget();
        self.directory().await.map(drop)
    }

    /// Returns whether the list of changes may have become long since it was last shortened by this host.
    pub(super) fn is_list_long(&self) -> bool {
        let mut directory = self.directory.write();
        let revision = directory.revision.unwrap_or_default();
        let is_long = revision >= directory.shortened_at + SHORTEN_EVERY;
        if is_long {
            directory.shortened_at = revision;
        }
        is_long
    }

    /// Reads what other nodes have changed, unless there is certainly nothing: their notifications can be lost.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub(crate) async fn follow(&self) -> Result<(), TenantError> {
        if self.is_fresh(FOLLOWED) { Ok(()) } else { self.refresh().await }
    }

    /// Returns whether the directory has no change that is known, and none that is older than `age`.
    fn is_fresh(&self, age: Duration) -> bool {
        let directory = self.directory.read();
        let Some((mut at, changes)) = directory.read else { return false };
        let Some(nodes) = self.store.nodes() else { return changes == self.changes() };
        if let Some((revision, seen_at)) = nodes.directory_revision()
            && seen_at > at
        {
            if directory.revision != Some(revision) {
                return false;
            }
            at = seen_at;
        }
        changes == self.changes() && at.elapsed() < age
    }

    /// Reads and applies the changes since the directory was last read. One caller at a time.
    async fn read_changes(&self) -> Result<(), TenantError> {
        if self.is_fresh(FRESH) {
            return Ok(());
        }
        let read = (Instant::now(), self.changes());
        let since = self.directory.read().revision;
        let update = self.store.directory().update(since).await?;
        let revision = update.revision;
        let changed = self.directory.write().apply(update)?;
        for (name, with_secrets) in &changed {
            self.define(name, *with_secrets).await?;
            self.directory.write().changed.remove(name);
        }
        // After an error, the changes are read again.
        let mut directory = self.directory.write();
        directory.revision = Some(revision);
        directory.read = Some(read);
        Ok(())
    }

    /// Gives a tenant the settings, rules and secrets that the directory has for it now. Secrets that have not changed are
    /// not opened again.
    async fn define(&self, name: &str, with_secrets: bool) -> Result<(), TenantError> {
        let (known, source) = {
            let directory = self.directory.read();
            (directory.tenants.get(name).cloned(), directory.source(name))
        };
        let Some((entry, entries)) = source else {
            // The entry was removed from the database by hand: what is under way stops.
            if let Some(tenant) = known {
                self.set(&tenant, self.definition(&entry_of_a_removed(name), Arc::new(Secrets::none()))?);
                self.directory.write().tenants.remove(name);
            }
            return Ok(());
        };
        let secrets = match &known {
            Some(tenant) if !with_secrets => tenant.egress.secrets(),
            _ => self.open(entries).await?,
        };
        let definition = self.definition(&entry, secrets)?;
        match known {
            Some(tenant) => self.set(&tenant, definition),
            None => {
                let account = self.account(name);
                let most = self.limits.response_bytes_in_flight;
                let responses = Responses::new(account.responses(), Arc::clone(&self.responses), most);
                let tenant =
                    Arc::new(Tenant::new(account, &self.tls, responses, self.workers.clone(), definition));
                self.instances.set_limit(&tenant.name, tenant.terms().permits());
                self.directory.write().tenants.insert(Arc::clone(&tenant.name), tenant);
            }
        }
        Ok(())
    }

    /// Opens the secrets of a tenant, and prepares the search for them. With many, that takes some time, which no run waits
    /// for.
    async fn open(&self, entries: Vec<Entry>) -> Result<Arc<Secrets>, TenantError> {
        if entries.is_empty() {
            return Ok(Arc::new(Secrets::none()));
        }
        let keys = self.secret_keys.clone();
        let opening = tokio::task::spawn_blocking(move || secrets::open(keys.as_deref(), &entries));
        // The task fails only when the host stops.
        let opened = opening.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Arc::new(opened))
    }

    /// Changes a tenant, and how many permits for instances it may have.
    fn set(&self, tenant: &Tenant, definition: Definition) {
        if definition.settings.suspended {
            // First, so that a run that leaves memory gets no other permit.
            self.instances.set_limit(&tenant.name, 0);
        }
        tenant.change(definition);
        self.instances.set_limit(&tenant.name, tenant.terms().permits());
    }

    fn definition(&self, entry: &Entry, secrets: Arc<Secrets>) -> Result<Definition, TenantError> {
        let settings = Settings::decode(entry)?;
        let policy = match settings.policy()? {
            Some(policy) => policy,
            None if entry.name == DEFAULT_TENANT => self.policy.clone(),
            None => Policy::only(Vec::new(), Vec::new()),
        };
        Ok(Definition { limits: settings.limits_within(&self.limits.tenant), settings, policy, secrets })
    }
}

/// Returns the entry of a tenant that is not in the directory any more.
fn entry_of_a_removed(name: &str) -> Entry {
    let document = r#"{"suspended":true}"#.to_owned();
    Entry { kind: EntryKind::Tenant, tenant: name.to_owned(), name: name.to_owned(), document }
}

#[cfg(test)]
mod tests {
    use forge_store::directory::Change;
    use forge_store::sqlite::SqliteStore;

    use super::super::{Caller, NewKey, Role, SettingsChange};
    use super::*;
    use forge_store::Store;

    fn new(role: Role, host: bool) -> NewKey {
        NewKey { role, name: "a key".to_owned(), host, expires_at: None }
    }

    async fn tenants(folder: &std::path::Path) -> (Arc<dyn Store>, Tenants, Caller) {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.join("forge.db")).await.unwrap());
        let tenants = Tenants::for_store(Arc::clone(&store)).unwrap();
        let by = Caller::local("default".into());
        tenants.create_key(None, new(Role::Admin, true), &by).await.unwrap();
        tenants.create("acme", &SettingsChange::default(), &by).await.unwrap();
        (store, tenants, by)
    }

    #[tokio::test]
    async fn a_tenant_stays_the_same_object_and_its_settings_change() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, tenants, by) = tenants(folder.path()).await;
        let (acme, default) = (tenants.get("acme").await.unwrap(), tenants.get("default").await.unwrap());
        let others = default.terms();
        for suspended in [true, false] {
            let change = SettingsChange { suspended: Some(suspended), ..SettingsChange::default() };
            tenants.change("acme", &change, &by).await.unwrap();
            assert_eq!(acme.is_suspended(), suspended);
        }
        assert!(Arc::ptr_eq(&acme, &tenants.get("acme").await.unwrap()));
        assert!(Arc::ptr_eq(&others, &default.terms()), "a change applies to its tenant alone");
    }

    #[tokio::test]
    async fn a_key_that_is_revoked_by_another_process_ends_what_was_opened_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (store, tenants, by) = tenants(folder.path()).await;
        let created = tenants.create_key(Some("acme"), new(Role::Read, false), &by).await.unwrap();
        let caller = tenants.authenticate(Some(&created.token), None).await.unwrap();
        let was = tenants.directory().await.unwrap().document(EntryKind::Key, "acme", &created.key.id);
        let put = Change::Put { entry: created.key.revoked().encode().unwrap(), was };
        let entry = super::super::audit::audit_entry(&by, "acme", "key.revoke", &created.key.id, None);
        let revoked = tenants.revoked(&caller);
        let change = async {
            assert!(store.directory().change(Some(&put), &entry).await.unwrap());
            tenants.refresh().await.unwrap();
        };
        tokio::join!(revoked, change);
        assert!(tenants.authenticate(Some(&created.token), None).await.is_err());
    }

    #[tokio::test]
    async fn ended_keys_of_tenants_are_removed_after_a_while_and_those_of_the_host_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (store, tenants, by) = tenants(folder.path()).await;
        let valid = tenants.create_key(Some("acme"), new(Role::Read, false), &by).await.unwrap();
        for tenant in [None, Some("acme")] {
            let mut key = ApiKey::create(tenant, new(Role::Admin, tenant.is_none())).unwrap().key;
            key.revoked_at = Some(chrono::DateTime::UNIX_EPOCH);
            let put = Change::Put { entry: key.encode().unwrap(), was: None };
            let entry = super::super::audit::audit_entry(&by, "", "key.create", &key.id, None);
            assert!(store.directory().change(Some(&put), &entry).await.unwrap());
        }
        tenants.refresh().await.unwrap();
        assert_eq!(tenants.keys(Some("acme")).await.unwrap().len(), 2);
        tenants.purge_keys().await.unwrap();
        let left = tenants.keys(Some("acme")).await.unwrap();
        assert_eq!(left.iter().map(|key| &key.id).collect::<Vec<_>>(), [&valid.key.id]);
        assert_eq!(tenants.keys(None).await.unwrap().len(), 2);
        assert!(tenants.has_keys().await.unwrap());
    }
}
