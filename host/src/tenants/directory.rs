//! The directory in memory: all tenants, API keys and secrets, and how a change in the store reaches them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLockReadGuard;
use tokio_util::sync::CancellationToken;

use super::tenant::Definition;
use super::{ApiKey, FRESH, Settings, Tenant, TenantError, Tenants, secrets};
use forge_egress::{Policy, Responses};
use forge_journal::DEFAULT_TENANT;
use forge_store::directory::{Entry, EntryId, EntryKind, Update};

/// All tenants, API keys and secrets, as they were last read.
#[derive(Default)]
pub(super) struct Directory {
    /// `None` until it was read as a whole.
    revision: Option<i64>,
    /// When it was read, and the number of changes that were known then.
    read: Option<(Instant, u64)>,
    tenants: BTreeMap<Arc<str>, Arc<Tenant>>,
    documents: BTreeMap<EntryId, Arc<str>>,
    /// The tenants whose documents have changed, until they are defined again.
    changed: BTreeSet<String>,
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
    fn apply(&mut self, update: Update) -> Result<Vec<String>, TenantError> {
        let Update { is_whole, changed, mut removed, .. } = update;
        let keys = changed.iter().filter(|entry| entry.kind == EntryKind::Key);
        let keys = keys.map(ApiKey::decode).collect::<Result<Vec<_>, _>>()?;
        if is_whole {
            let there: BTreeSet<EntryId> = changed.iter().map(Entry::id).collect();
            removed.extend(self.documents.keys().filter(|id| !there.contains(id)).cloned());
        }
        for entry in changed {
            let (id, document) = (entry.id(), Arc::from(entry.document));
            if self.documents.insert(id, Arc::clone(&document)).as_ref() != Some(&document)
                && entry.kind != EntryKind::Key
            {
                self.changed.insert(entry.tenant);
            }
        }
        for key in keys {
            self.put_key(key);
        }
        for id in removed {
            self.documents.remove(&id);
            match id.kind {
                EntryKind::Key => {
                    if let Some(gone) = self.keys.remove(&id.name) {
                        gone.revoked.cancel();
                    }
                }
                EntryKind::Tenant | EntryKind::Secret => {
                    self.changed.insert(id.tenant);
                }
            }
        }
        if !self.tenants.contains_key(DEFAULT_TENANT) {
            self.changed.insert(DEFAULT_TENANT.to_owned());
        }
        Ok(self.changed.iter().cloned().collect())
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
        if !self.is_fresh() {
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

    fn is_fresh(&self) -> bool {
        let Some((at, changes)) = self.directory.read().read else { return false };
        let is_shared = self.store.nodes().is_some();
        changes == self.changes() && (!is_shared || at.elapsed() < FRESH)
    }

    /// Reads and applies the changes since the directory was last read. One caller at a time.
    async fn read_changes(&self) -> Result<(), TenantError> {
        if self.is_fresh() {
            return Ok(());
        }
        let read = (Instant::now(), self.changes());
        let since = self.directory.read().revision;
        let update = self.store.directory().update(since).await?;
        let revision = update.revision;
        let changed = self.directory.write().apply(update)?;
        for name in &changed {
            self.define(name)?;
            self.directory.write().changed.remove(name);
        }
        // After an error, the changes are read again.
        let mut directory = self.directory.write();
        directory.revision = Some(revision);
        directory.read = Some(read);
        Ok(())
    }

    /// Gives a tenant the settings, rules and secrets that the directory has for it now.
    fn define(&self, name: &str) -> Result<(), TenantError> {
        let (known, source) = {
            let directory = self.directory.read();
            (directory.tenants.get(name).cloned(), directory.source(name))
        };
        let Some((entry, secrets)) = source else {
            // The entry was removed from the database by hand: what is under way stops.
            if let Some(tenant) = known {
                self.set(&tenant, self.definition(&entry_of_a_removed(name), &[])?);
                self.directory.write().tenants.remove(name);
            }
            return Ok(());
        };
        let definition = self.definition(&entry, &secrets)?;
        match known {
            Some(tenant) => self.set(&tenant, definition),
            None => {
                let account = self.account(name);
                let most = self.limits.response_bytes_in_flight;
                let responses = Responses::new(account.responses(), Arc::clone(&self.responses), most);
                let tenant = Arc::new(Tenant::new(account, &self.tls, responses, definition));
                self.instances.set_limit(&tenant.name, tenant.terms().permits());
                self.directory.write().tenants.insert(Arc::clone(&tenant.name), tenant);
            }
        }
        Ok(())
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

    fn definition(&self, entry: &Entry, secrets: &[Entry]) -> Result<Definition, TenantError> {
        let settings = Settings::decode(entry)?;
        let policy = match settings.policy()? {
            Some(policy) => policy,
            None if entry.name == DEFAULT_TENANT => self.policy.clone(),
            None => Policy::only(Vec::new(), Vec::new()),
        };
        Ok(Definition {
            limits: settings.limits_within(&self.limits.tenant),
            secrets: Arc::new(secrets::open(self.secret_keys.as_deref(), secrets)),
            settings,
            policy,
        })
    }
}

/// Returns the entry of a tenant that is not in the directory any more.
fn entry_of_a_removed(name: &str) -> Entry {
    let document = r#"{"suspended":true}"#.to_owned();
    Entry { kind: EntryKind::Tenant, tenant: name.to_owned(), name: name.to_owned(), document }
}
