//! The schemas of inputs in memory, and the check of an input against them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::schema::{InvalidSchema, Misfit, Schema};
use super::{RegistryError, WorkflowInfo, digest};
use forge_sandbox::{Described, InvalidComponent};
use forge_store::{InputSchema, Store, StoreError};

/// The memory for schemas, in bytes: some hundred large ones. Beyond it, schemas are read again.
const MEMORY: usize = 64 << 20;

/// The most bytes of all schemas of a component, without those that are the same. It bounds the time in which they are checked.
const BYTES_PER_COMPONENT: usize = 1 << 20;

/// The size up to which an input is checked where it is, in bytes: that takes less than a millisecond. A larger one is checked
/// on a thread for blocking work.
const CHECKED_AT_ONCE: usize = 4 << 10;

/// The schemas of all tenants.
pub(super) struct InputSchemas {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

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
        Self { store, known: Mutex::default() }
    }

    /// Checks the input of a start. An input without a schema fits.
    ///
    /// # Errors
    /// [`RegistryError::InputMisfit`], [`RegistryError::Store`].
    pub(super) async fn check(&self, info: &WorkflowInfo, input: &Arc<str>) -> Result<(), RegistryError> {
        let Some(digest) = &info.input_schema else { return Ok(()) };
        let schema = self.get(digest).await?;
        let checked = if input.len() <= CHECKED_AT_ONCE {
            schema.check(input)
        } else {
            let input = Arc::clone(input);
            on_another_thread(move || schema.check(&input)).await?
        };
        checked.map_err(|Misfit { path, why, .. }| RegistryError::InputMisfit {
            name: info.name.clone(),
            version: info.version,
            path,
            why,
        })
    }

    /// Returns the text of a schema.
    pub(super) async fn text(&self, digest: &str) -> Result<String, StoreError> {
        self.store.input_schema(digest).await?.ok_or_else(|| corrupt(digest, "is missing"))
    }

    async fn get(&self, digest: &str) -> Result<Arc<Schema>, StoreError> {
        if let Some(known) = self.known.lock().schemas.get(digest) {
            return Ok(Arc::clone(known));
        }
        let text = self.text(digest).await?;
        let parsed = on_another_thread(move || Schema::parse(&text)).await?;
        let schema = Arc::new(parsed.map_err(|InvalidSchema(why)| corrupt(digest, &why))?);
        self.known.lock().add(digest, &schema);
        Ok(schema)
    }
}

impl Known {
    fn add(&mut self, digest: &str, schema: &Arc<Schema>) {
        if self.bytes + schema.size() > MEMORY {
            *self = Self::default();
        }
        if self.schemas.insert(digest.into(), Arc::clone(schema)).is_none() {
            self.bytes += schema.size();
        }
    }
}

/// Checks the schemas of a component, and returns the digest of each workflow's schema and the schemas to store.
///
/// # Errors
/// [`InvalidComponent`] with the workflow, the place in its schema and the reason.
pub(super) async fn checked(
    described: Vec<Described>,
) -> Result<(Vec<Option<String>>, Vec<InputSchema>), RegistryError> {
    let check = move || {
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
        Ok::<_, InvalidComponent>((digests, schemas))
    };
    Ok(on_another_thread(check).await??)
}

/// Runs work that can take longer than a task may keep its thread.
async fn on_another_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "the check of a schema was aborted");
        StoreError::Closed
    })
}

fn corrupt(digest: &str, why: &str) -> StoreError {
    StoreError::Corrupt { table: "forge_input_schemas", why: format!("the schema {digest} {why}") }
}
