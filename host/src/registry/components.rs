//! Components: where their bytes are stored, and the compiled ones in memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::{Objects, RegistryError};
use crate::tenants::Account;
use forge_sandbox::{Component, Engine};
use forge_scheduling::TurnPermits;
use forge_store::{Store, StoreError};

/// The compiled components that are read from the cache at once: enough to keep a disk busy, and few beside the threads for
/// blocking work.
const LOADS: usize = 8;

/// The components of all tenants.
///
/// Tenants take turns in three kinds of work, none of which waits for another: reading compiled components, compiling for
/// runs, and compiling uploads. So a run never waits for an upload. Compiling has one permit each, because it takes a core.
pub(super) struct Components {
    store: Arc<dyn Store>,
    /// Where components are stored, if not in the store.
    objects: Option<Objects>,
    engine: Arc<Engine>,
    /// Compiled components by digest. Never iterated.
    compiled: Mutex<HashMap<Arc<str>, Arc<OnceCell<Component>>>>,
    loads: Arc<TurnPermits<Arc<str>>>,
    compiles_for_runs: Arc<TurnPermits<Arc<str>>>,
    compiles_of_uploads: Arc<TurnPermits<Arc<str>>>,
}

impl Components {
    pub(super) fn new(store: Arc<dyn Store>, objects: Option<Objects>, engine: Arc<Engine>) -> Self {
        Self {
            store,
            objects,
            engine,
            compiled: Mutex::default(),
            loads: TurnPermits::new(LOADS),
            compiles_for_runs: TurnPermits::new(1),
            compiles_of_uploads: TurnPermits::new(1),
        }
    }

    /// Returns a component that is compiled and in memory.
    pub(super) fn cached(&self, digest: &str) -> Option<Component> {
        self.cell(digest).get().cloned()
    }

    /// Returns a component for a run of this tenant: from memory, from the cache, or compiled.
    pub(super) async fn get(&self, digest: &str, account: &Arc<Account>) -> Result<Component, RegistryError> {
        let cell = self.cell(digest);
        let compiled = cell.get_or_try_init(|| async {
            if let Some(loaded) = self.load(digest, account).await {
                return Ok(loaded);
            }
            let missing = || RegistryError::MissingComponent(digest.to_owned());
            let bytes = self.bytes(digest).await?.ok_or_else(missing)?;
            let permit = self.compiles_for_runs.acquire(&account.tenant).await;
            let compiling = account.compiling(None);
            let compiled = self.engine.recompile(bytes).await?;
            drop((compiling, permit));
            self.write_cache(digest, &compiled).await;
            Ok::<_, RegistryError>(compiled)
        });
        compiled.await.cloned()
    }

    /// Returns a component that was compiled before, from memory or the cache.
    pub(super) async fn find(&self, digest: &str, account: &Account) -> Option<Component> {
        match self.cached(digest) {
            Some(compiled) => Some(compiled),
            None => self.load(digest, account).await,
        }
    }

    /// Reads a compiled component from the cache.
    async fn load(&self, digest: &str, account: &Account) -> Option<Component> {
        let _permit = self.loads.acquire(&account.tenant).await;
        self.engine.load(digest).await
    }

    /// Checks and compiles an upload. It is compiled also if another tenant has the same component: otherwise the time of
    /// the answer would tell the tenant so.
    ///
    /// # Errors
    /// [`RegistryError::InvalidComponent`]; [`RegistryError::CompileTime`] if the tenant has used up its compile time.
    pub(super) async fn compile_upload(
        &self,
        bytes: Bytes,
        account: &Arc<Account>,
        compile_seconds: u64,
    ) -> Result<Component, RegistryError> {
        let per_hour = Duration::from_secs(compile_seconds);
        account.may_compile(per_hour).map_err(|retry_after| RegistryError::CompileTime {
            tenant: account.tenant.to_string(),
            limit: compile_seconds,
            retry_after,
        })?;
        let checking = account.compiling(Some(per_hour));
        self.engine.check_upload(bytes.clone()).await?;
        drop(checking);
        let _permit = self.compiles_of_uploads.acquire(&account.tenant).await;
        let _compiling = account.compiling(Some(per_hour));
        Ok(self.engine.compile(bytes).await?)
    }

    /// Adds a compiled component, so that the first run and the next start of the host do not compile it again.
    pub(super) async fn insert(&self, digest: &str, compiled: Component) {
        self.write_cache(digest, &compiled).await;
        // If another task has set the cell, it holds the same component.
        let _ = self.cell(digest).set(compiled);
    }

    /// Stores the bytes of a component in the object store, if there is one. Returns the bytes that the database has to
    /// store otherwise.
    pub(super) async fn put(&self, digest: &str, bytes: Bytes) -> Result<Option<Bytes>, StoreError> {
        let Some(objects) = &self.objects else { return Ok(Some(bytes)) };
        objects.put(digest, bytes).await?;
        Ok(None)
    }

    /// Returns the bytes of a component. A component that was moved can be in the database or in the object store.
    pub(super) async fn bytes(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        let found = match (self.store.component(digest).await?, &self.objects) {
            (None, Some(objects)) => objects.get(digest).await?,
            (found, _) => found.map(Bytes::from),
        };
        let matches = |found: &Bytes| self::digest(found) == digest;
        if found.as_ref().is_some_and(|found| !matches(found)) {
            tracing::error!(digest, "a stored component does not match its digest");
        }
        Ok(found.filter(matches))
    }

    /// Writes a compiled component to the cache on disk. A failure costs only time after a restart.
    async fn write_cache(&self, digest: &str, compiled: &Component) {
        let (engine, digest, compiled) = (Arc::clone(&self.engine), digest.to_owned(), compiled.clone());
        let _ = tokio::task::spawn_blocking(move || engine.keep(&digest, &compiled)).await;
    }

    fn cell(&self, digest: &str) -> Arc<OnceCell<Component>> {
        Arc::clone(self.compiled.lock().entry(digest.into()).or_default())
    }
}

/// Returns the SHA-256 of a component, in hexadecimal.
pub(crate) fn digest(component: &[u8]) -> String {
    Sha256::digest(component).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
