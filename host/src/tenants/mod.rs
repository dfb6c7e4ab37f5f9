//! Tenants: their settings and limits, API keys, secrets, the audit log, and usage.
//!
//! The directory of tenants is small and read as a whole. It is cached in memory, and read again after a change on this
//! node, after a notification of another node, and after `FRESH` if the store is shared.

mod account;
mod admin;
mod audit;
mod caller;
mod error;
mod info;
mod key;
mod name;
mod secrets;
mod settings;
mod usage;

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use account::{Account, Admitted};
pub use audit::{AuditPage, AuditRecord};
pub use caller::{Caller, Denied, Role};
pub use error::TenantError;
pub use info::{EffectiveLimit, TenantInfo};
pub use key::{ApiKey, CreatedKey, NewKey};
pub use name::check as check_name;
pub use secrets::{NewSecret, SecretInfo};
pub use settings::{Settings, SettingsChange};
pub use usage::{Usage, UsageReport};

use crate::config::{Limits, TenantLimits};
use forge_egress::secrets::KeyRing;
use forge_egress::{Egress, EgressError, Policy, Tls, Workers};
use forge_journal::DEFAULT_TENANT;
use forge_sandbox::InstanceLimits;
use forge_scheduling::{Attempts, InstancePermits};
use forge_store::directory::{Entry, EntryKind};
use forge_store::{Batch, Store, Subscriber};

/// The maximum age of the cached directory if the store is shared, because notifications can be lost: a key that is
/// revoked on another node is rejected here after this time at the latest.
const FRESH: Duration = Duration::from_secs(5);

/// A tenant, with what the host needs to execute its runs.
pub struct Tenant {
    /// The name of the tenant.
    pub name: Arc<str>,
    /// The settings.
    pub settings: Settings,
    /// The limits of the tenant.
    pub limits: Arc<TenantLimits>,
    /// The limits of one instance.
    pub instance_limits: Arc<InstanceLimits>,
    /// Sends the requests of its runs.
    pub egress: Arc<Egress>,
    /// The usage.
    pub account: Arc<Account>,
    /// The entries that the tenant was read from.
    source: String,
}

/// All tenants.
pub struct Tenants {
    store: Arc<dyn Store>,
    limits: Arc<Limits>,
    /// The egress policy of the default tenant, unless its settings have rules.
    policy: Policy,
    secret_keys: Option<Arc<KeyRing>>,
    tls: Tls,
    /// The threads on which all tenants' answers are searched.
    workers: Workers,
    instances: Arc<InstancePermits<Arc<str>>>,
    state: Mutex<State>,
    /// Reads of the directory. Concurrent callers share one.
    reading: Attempts<TenantError>,
}

#[derive(Default)]
struct State {
    directory: Option<Arc<Snapshot>>,
    /// Whether the directory has not changed since it was read.
    is_current: bool,
    /// The number of changes, by which a directory that was read before a change is not cached after it.
    changes: u64,
    /// The accounts of all tenants that this process has seen. Iterated only to write usage.
    accounts: BTreeMap<Arc<str>, Arc<Account>>,
}

/// The directory at one point in time.
struct Snapshot {
    tenants: BTreeMap<Arc<str>, Arc<Tenant>>,
    /// By id. Never iterated.
    keys: HashMap<String, ApiKey>,
    entries: Vec<Entry>,
    read_at: Instant,
}

