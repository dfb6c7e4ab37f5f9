//! Workflows by name and version, and the compiled components that hold them.

mod error;
mod info;
#[cfg(feature = "object-store")]
mod objects;
#[cfg(not(feature = "object-store"))]
#[path = "no_objects.rs"]
mod objects;

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

pub use error::RegistryError;
pub use info::{Registered, WorkflowInfo, WorkflowVersions};
pub use objects::Objects;

use crate::config;
use crate::tenants::{Tenant, TenantError, Tenants};
use forge_clock as clock;
use forge_journal::DEFAULT_TENANT;
use forge_sandbox::{Component, Described, Engine, InvalidComponent};
use forge_store::{Store, StoreError, VersionRow};

/// Bytes of a workflow's name: what the spec's column holds.
const NAME: usize = 255;

/// A tenant's registry (spec: *Registering and Starting Workflows*). Uploads are content-addressed and
/// immutable, so a run stays with the component that it was started with.
#[derive(Clone)]
pub struct WorkflowRegistry {
    shared: Arc<Shared>,
    tenant: Arc<str>,
}

/// What the registries of all tenants share.
struct Shared {
    store: Arc<dyn Store>,
    /// Where components are, if that is not the store.
    objects: Option<Objects>,
    engine: Arc<Engine>,
    tenants: Arc<Tenants>,
    /// Compiled components by digest. Never iterated.
    components: Mutex<HashMap<Arc<str>, Arc<OnceCell<Component>>>>,
    known: Mutex<Known>,
    /// One component is compiled at a time: the other cores are for the runs.
    compiling: Arc<Semaphore>,
}

/// Workflows as the store has them. Who changes them tells ([`WorkflowRegistry::forget`]).
#[derive(Default)]
struct Known {
    /// By tenant and name. Never iterated.
    workflows: HashMap<Arc<str>, HashMap<String, Arc<WorkflowVersions>>>,
    /// How often they were changed: what was read before a change is not kept after it.
    changes: u64,
}

impl Known {
    fn changed(&mut self) {
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
    ) -> Self {
        let shared = Shared {
            store,
            objects,
            engine,
            tenants,
            components: Mutex::default(),
            known: Mutex::default(),
            compiling: Arc::new(Semaphore::new(1)),
        };
        Self { shared: Arc::new(shared), tenant: DEFAULT_TENANT.into() }
    }

    /// The same for another tenant.
    pub fn for_tenant(&self, tenant: &Arc<str>) -> Self {
        Self { shared: Arc::clone(&self.shared), tenant: Arc::clone(tenant) }
    }

    /// Registers the workflows of a component. The same bytes again change nothing.
    ///
    /// # Errors
    /// [`RegistryError`] if it is no component that runs here, or a version of it is taken. Then
    /// nothing was registered.
    pub async fn register(&self, component: &[u8]) -> Result<Registered, RegistryError> {
        let tenant = self.shared.tenants.get(&self.tenant).await?;
        tenant.check_active()?;
        let (size, limit) = (component.len(), config::size(tenant.limits.module_bytes));
        if size > limit {
            return Err(RegistryError::TooLarge { size, limit });
        }
        let digest = digest(component);
        let existing = self.versions_of(&digest).await?;
        if !existing.is_empty() && self.shared.component(&digest).await?.is_some() {
            // It may have been registered by a commit of which nobody knew how it ended.
            self.shared.known().changed();
            return Ok(Registered { digest, workflows: existing, created: false });
        }
        self.check_versions(&tenant, 1).await?;
        let compiled = self.shared.compile(&digest, component.to_vec()).await?;
        let described = self.shared.engine.describe(&compiled).await?;
        check_described(&described)?;
        self.check_versions(&tenant, described.len()).await?;
        let created_at = clock::now();
        let versions: Vec<VersionRow> = described
            .into_iter()
            .map(|described| VersionRow {
                tenant: self.tenant.to_string(),
                workflow: described.name,
                version: described.version,
                digest: digest.clone(),
                timeout_ms: described.timeout_ms,
                deprecated: described.deprecated,
                active: false,
                created_at,
            })
            .collect();
        // Whoever asks may go away in the middle. What is registered then must be known here all the same.
        let (registry, component) = (self.clone(), component.to_vec());
        let published =
            tokio::spawn(async move { registry.publish(digest, &component, compiled, versions).await });
        published.await.unwrap_or_else(|error| {
            tracing::error!(%error, "registering a component broke off");
            Err(StoreError::Closed.into())
        })
    }

