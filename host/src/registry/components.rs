//! Components: where their bytes are stored, and the compiled ones in memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use super::{Objects, RegistryError};
use forge_sandbox::{Component, Engine};
use forge_store::{Store, StoreError};

/// The components of all tenants.
pub(super) struct Components {
    store: Arc<dyn Store>,
    /// Where components are stored, if not in the store.
    objects: Option<Objects>,
    engine: Arc<Engine>,
    /// Compiled components by digest. Never iterated.
    compiled: Mutex<HashMap<Arc<str>, Arc<OnceCell<Component>>>>,
    /// Lets one component compile at a time, so that the other cores are left to runs.
    compiling: Arc<Semaphore>,
}

impl Components {
    pub(super) fn new(store: Arc<dyn Store>, objects: Option<Objects>, engine: Arc<Engine>) -> Self {
        Self { store, objects, engine, compiled: Mutex::default(), compiling: Arc::new(Semaphore::new(1)) }
    }

    /// Returns a component that is compiled and in memory.
    pub(super) fn cached(&self, digest: &str) -> Option<Component> {
        self.cell(digest).get().cloned()
    }

    /// Returns a component, and compiles it if necessary.
    pub(super) async fn get(&self, digest: &str) -> Result<Component, RegistryError> {
        let cell = self.cell(digest);
        let compiled = cell.get_or_try_init(|| async {
            let missing = || RegistryError::MissingComponent(digest.to_owned());
            let bytes = self.bytes(digest).await?.ok_or_else(missing)?;
            let compiled = self.compile(digest, bytes).await?;
            self.write_cache(digest, &compiled).await;
            Ok::<_, RegistryError>(compiled)
        });
        compiled.await.cloned()
    }

    /// Adds a compiled component, so that the first run and the next start of the host do not compile it again.
    pub(super) async fn insert(&self, digest: &str, compiled: Component) {
        self.write_cache(digest, &compiled).await;
        // If another task has set the cell, it holds the same component.
        let _ = self.cell(digest).set(compiled);
    }

    /// Stores the bytes of a component in the object store, if there is one. Returns the bytes that the database has to
    /// store otherwise.
    pub(super) async fn put<'a>(
        &self,
        digest: &str,
        bytes: &'a [u8],
    ) -> Result<Option<&'a [u8]>, StoreError> {
        let Some(objects) = &self.objects else { return Ok(Some(bytes)) };
        objects.put(digest, bytes).await?;
        Ok(None)
    }

    /// Returns the bytes of a component. A component that was moved can be in the database or in the object store.
    pub(super) async fn bytes(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = match (self.store.component(digest).await?, &self.objects) {
            (None, Some(objects)) => objects.get(digest).await?,
            (found, _) => found,
        };
        let matches = |found: &Vec<u8>| self::digest(found) == digest;
        if found.as_ref().is_some_and(|found| !matches(found)) {
            tracing::error!(digest, "a stored component does not match its digest");
        }
        Ok(found.filter(matches))
    }

    /// Compiles a component where that does not delay runs.
    pub(super) async fn compile(&self, digest: &str, bytes: Vec<u8>) -> Result<Component, RegistryError> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.compiling).acquire_owned().await;
        let (engine, digest) = (Arc::clone(&self.engine), digest.to_owned());
        let compiled = tokio::spawn(async move {
            let compiled = engine.compile(&digest, bytes).await;
            // The permit is held to the end of the compilation, even if no caller waits for it.
            drop(permit);
            compiled
        });
        let failed = |error| RegistryError::InvalidComponent(format!("compiling failed: {error}"));
        Ok(compiled.await.map_err(failed)??)
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