impl Tenants {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        limits: Arc<Limits>,
        policy: Policy,
        secret_keys: Option<Arc<KeyRing>>,
        tls: Tls,
        instances: Arc<InstancePermits<Arc<str>>>,
    ) -> Self {
        Self {
            store,
            limits,
            policy,
            secret_keys,
            tls,
            workers: Workers::default(),
            instances,
            state: Mutex::default(),
            reading: Attempts::default(),
        }
    }

    /// Creates the tenants of a store on which nothing runs.
    ///
    /// # Errors
    /// [`EgressError`] if TLS cannot be set up.
    pub fn for_store(store: Arc<dyn Store>) -> Result<Self, EgressError> {
        Ok(Self::new(store, Arc::default(), Policy::open(), None, Tls::new()?, InstancePermits::new(0)))
    }

    /// Returns a tenant.
    ///
    /// # Errors
    /// [`TenantError::Unknown`], [`TenantError::Store`].
    pub async fn get(&self, name: &str) -> Result<Arc<Tenant>, TenantError> {
        self.directory().await?.get(name).cloned()
    }

    /// Returns whether the host has API keys, valid or not. Callers need one then.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn has_keys(&self) -> Result<bool, TenantError> {
        Ok(!self.directory().await?.keys.is_empty())
    }

    /// Makes the next access read the directory, because it has changed here or on another node.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.is_current = false;
        state.changes += 1;
    }

    /// Returns the account of a tenant, whether it exists or not.
    pub(crate) fn account(&self, name: &str) -> Arc<Account> {
        let mut state = self.state();
        if let Some(account) = state.accounts.get(name) {
            return Arc::clone(account);
        }
        let account = Arc::new(Account::new(name.into()));
        state.accounts.insert(Arc::clone(&account.tenant), Arc::clone(&account));
        account
    }

    async fn directory(&self) -> Result<Arc<Snapshot>, TenantError> {
        if let Some(directory) = self.fresh() {
            return Ok(directory);
        }
        self.reading.make(self.read_directory()).await
    }

    async fn read_directory(&self) -> Result<Arc<Snapshot>, TenantError> {
        if let Some(directory) = self.fresh() {
            return Ok(directory);
        }
        let (changes, before) = {
            let state = self.state();
            (state.changes, state.directory.clone())
        };
        let entries = self.store.directory().entries().await?;
        let directory = Arc::new(self.read(entries, before.as_deref())?);
        for tenant in directory.tenants.values() {
            self.instances.set_limit(&tenant.name, tenant.permits());
        }
        let mut state = self.state();
        if state.changes == changes {
            state.directory = Some(Arc::clone(&directory));
            state.is_current = true;
        }
        Ok(directory)
    }

    fn fresh(&self) -> Option<Arc<Snapshot>> {
        let state = self.state();
        let directory = state.directory.as_ref().filter(|_| state.is_current)?;
        let is_shared = self.store.nodes().is_some();
        (!is_shared || directory.read_at.elapsed() < FRESH).then(|| Arc::clone(directory))
    }

    /// Decodes the entries. Tenants that have not changed are reused, with their connections.
    fn read(&self, entries: Vec<Entry>, before: Option<&Snapshot>) -> Result<Snapshot, TenantError> {
        let mut tenants = BTreeMap::new();
        let mut keys = HashMap::new();
        let mut secrets: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Secret) {
            secrets.entry(&entry.tenant).or_default().push(entry);
        }
        let default = Entry {
            kind: EntryKind::Tenant,
            tenant: DEFAULT_TENANT.to_owned(),
            name: DEFAULT_TENANT.to_owned(),
            document: "{}".to_owned(),
        };
        for entry in [&default].into_iter().chain(&entries) {
            match entry.kind {
                EntryKind::Tenant => {
                    let secrets = secrets.get(entry.name.as_str()).map_or(&[][..], Vec::as_slice);
                    let source = source(entry, secrets);
                    let known = before.and_then(|before| before.tenants.get(entry.name.as_str()));
                    let tenant = match known.filter(|tenant| tenant.source == source) {
                        Some(tenant) => Arc::clone(tenant),
                        None => Arc::new(self.tenant(entry, secrets, source)?),
                    };
                    tenants.insert(Arc::clone(&tenant.name), tenant);
                }
                EntryKind::Key => {
                    keys.insert(entry.name.clone(), ApiKey::decode(entry)?);
                }
                EntryKind::Secret => {}
            }
        }
        Ok(Snapshot { tenants, keys, entries, read_at: Instant::now() })
    }

    fn tenant(&self, entry: &Entry, secrets: &[&Entry], source: String) -> Result<Tenant, TenantError> {
        let settings = Settings::decode(entry)?;
        let limits = settings.limits_within(&self.limits.tenant);
        let policy = match settings.policy()? {
            Some(policy) => policy,
            None if entry.name == DEFAULT_TENANT => self.policy.clone(),
            None => Policy::only(Vec::new(), Vec::new()),
        };
        let secrets = Arc::new(secrets::open(self.secret_keys.as_deref(), secrets));
        let account = self.account(&entry.name);
        let egress = Egress::new(&self.tls, policy, secrets, &limits.egress(), account.lookups());
        let egress = egress.counting(account.http_bytes());
        let egress = egress.working(self.workers.clone(), Arc::clone(&account.tenant));
        Ok(Tenant {
            name: Arc::clone(&account.tenant),
            settings,
            instance_limits: Arc::new(limits.instance()),
            limits: Arc::new(limits),
            egress: Arc::new(egress),
            account,
            source,
        })
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Snapshot {
    fn get(&self, name: &str) -> Result<&Arc<Tenant>, TenantError> {
        self.tenants.get(name).ok_or_else(|| TenantError::Unknown(name.to_owned()))
    }

    /// Returns the document of an entry. The default tenant can exist without an entry.
    fn document(&self, kind: EntryKind, tenant: &str, name: &str) -> Option<String> {
        let wanted = |entry: &&Entry| entry.kind == kind && entry.tenant == tenant && entry.name == name;
        self.entries.iter().find(wanted).map(|entry| entry.document.clone())
    }

    fn secrets_of(&self, tenant: &str) -> Vec<&Entry> {
        let is_theirs = |entry: &&Entry| entry.kind == EntryKind::Secret && entry.tenant == tenant;
        self.entries.iter().filter(is_theirs).collect()
    }
}

/// Returns the names and documents that a tenant is read from.
fn source(entry: &Entry, secrets: &[&Entry]) -> String {
    let documents = [entry].into_iter().chain(secrets.iter().copied());
    documents.flat_map(|entry| [entry.name.as_str(), entry.document.as_str()]).collect::<Vec<_>>().join("\n")
}

impl Tenant {
    /// Returns the number of instance permits of the tenant: none while it is suspended.
    pub(crate) fn permits(&self) -> u32 {
        if self.settings.suspended {
            0
        } else {
            u32::try_from(self.limits.runs_in_flight).unwrap_or(u32::MAX)
        }
    }

    /// Checks that a limit allows `count` things.
    ///
    /// # Errors
    /// [`TenantError::Limit`] with advice on what to do.
    pub(crate) fn check_limit(
        &self,
        limit: &'static str,
        value: u64,
        count: usize,
        advice: &'static str,
    ) -> Result<(), TenantError> {
        if count as u64 <= value {
            return Ok(());
        }
        Err(TenantError::Limit { tenant: self.name.to_string(), limit, value, advice })
    }

    /// Checks that the tenant is not suspended.
    ///
    /// # Errors
    /// [`TenantError::Suspended`].
    pub(crate) fn check_active(&self) -> Result<(), TenantError> {
        if self.settings.suspended { Err(TenantError::Suspended(self.name.to_string())) } else { Ok(()) }
    }
}

/// Counts what is written to the journals of tenants' runs.
impl Subscriber for Tenants {
    fn committed(&self, batch: &Arc<Batch>) {
        if !batch.is_local {
            return;
        }
        for change in &batch.changes {
            if let Some(changes) = change.changes() {
                self.account(&change.tenant).journaled(changes);
            }
        }
    }
}