    /// Makes a component that was checked known.
    async fn publish(
        &self,
        digest: String,
        component: &[u8],
        compiled: Component,
        versions: Vec<VersionRow>,
    ) -> Result<Registered, RegistryError> {
        let inline = match &self.shared.objects {
            Some(objects) => {
                objects.put(&digest, component).await?;
                None
            }
            None => Some(component),
        };
        let registered = self.shared.store.register(&digest, inline, &versions).await;
        // Also if it failed: then nobody knows.
        self.shared.known().changed();
        if let Some(taken) = registered? {
            let next = self.shared.store.versions(&self.tenant, Some(&taken.workflow)).await?;
            let next = next.first().map_or(taken.version, |highest| highest.version).saturating_add(1);
            return Err(RegistryError::VersionTaken { name: taken.workflow, version: taken.version, next });
        }
        // It is compiled already: neither the first run nor the next start of the host need wait for that.
        self.shared.keep(&digest, &compiled).await;
        let _ = self.shared.cell(&digest).set(compiled);
        Ok(Registered { workflows: self.versions_of(&digest).await?, digest, created: true })
    }

    /// All workflows with their versions, by name.
    ///
    /// # Errors
    /// [`RegistryError::Store`].
    pub async fn list(&self) -> Result<Vec<WorkflowVersions>, RegistryError> {
        let rows = self.shared.store.versions(&self.tenant, None).await?;
        Ok(rows.chunk_by(|a, b| a.workflow == b.workflow).map(grouped).collect())
    }

    /// A workflow with its versions.
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
        let found = Arc::new(grouped(&rows));
        let mut known = self.shared.known();
        if known.changes == changes {
            let theirs = known.workflows.entry(Arc::clone(&self.tenant)).or_default();
            theirs.insert(name.to_owned(), Arc::clone(&found));
        }
        Ok(found)
    }

    /// The version of a workflow that new runs take: the one that was activated, or the highest
    /// that is not deprecated (spec: *Version Lookup*).
    ///
    /// # Errors
    /// [`RegistryError::UnknownWorkflow`], [`RegistryError::AllDeprecated`].
    pub async fn get(&self, name: &str) -> Result<WorkflowInfo, RegistryError> {
        let workflow = self.workflow(name).await?;
        let current = workflow.versions.iter().find(|info| Some(info.version) == workflow.current);
        current.cloned().ok_or_else(|| RegistryError::AllDeprecated { name: name.to_owned() })
    }

    /// A version of a workflow (spec: *Version Lookup*).
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

    /// Makes a version the one that new runs take, whatever is higher.
    ///
    /// # Errors
    /// As [`WorkflowRegistry::get_version`].
    pub async fn activate(&self, name: &str, version: u32) -> Result<WorkflowInfo, RegistryError> {
        let activated = self.shared.store.activate(&self.tenant, name, version).await;
        self.shared.known().changed();
        activated?;
        self.get_version(name, version).await
    }

    /// Marks a version as deprecated: new runs do not take it unless they ask for it.
    ///
    /// # Errors
    /// As [`WorkflowRegistry::get_version`].
    pub async fn deprecate(&self, name: &str, version: u32) -> Result<WorkflowInfo, RegistryError> {
        let deprecated = self.shared.store.deprecate(&self.tenant, name, version).await;
        self.shared.known().changed();
        deprecated?;
        self.get_version(name, version).await
    }

    /// The component with this digest, if it is compiled and in memory.
    pub(crate) fn compiled(&self, digest: &Arc<str>) -> Option<Component> {
        self.shared.cell(digest).get().cloned()
    }

    /// The component with this digest, compiled.
    pub(crate) async fn component(&self, digest: &Arc<str>) -> Result<Component, RegistryError> {
        self.shared.compiled(digest).await
    }

    /// Another node has changed something: what is known is read again.
    pub(crate) fn forget(&self) {
        self.shared.known().changed();
    }

    /// Checks that the tenant may have so many more versions.
    async fn check_versions(&self, tenant: &Tenant, more: usize) -> Result<(), RegistryError> {
        let (value, there) =
            (tenant.limits.versions, self.shared.store.versions(&self.tenant, None).await?.len());
        if there.saturating_add(more) as u64 <= value {
            return Ok(());
        }
        let advice = "ask for a higher limit";
        Err(TenantError::Limit { tenant: self.tenant.to_string(), limit: "versions", value, advice }.into())
    }

    async fn versions_of(&self, digest: &str) -> Result<Vec<WorkflowInfo>, StoreError> {
        let rows = self.shared.store.versions(&self.tenant, None).await?;
        Ok(rows.iter().filter(|row| row.digest == digest).map(info).collect())
    }

    async fn unknown(&self, name: &str) -> Result<RegistryError, StoreError> {
        let names: BTreeSet<String> = self
            .shared
            .store
            .versions(&self.tenant, None)
            .await?
            .into_iter()
            .map(|row| row.workflow)
            .collect();
        Ok(RegistryError::UnknownWorkflow { name: name.to_owned(), known: names.into_iter().collect() })
    }
}

