//! Workflows by name and version, and the components that contain them.

mod components;
mod description;
mod error;
mod info;
mod input_schemas;
#[cfg(feature = "object-store")]
mod objects;
#[cfg(not(feature = "object-store"))]
#[path = "no_objects.rs"]
mod objects;
mod schema;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

pub(crate) use components::digest;
pub use error::RegistryError;
pub use info::{Registered, WorkflowInfo, WorkflowVersions};
pub use objects::Objects;
pub(crate) use upload::{Prepared, UploadPlace};

use self::components::Components;
use self::input_schemas::InputSchemas;
use self::upload::Bodies;
use crate::tenants::{Tenant, Tenants};
use forge_journal::DEFAULT_TENANT;
use forge_sandbox::{Component, Engine};
use forge_store::{Store, StoreError, VersionConflict};

/// The workflows of a tenant (spec: *Registering and Starting Workflows*). Uploads are content-addressed and immutable,
/// so a run keeps the component that it was started with.
#[derive(Clone)]
pub struct WorkflowRegistry {
    shared: Arc<Shared>,
    tenant: Arc<str>,
}

/// The state that the registries of all tenants share.
struct Shared {
    store: Arc<dyn Store>,
    components: Components,
    schemas: InputSchemas,
    engine: Arc<Engine>,
    tenants: Arc<Tenants>,
    /// What an upload does with versions that exist.
    conflict: VersionConflict,
    /// The memory for the bodies of uploads.
    bodies: Bodies,
    known: Mutex<Known>,
}

/// The cached workflows. Every change, here or on another node, clears the cache.
#[derive(Default)]
struct Known {
    /// By tenant and name. Never iterated.
    workflows: HashMap<Arc<str>, HashMap<String, Arc<WorkflowVersions>>>,
    /// The number of changes, by which what was read before a change is not cached after it.
    changes: u64,
}

impl Known {
    fn clear(&mut self) {
        self.workflows.clear();
        self.changes += 1;
    }
}

