//! Uploads: from their turn to the registered workflows.
//!
//! An upload has its turn among those of its tenant, and room for its body among those of the host, before its body is read.
//! It keeps both until it ends.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Registered, RegistryError, WorkflowInfo, WorkflowRegistry, description, digest};
use crate::config;
use crate::tenants::UploadTurn;
use forge_clock as clock;
use forge_sandbox::Component;
use forge_store::{InputSchema, StoreError, VersionRow};

/// The bytes of one permit for the bodies of uploads. A semaphore's permits at once are a `u32`.
const UNIT: u64 = 1 << 10;

/// The memory for the bodies of uploads.
pub(super) struct Bodies {
    free: Arc<Semaphore>,
    /// All permits.
    all: u32,
}

/// The turn of an upload and the memory for its body, until it is dropped.
pub(crate) struct UploadPlace {
    _turn: UploadTurn,
    _body: Option<OwnedSemaphorePermit>,
    /// The maximum size of the body, in bytes.
    pub(crate) limit: usize,
}

/// An upload that was checked.
pub(crate) enum Prepared {
    /// The same bytes were registered before.
    Known(Registered),
    /// A component that is not registered yet.
    New(Box<New>),
}

/// A component that was compiled, with the versions that it describes.
pub(crate) struct New {
    digest: String,
    bytes: Bytes,
    compiled: Component,
    versions: Vec<VersionRow>,
    schemas: Vec<InputSchema>,
}

impl Prepared {
    /// Returns the workflows of the component with their versions, such as `order v2`.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |workflow: &str, version: u32| format!("{workflow} v{version}");
        match self {
            Self::Known(Registered { workflows, .. }) => {
                workflows.iter().map(|info| name(&info.name, info.version)).collect()
            }
            Self::New(new) => new.versions.iter().map(|row| name(&row.workflow, row.version)).collect(),
        }
    }
}

impl Bodies {
    pub(super) fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits for memory. A body that is larger than all of it gets all of it.
    async fn reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all);
        // The semaphore is never closed.
        Arc::clone(&self.free).acquire_many_owned(permits).await.ok()
    }
}

impl WorkflowRegistry {
    /// Waits for the turn of an upload with a body of `size` bytes, if that is known.
    ///
    /// # Errors
    /// [`RegistryError::TooLarge`]; [`RegistryError::UploadsWait`] if another upload of the tenant waits already.
    pub(crate) async fn admit(&self, size: Option<u64>) -> Result<UploadPlace, RegistryError> {
        let tenant = self.shared.tenants.get(&self.tenant).await?;
        tenant.check_active()?;
        let limit = tenant.limits().component_bytes;
        if let Some(size) = size.filter(|size| *size > limit) {
            return Err(RegistryError::TooLarge { size: config::size(size), limit: config::size(limit) });
        }
        let waits = || RegistryError::UploadsWait { tenant: tenant.name.to_string() };
        let turn = tenant.account.uploads().turn().await.ok_or_else(waits)?;
        let body = self.shared.bodies.reserve(size.unwrap_or(limit)).await;
        Ok(UploadPlace { _turn: turn, _body: body, limit: config::size(limit) })
    }

    /// Registers the workflows of a component. Registering the same bytes again has no effect. A version that is registered
    /// with another component keeps that one, unless the host is for development. A component that the host has compiled
    /// before, also for another tenant, is not compiled again: unlike an upload, whose sender must not learn that.
    ///
    /// # Errors
    /// [`RegistryError`] if the component is invalid or too large, or if all its versions are registered with other
    /// components. Nothing was registered then.
    pub async fn register(&self, component: impl Into<Bytes>) -> Result<Registered, RegistryError> {
        let component = component.into();
        let _place = self.admit(Some(component.len() as u64)).await?;
        let (account, digest) = (self.shared.tenants.account(&self.tenant), digest(&component));
        let compiled = self.shared.components.find(&digest, &account).await;
        let prepared = self.prepare(component, digest, compiled).await?;
        self.publish(prepared).await
    }

