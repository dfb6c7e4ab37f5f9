//! Tenants: their settings and limits, API keys, secrets, the audit log, and usage.
//!
//! The directory is in memory. Its changes are read, one by one, after a change on this node, after a notification of another
//! node, and every few seconds if the store is shared. A [`Tenant`] stays the same object: a change gives it other [`Terms`],
//! which everything that acts for the tenant reads at that moment.

mod account;
mod actor;
mod admin;
mod audit;
mod caller;
mod directory;
mod error;
mod grants;
mod info;
mod key;
mod name;
mod secrets;
mod settings;
mod signed;
mod tenant;
mod uploads;
mod usage;

use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

pub use account::{Account, Admitted, Compiling};
pub(crate) use actor::RETENTION;
pub use audit::{AuditPage, AuditRecord};
pub use caller::{Caller, Credentials, Denied, KeyName, Role, RunScope, Session};
pub use error::TenantError;
pub use grants::Granted;
pub use info::{EffectiveLimit, TenantInfo};
pub use key::{ApiKey, CreatedKey, NewKey};
pub use name::check as check_name;
pub use secrets::{NewSecret, SecretInfo};
pub use settings::{Settings, SettingsChange};
pub(crate) use signed::is_run_token;
pub use tenant::{Tenant, Terms};
pub use uploads::{UploadTurn, Uploads};
pub use usage::{Usage, UsageReport};

use self::directory::Directory;
use self::signed::Signer;
use crate::config::Limits;
use forge_egress::secrets::KeyRing;
use forge_egress::{EgressError, Policy, Tls, Workers};
use forge_scheduling::{Attempts, ByteBudget, InstancePermits};
use forge_store::{Batch, Store, Subscriber};

/// The maximum age of the cached directory if the store is shared, because notifications can be lost: a key that is
/// revoked on another node is rejected here after this time at the latest.
const FRESH: Duration = Duration::from_secs(5);

/// All tenants.
pub struct Tenants {
    store: Arc<dyn Store>,
    limits: Arc<Limits>,
    /// The egress policy of the default tenant, unless its settings have rules.
    policy: Policy,
    secret_keys: Option<Arc<KeyRing>>,
    tls: Tls,
    /// The budget of the responses that the runs of all tenants receive.
    responses: Arc<ByteBudget>,
    /// The threads on which all tenants' responses are decoded and searched.
    workers: Workers,
    instances: Arc<InstancePermits<Arc<str>>>,
    directory: RwLock<Directory>,
    /// The number of changes of the directory that this node has heard of. What was read before a change is not current after
    /// it.
    changes: AtomicU64,
    /// Reads of the directory. Concurrent callers share one.
    reading: Attempts<TenantError>,
    /// Whether this node has committed something since it has last looked what is stored.
    has_grown: AtomicBool,
    /// The accounts of all tenants that this process has seen. Iterated only to write usage.
    accounts: Mutex<BTreeMap<Arc<str>, Arc<Account>>>,
    /// What signs tokens, once a token was made or presented.
    signer: OnceCell<Signer>,
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
            responses: Arc::default(),
            workers: Workers::default(),
            instances,
            directory: RwLock::default(),
            changes: AtomicU64::new(0),
            reading: Attempts::default(),
            has_grown: AtomicBool::new(false),
            accounts: Mutex::default(),
            signer: OnceCell::new(),
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
        let found = self.directory().await?.get(name).cloned();
        if matches!(found, Err(TenantError::Unknown(_))) && self.store.nodes().is_some() {
            // Another node may have made it a moment ago.
            self.refresh().await?;
            return self.directory().await?.get(name).cloned();
        }
        found
    }

    /// Returns whether the host has API keys, valid or not. Callers need one then.
    ///
    /// # Errors
    /// [`TenantError::Store`].
    pub async fn has_keys(&self) -> Result<bool, TenantError> {
        Ok(self.directory().await?.has_keys())
    }

    /// Makes the next access read what has changed in the directory.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Returns the account of a tenant, whether it exists or not.
    pub(crate) fn account(&self, name: &str) -> Arc<Account> {
        let mut accounts = self.accounts.lock();
        if let Some(account) = accounts.get(name) {
            return Arc::clone(account);
        }
        let account = Arc::new(Account::new(name.into()));
        accounts.insert(Arc::clone(&account.tenant), Arc::clone(&account));
        account
    }

    /// Returns all accounts.
    fn accounts(&self) -> Vec<Arc<Account>> {
        self.accounts.lock().values().cloned().collect()
    }
}

/// Counts what is written to the journals of tenants' runs.
impl Subscriber for Tenants {
    fn committed(&self, batch: &Arc<Batch>) {
        if !batch.is_local {
            return;
        }
        self.has_grown.store(true, Ordering::Relaxed);
        for change in &batch.changes {
            let account = self.account(&change.tenant);
            account.grown(change.grown());
            if let Some(changes) = change.changes() {
                account.journaled(changes);
            }
        }
    }
}