impl WorkflowRegistry {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        objects: Option<Objects>,
        engine: Arc<Engine>,
        tenants: Arc<Tenants>,
        conflict: VersionConflict,
        upload_memory: u64,
    ) -> Self {
        let components = Components::new(Arc::clone(&store), objects, Arc::clone(&engine));
        let (schemas, bodies) = (InputSchemas::new(Arc::clone(&store)), Bodies::new(upload_memory));
        let known = Mutex::default();
        let shared = Shared { store, components, schemas, engine, tenants, conflict, bodies, known };
        Self { shared: Arc::new(shared), tenant: DEFAULT_TENANT.into() }
    }

    /// Returns the registry of another tenant.
    pub fn for_tenant(&self, tenant: &Arc<str>) -> Self {
        Self { shared: Arc::clone(&self.shared), tenant: Arc::clone(tenant) }
    }

    /// Returns all workflows with their versions, by name.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn list(&self) -> Result<Vec<WorkflowVersions>, RegistryError> {
        let rows = self.shared.store.versions(&self.tenant, None).await?;
        Ok(rows.chunk_by(|a, b| a.workflow == b.workflow).map(WorkflowVersions::new).collect())
    }

    /// Returns a workflow with its versions.
    ///
    /// # Errors
    /// [`RegistryError::UnknownWorkflow`].
    pub async fn versions(&self, name: &str) -> Result<WorkflowVersions, RegistryError> {
        Ok(Arc::unwrap_or_clone(self.workflow(name).await?))
    }

    async fn workflow(&self, name: &str) -> Result<Arc<WorkflowVersions>, RegistryError> {
        let changes = {
            let known = self.shared.known();
            if let Some(workflow) = known.workflows.get(&self.tenant).and_then(|theirs| theirs.get(name)) {
                return Ok(Arc::clone(workflow));
            }
            known.changes
        };
        let rows = self.shared.store.versions(&self.tenant, Some(name)).await?;
        if rows.is_empty() {
            return Err(self.unknown(name).await?);
        }
        let found = Arc::new(WorkflowVersions::new(&rows));
        let mut known = self.shared.known();
        if known.changes == changes {
            let theirs = known.workflows.entry(Arc::clone(&self.tenant)).or_default();
            theirs.insert(name.to_owned(), Arc::clone(&found));
        }
        Ok(found)
    }

    /// Returns the current version of a workflow: the activated one, or the highest that is not deprecated (spec:
    /// *Version Lookup*).
    ///
    /// # Errors
    /// [`RegistryError::UnknownWorkflow`], [`RegistryError::AllDeprecated`].
    pub async fn get(&self, name: &str) -> Result<WorkflowInfo, RegistryError> {
        let workflow = self.workflow(name).await?;
        let current = workflow.versions.iter().find(|info| Some(info.version) == workflow.current);
        current.cloned().ok_or_else(|| RegistryError::AllDeprecated { name: name.to_owned() })
    }

    /// Returns a version of a workflow (spec: *Version Lookup*).
    ///
    /// # Errors
    /// [`RegistryError::UnknownWorkflow`], [`RegistryError::UnknownVersion`].
    pub async fn get_version(&self, name: &str, version: u32) -> Result<WorkflowInfo, RegistryError> {
        let workflow = self.workflow(name).await?;
        let found = workflow.versions.iter().find(|info| info.version == version);
        found.cloned().ok_or_else(|| RegistryError::UnknownVersion {
            name: name.to_owned(),
            version,
            known: workflow.versions.iter().map(|info| info.version.to_string()).collect(),
        })
    }

    /// Returns a version, or the current one: what a start without or with a version takes.
    ///
    /// # Errors
    /// As [`WorkflowRegistry::get`] and [`WorkflowRegistry::get_version`].
    pub async fn find(&self, name: &str, version: Option<u32>) -> Result<WorkflowInfo, RegistryError> {
        match version {
            Some(version) => self.get_version(name, version).await,
            None => self.get(name).await,
        }
    }

    /// Returns the JSON Schema of the input of a version.
    ///
    /// # Errors
    /// [`RegistryError::NoSchema`] if the type of the input derives none.
    pub async fn input_schema(&self, info: &WorkflowInfo) -> Result<String, RegistryError> {
        let none = || RegistryError::NoSchema { name: info.name.clone(), version: info.version };
        let digest = info.input_schema.as_deref().ok_or_else(none)?;
        Ok(self.shared.schemas.text(digest).await?)
    }

    /// Checks the input of a start against the schema of the version, if it has one.
    ///
    /// # Errors
    /// [`RegistryError::InputMisfit`], [`RegistryError::InputUnchecked`], [`RegistryError::Store`].
    pub(crate) async fn check_input(
        &self,
        info: &WorkflowInfo,
        input: &Arc<str>,
    ) -> Result<(), RegistryError> {
        self.shared.schemas.check(info, input, &self.tenant).await
    }

    /// Makes a version the current one, even if another version is higher.
    ///
    /// # Errors
    /// As [`WorkflowRegistry::get_version`].
    pub async fn activate(&self, name: &str, version: u32) -> Result<WorkflowInfo, RegistryError> {
        let activated = self.shared.store.activate(&self.tenant, name, version).await;
        self.changed(activated, name, version).await
    }

    /// Deprecates a version: new runs use it only if they request it by number.
    ///
    /// # Errors
    /// As [`WorkflowRegistry::get_version`].
    pub async fn deprecate(&self, name: &str, version: u32) -> Result<WorkflowInfo, RegistryError> {
        let deprecated = self.shared.store.deprecate(&self.tenant, name, version).await;
        self.changed(deprecated, name, version).await
    }

    /// Returns a version after a change of it, which may be durable even if it failed.
    async fn changed(
        &self,
        change: Result<bool, StoreError>,
        name: &str,
        version: u32,
    ) -> Result<WorkflowInfo, RegistryError> {
        self.forget();
        change?;
        self.get_version(name, version).await
    }

    /// Returns the component with this digest, if it is compiled and in memory.
    pub(crate) fn compiled(&self, digest: &str) -> Option<Component> {
        self.shared.components.cached(digest)
    }

    /// Returns the component with this digest for a run of the tenant, and compiles it if necessary.
    pub(crate) async fn component(&self, digest: &str) -> Result<Component, RegistryError> {
        let account = self.shared.tenants.account(&self.tenant);
        self.shared.components.get(digest, &account).await
    }

    /// Clears the cached workflows, because they have changed here or on another node.
    pub(crate) fn forget(&self) {
        self.shared.known().clear();
    }

    /// Checks that the tenant may have this many versions.
    fn check_versions(tenant: &Tenant, count: usize) -> Result<(), RegistryError> {
        tenant.check_limit("versions", tenant.limits().versions, count, "request a higher limit")?;
        Ok(())
    }

    async fn versions_of(&self, digest: &str) -> Result<Vec<WorkflowInfo>, StoreError> {
        let rows = self.shared.store.versions(&self.tenant, None).await?;
        Ok(rows.iter().filter(|row| row.digest == digest).map(WorkflowInfo::from).collect())
    }

    async fn unknown(&self, name: &str) -> Result<RegistryError, StoreError> {
        let rows = self.shared.store.versions(&self.tenant, None).await?;
        // They are in order of their names.
        let mut known: Vec<String> = rows.into_iter().map(|row| row.workflow).collect();
        known.dedup();
        Ok(RegistryError::UnknownWorkflow { name: name.to_owned(), known })
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}