impl Shared {
    /// The component with this digest, compiled.
    async fn compiled(&self, digest: &Arc<str>) -> Result<Component, RegistryError> {
        let cell = self.cell(digest);
        let compiled = cell
            .get_or_try_init(|| async {
                let missing = || RegistryError::MissingComponent { digest: digest.to_string() };
                let component = self.component(digest).await?.ok_or_else(missing)?;
                let compiled = self.compile(digest, component).await?;
                self.keep(digest, &compiled).await;
                Ok::<_, RegistryError>(compiled)
            })
            .await?;
        Ok(compiled.clone())
    }

    /// The bytes of a component, from wherever they are: both, if it was moved.
    async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = match (self.store.component(digest).await?, &self.objects) {
            (None, Some(objects)) => objects.get(digest).await?,
            (found, _) => found,
        };
        let is_it = |found: &Vec<u8>| self::digest(found) == digest;
        if found.as_ref().is_some_and(|found| !is_it(found)) {
            tracing::error!(digest, "a component is not what was uploaded");
        }
        Ok(found.filter(is_it))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    fn cell(&self, digest: &str) -> Arc<OnceCell<Component>> {
        let mut components = self.components.lock();
        Arc::clone(components.entry(digest.into()).or_default())
    }

    /// Compiles where it does not keep runs waiting.
    async fn compile(&self, digest: &str, component: Vec<u8>) -> Result<Component, RegistryError> {
        // The semaphore is never closed, and without it this would only be slower.
        let turn = Arc::clone(&self.compiling).acquire_owned().await;
        let (engine, digest) = (Arc::clone(&self.engine), digest.to_owned());
        // A task of its own, so that the permit is held to the end if the caller is dropped.
        let compiled = tokio::spawn(async move {
            let compiled = engine.compile(&digest, component).await;
            drop(turn);
            compiled
        })
        .await;
        let compiled =
            compiled.map_err(|error| RegistryError::InvalidComponent(format!("compiling failed: {error}")));
        Ok(compiled??)
    }

    /// Keeps what was compiled for the next start of the host.
    async fn keep(&self, digest: &str, component: &Component) {
        let (engine, digest, component) = (Arc::clone(&self.engine), digest.to_owned(), component.clone());
        // That it cannot be kept costs time after a restart, and nothing else.
        let _ = tokio::task::spawn_blocking(move || engine.keep(&digest, &component)).await;
    }
}

impl From<InvalidComponent> for RegistryError {
    fn from(error: InvalidComponent) -> Self {
        Self::InvalidComponent(error.0)
    }
}

