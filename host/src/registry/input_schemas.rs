//! The schemas of inputs in memory, and the check of an input against them.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;

use parking_lot::Mutex;

use super::schema::{InvalidSchema, Misfit, Schema};
use super::{RegistryError, WorkflowInfo, digest};
use forge_sandbox::{Described, InvalidComponent};
use forge_scheduling::TurnPermits;
use forge_store::{InputSchema, Store, StoreError};

/// The memory for schemas, in bytes: some hundred large ones. Beyond it, schemas are read again.
const MEMORY: usize = 64 << 20;

/// The most bytes of all schemas of a component, without those that are the same. It bounds the time in which they are checked.
const BYTES_PER_COMPONENT: usize = 1 << 20;

/// The minimum number of threads that read schemas and check inputs: with one, tenants could not take turns.
const LEAST_THREADS: usize = 2;

/// The schemas of all tenants.
pub(super) struct InputSchemas {
    store: Arc<dyn Store>,
    known: Arc<Mutex<Known>>,
    /// The threads that check inputs, and read schemas for that: as many as the host has CPUs. A tenant may occupy half of
    /// them, and tenants that wait take turns.
    starts: Threads,
    /// The thread that reads the schemas of uploads, which can take seconds. So a start never waits for an upload.
    uploads: Threads,
}

type Threads = Arc<TurnPermits<Arc<str>>>;

/// The schemas that were read.
#[derive(Default)]
struct Known {
    /// By digest. Never iterated.
    schemas: HashMap<Arc<str>, Arc<Schema>>,
    /// The bytes that they take.
    bytes: usize,
}

impl InputSchemas {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let cpus = std::thread::available_parallelism().map_or(LEAST_THREADS, NonZero::get);
        let (starts, uploads) = (TurnPermits::new(cpus.max(LEAST_THREADS)), TurnPermits::new(1));
        Self { store, known: Arc::default(), starts, uploads }
    }

    /// Checks the input of a tenant's start. An input without a schema fits.
    ///
    /// A check that takes longer than a task may keep its thread begins again on another one. It ends within the budget of
    /// its input, also if nobody waits for it any more.
    ///
    /// # Errors
    /// [`RegistryError::InputMisfit`], [`RegistryError::InputUnchecked`], [`RegistryError::Store`].
    pub(super) async fn check(
        &self,
        info: &WorkflowInfo,
        input: &Arc<str>,
        tenant: &Arc<str>,
    ) -> Result<(), RegistryError> {
        let Some(digest) = &info.input_schema else { return Ok(()) };
        let schema = self.get(digest, tenant).await?;
        let checked = match schema.check_at_once(input) {
            Some(checked) => checked,
            None => {
                let input = Arc::clone(input);
                on_another_thread(&self.starts, tenant, move || schema.check(&input)).await?
            }
        };
        checked.map_err(|misfit| {
            let is_given_up = misfit.is_given_up();
            let (name, version, Misfit { path, why, .. }) = (info.name.clone(), info.version, misfit);
            match is_given_up {
                true => RegistryError::InputUnchecked { name, version, path, why },
                false => RegistryError::InputMisfit { name, version, path, why },
            }
        })
    }

    /// Returns the text of a schema.
    pub(super) async fn text(&self, digest: &str) -> Result<String, StoreError> {
        self.store.input_schema(digest).await?.ok_or_else(|| corrupt(digest, "is missing"))
    }

    async fn get(&self, digest: &str, tenant: &Arc<str>) -> Result<Arc<Schema>, StoreError> {
        if let Some(known) = self.known.lock().schemas.get(digest) {
            return Ok(Arc::clone(known));
        }
        let text = self.text(digest).await?;
        let (known, of) = (Arc::clone(&self.known), Arc::<str>::from(digest));
        let read = move || {
            // Another start may have read it while this one waited.
            if let Some(known) = known.lock().schemas.get(&of) {
                return Ok(Arc::clone(known));
            }
            let schema = Arc::new(Schema::parse(&text)?);
            known.lock().add(of, &schema);
            Ok(schema)
        };
        let read = on_another_thread(&self.starts, tenant, read).await?;
        read.map_err(|InvalidSchema(why)| corrupt(digest, &why))
    }

    /// Checks the schemas of a tenant's component, and returns the digest of each workflow's schema and the schemas to store.
    ///
    /// # Errors
    /// [`InvalidComponent`] with the workflow, the place in its schema and the reason.
    pub(super) async fn checked(
        &self,
        described: Vec<Described>,
        tenant: &Arc<str>,
    ) -> Result<(Vec<Option<String>>, Vec<InputSchema>), RegistryError> {
        Ok(on_another_thread(&self.uploads, tenant, move || checked(described)).await??)
    }
}

impl Known {
    fn add(&mut self, digest: Arc<str>, schema: &Arc<Schema>) {
        if self.bytes + schema.size() > MEMORY {
            *self = Self::default();
        }
        if self.schemas.insert(digest, Arc::clone(schema)).is_none() {
            self.bytes += schema.size();
        }
    }
}

fn checked(described: Vec<Described>) -> Result<(Vec<Option<String>>, Vec<InputSchema>), InvalidComponent> {
    let mut schemas: Vec<InputSchema> = Vec::new();
    let mut bytes = 0;
    let mut digests = Vec::with_capacity(described.len());
    for Described { name, version, input_schema, .. } in described {
        let Some(text) = input_schema else {
            digests.push(None);
            continue;
        };
        let digest = digest(text.as_bytes());
        digests.push(Some(digest.clone()));
        // Versions of a workflow often have the same one.
        if schemas.iter().any(|known| known.digest == digest) {
            continue;
        }
        bytes += text.len();
        if bytes > BYTES_PER_COMPONENT {
            return Err(InvalidComponent(format!(
                "the schemas of the component's inputs have more than {BYTES_PER_COMPONENT} bytes together: shorten their \
                 descriptions, or split the component"
            )));
        }
        Schema::parse(&text).map_err(|error| {
            InvalidComponent(format!(
                "the schema of the input of `{name}` version {version} cannot be used: {error}"
            ))
        })?;
        schemas.push(InputSchema { digest, text });
    }
    Ok((digests, schemas))
}

/// Runs work for a tenant that can take longer than a task may keep its thread.
async fn on_another_thread<T: Send + 'static>(
    threads: &Threads,
    tenant: &Arc<str>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let permit = threads.acquire(tenant).await;
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        // Work that nobody waits for any more keeps its permit until here.
        drop(permit);
        done
    });
    working.await.map_err(|error| {
        tracing::error!(%error, "work on a schema was aborted");
        StoreError::Closed
    })
}

fn corrupt(digest: &str, why: &str) -> StoreError {
    StoreError::Corrupt { table: "forge_input_schemas", why: format!("the schema {digest} {why}") }
}