    /// Checks and compiles an upload with this digest, unless it comes compiled. Registers nothing, so the returned future may be dropped.
    ///
    /// # Errors
    /// As [`WorkflowRegistry::register`].
    pub(crate) async fn prepare(
        &self,
        bytes: Bytes,
        digest: String,
        compiled: Option<Component>,
    ) -> Result<Prepared, RegistryError> {
        let super::Shared { components, engine, tenants, .. } = &*self.shared;
        let tenant = tenants.get(&self.tenant).await?;
        let known = self.shared.store.versions(&self.tenant, None).await?;
        let existing: Vec<WorkflowInfo> =
            known.iter().filter(|row| row.digest == digest).map(WorkflowInfo::from).collect();
        if !existing.is_empty() && components.bytes(&digest).await?.is_some() {
            // A commit with an unknown outcome may have registered it.
            self.forget();
            return Ok(Prepared::Known(Registered {
                digest,
                workflows: existing,
                kept: Vec::new(),
                created: false,
            }));
        }
        Self::check_versions(&tenant, known.len() + 1)?;
        let compile_seconds = tenant.limits().compile_seconds;
        let compiled = match compiled {
            Some(compiled) => compiled,
            None => components.compile_upload(bytes.clone(), &tenant.account, compile_seconds).await?,
        };
        let described = engine.describe(&compiled).await?;
        description::check(&described)?;
        let (digests, schemas) = self.shared.schemas.checked(described.clone(), &self.tenant).await?;
        let known = self.shared.store.versions(&self.tenant, None).await?;
        let is_known =
            |name: &str, version| known.iter().any(|row| row.workflow == name && row.version == version);
        let new = described.iter().filter(|described| !is_known(&described.name, described.version)).count();
        Self::check_versions(&tenant, known.len() + new)?;
        // Compiling takes a while.
        tenant.check_active()?;
        let created_at = clock::now();
        let version = |(described, input_schema): (forge_sandbox::Described, Option<String>)| VersionRow {
            tenant: self.tenant.to_string(),
            workflow: described.name,
            version: described.version,
            digest: digest.clone(),
            timeout_ms: described.timeout_ms,
            deprecated: described.deprecated,
            active: false,
            created_at,
            input_schema,
        };
        let versions = described.into_iter().zip(digests).map(version).collect();
        Ok(Prepared::New(Box::new(New { digest, bytes, compiled, versions, schemas })))
    }

    /// Registers an upload that was checked. Runs to completion even if the returned future is dropped, so that the cached
    /// workflows are cleared after the commit.
    ///
    /// # Errors
    /// [`RegistryError::VersionTaken`], [`RegistryError::Store`].
    pub(crate) async fn publish(&self, prepared: Prepared) -> Result<Registered, RegistryError> {
        let new = match prepared {
            Prepared::Known(registered) => return Ok(registered),
            Prepared::New(new) => new,
        };
        let registry = self.clone();
        let published = tokio::spawn(async move { registry.store(*new).await });
        published.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the registration of a component was aborted");
            Err(StoreError::Closed.into())
        })
    }

    /// Stores a component with its versions.
    async fn store(&self, new: New) -> Result<Registered, RegistryError> {
        let super::Shared { store, components, conflict, .. } = &*self.shared;
        let New { digest, bytes, compiled, versions, schemas } = new;
        let inline = components.put(&digest, bytes).await?;
        let registered = store.register(&digest, inline, &versions, &schemas, *conflict).await;
        // Also after an error: the commit may be durable.
        self.forget();
        let kept = registered?;
        if let Some(taken) = kept.first().filter(|_| kept.len() == versions.len()) {
            let next = store.versions(&self.tenant, Some(&taken.workflow)).await?;
            let next = next.first().map_or(taken.version, |highest| highest.version).saturating_add(1);
            let name = taken.workflow.clone();
            return Err(RegistryError::VersionTaken { name, version: taken.version, next });
        }
        components.insert(&digest, compiled).await;
        let kept = kept.iter().map(WorkflowInfo::from).collect();
        Ok(Registered { workflows: self.versions_of(&digest).await?, kept, digest, created: true })
    }
}