/// What a component says of itself must be usable as it stands.
fn check_described(described: &[Described]) -> Result<(), InvalidComponent> {
    let invalid = |text: String| Err(InvalidComponent(text));
    if described.is_empty() {
        return invalid("the component has no workflows: name them in `forge::export!(...)`".to_owned());
    }
    let mut seen = BTreeSet::new();
    for workflow in described {
        let Described { name, version, timeout_ms, .. } = workflow;
        let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
        let fits = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
        if !begins || !fits || name.len() > NAME {
            return invalid(format!(
                "`{name}` is no name for a workflow: use 1 to {NAME} letters, digits, `_`, `-` and `.`, beginning with a letter"
            ));
        }
        if *version == 0 {
            return invalid(format!("workflow `{name}` has version 0: versions begin at 1"));
        }
        if *timeout_ms == 0 {
            return invalid(format!("workflow `{name}` has a timeout of 0: no run of it could do anything"));
        }
        if !seen.insert((name, version)) {
            return invalid(format!(
                "the component has version {version} of workflow `{name}` twice: give one another name or version"
            ));
        }
    }
    Ok(())
}

fn grouped(rows: &[VersionRow]) -> WorkflowVersions {
    let versions: Vec<WorkflowInfo> = rows.iter().map(info).collect();
    let active = versions.iter().find(|info| info.active);
    let current = active.or_else(|| versions.iter().find(|info| !info.deprecated));
    WorkflowVersions {
        name: versions.first().map(|info| info.name.clone()).unwrap_or_default(),
        current: current.map(|info| info.version),
        versions,
    }
}

fn info(row: &VersionRow) -> WorkflowInfo {
    WorkflowInfo {
        name: row.workflow.clone(),
        version: row.version,
        timeout: timeout(row.timeout_ms),
        timeout_ms: row.timeout_ms,
        deprecated: row.deprecated,
        active: row.active,
        digest: row.digest.clone(),
        created_at: row.created_at.to_datetime(),
    }
}

/// A timeout as authors write it: in the largest unit that gives a whole number, days from two on.
fn timeout(milliseconds: u64) -> String {
    const UNITS: [(u64, u64, &str); 4] =
        [(86_400_000, 2, "d"), (3_600_000, 1, "h"), (60_000, 1, "m"), (1_000, 1, "s")];
    let fits = |unit: u64, least: u64| milliseconds.is_multiple_of(unit) && milliseconds / unit >= least;
    match UNITS.iter().find(|(unit, least, _)| fits(*unit, *least)) {
        Some((unit, _, letter)) => format!("{}{letter}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

/// The SHA-256 of a component, in hexadecimal.
pub(crate) fn digest(component: &[u8]) -> String {
    Sha256::digest(component).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_shown_as_authors_write_it() {
        let shown = [86_400_000, 604_800_000, 5_400_000, 30_000, 1_500, 0].map(timeout);
        assert_eq!(shown, ["24h", "7d", "90m", "30s", "1500ms", "0ms"]);
    }

    #[test]
    fn what_a_component_says_of_itself_must_be_usable() {
        let one = |name: &str, version, timeout_ms| Described {
            name: name.to_owned(),
            version,
            timeout_ms,
            deprecated: false,
        };
        let refused = |described: &[Described]| check_described(described).unwrap_err().0;
        assert!(check_described(&[one("a", 1, 5), one("a", 2, 5), one("b.c-d_e", 1, 5)]).is_ok());
        assert!(refused(&[]).contains("no workflows"));
        assert!(refused(&[one("a", 1, 5), one("a", 1, 5)]).contains("version 1 of workflow `a` twice"));
        assert!(refused(&[one("1a", 1, 5)]).contains("no name for a workflow"));
        assert!(refused(&[one("a/b", 1, 5)]).contains("no name for a workflow"));
        assert!(refused(&[one("a", 0, 5)]).contains("versions begin at 1"));
        assert!(refused(&[one("a", 1, 0)]).contains("timeout of 0"));
    }
}
