//! Starting, driving and steering runs.
//!
//! Each run that is not over has one task ([`drive`]), and only that task changes it. What others
//! ask of it (cancel, pause, resume) reaches it as a [`Command`].

mod alarms;
mod command;
mod drive;
mod error;
mod loader;
mod nodes;
mod query;
mod record;
mod slots;
mod start;
mod waiters;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::{ExecutorError, OpenError};
pub use record::{
    Health, HealthDetails, HealthStatus, RunFilter, RunPage, RunSummary, StepRecord, WorkflowRecord,
};
pub use slots::{Parked, Slot, Slots};
pub use start::{StartRequest, Started};

use self::alarms::Alarms;
use self::loader::Loader;
use self::waiters::Waiters;
use crate::attentive::attentive;
use crate::config::{Config, Limits};
use crate::egress::{Policy, Tls};
use crate::engine::{Command, Compiler, Engine};
use crate::journal::{Journal, RunId};
use crate::registry::WorkflowRegistry;
use crate::secrets::KeyRing;
use crate::store::{self, Nodes, Objects, RunWriter, Store, Writer};
use crate::tenants::{DEFAULT_TENANT, Tenants};

/// Executes workflows durably, for one tenant: its runs and workflows are all that there is. Cheap to clone; all clones
/// are the same executor.
#[derive(Clone)]
pub struct WorkflowExecutor {
    inner: Arc<Inner>,
    tenant: Arc<str>,
}

struct Inner {
    store: Arc<dyn Store>,
    writer: Writer,
    registry: WorkflowRegistry,
    engine: Arc<Engine>,
    tenants: Arc<Tenants>,
    limits: Arc<Limits>,
    loader: Loader,
    /// Places for instances in memory.
    slots: Arc<Slots>,
    /// Runs that have a task. Never iterated.
    runs: Mutex<HashMap<RunId, Handle>>,
    waiters: Arc<Waiters>,
    alarms: Arc<Alarms>,
    tasks: TaskTracker,
    /// Cancelled when this node's epoch is over: what it has in memory is others' then.
    tenure: Mutex<CancellationToken>,
    /// Another process has taken this node's name.
    replaced: CancellationToken,
    shutdown: CancellationToken,
}

/// How to reach a run's task.
struct Handle {
    commands: mpsc::UnboundedSender<Command>,
}

impl WorkflowExecutor {
    /// Opens the database, brings its schema up to date, and lets all unfinished runs go on.
    ///
    /// # Errors
    /// [`OpenError`] if the database, the engine, the HTTP client or a thread cannot be set up.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let Config { database, components, node, egress, secret_keys, limits, module_cache, compiler } =
            config;
        let objects = components.as_ref().map(Objects::open).transpose()?;
        let store = store::open(&database, &node).await?;
        let compiler = compiler.map_or(Compiler::InProcess, |program| Compiler::Child {
            program,
            time: limits.compile_time,
            memory: limits.compile_memory,
        });
        Self::assemble(store, objects, egress, secret_keys, limits, module_cache.as_deref(), compiler).await
    }

    /// The same with a store of the caller's, and a folder for compiled components.
    ///
    /// # Errors
    /// [`OpenError`] if the engine, the HTTP client or a thread cannot be set up.
    pub async fn with_store(
        store: Arc<dyn Store>,
        limits: Limits,
        module_cache: Option<&Path>,
    ) -> Result<Self, OpenError> {
        Self::assemble(store, None, Policy::open(), None, limits, module_cache, Compiler::InProcess).await
    }

    async fn assemble(
        store: Arc<dyn Store>,
        objects: Option<Objects>,
        egress: Policy,
        secret_keys: Option<Arc<KeyRing>>,
        limits: Limits,
        module_cache: Option<&Path>,
        compiler: Compiler,
    ) -> Result<Self, OpenError> {
        let limits = Arc::new(limits);
        let engine = Arc::new(Engine::new(Arc::clone(&limits), module_cache, compiler)?);
        let slots = Slots::new(limits.live_instances);
        let tenants = Tenants::new(
            Arc::clone(&store),
            Arc::clone(&limits),
            egress,
            secret_keys,
            Tls::new()?,
            Arc::clone(&slots),
        );
        let tenants = Arc::new(tenants);
        // What is wrong with it is said at once, and not to whoever starts a run first.
        let tenant = Arc::clone(&tenants.get(DEFAULT_TENANT).await?.name);
        let registry =
            WorkflowRegistry::new(Arc::clone(&store), objects, Arc::clone(&engine), Arc::clone(&tenants));
        let shutdown = CancellationToken::new();
        let inner = Inner {
            writer: Writer::new(Arc::clone(&store), limits.write_queue_bytes, limits.stay_awake)?,
            loader: Loader::new(Arc::clone(&store)),
            slots,
            store,
            registry,
            engine,
            tenants,
            limits,
            runs: Mutex::default(),
            waiters: Arc::default(),
            alarms: Arc::default(),
            tasks: TaskTracker::new(),
            tenure: Mutex::new(shutdown.child_token()),
            replaced: CancellationToken::new(),
            shutdown,
        };
        let executor = Self { inner: Arc::new(inner), tenant };
        let unfinished = executor.inner.store.unfinished().await?;
        if unfinished > 0 {
            tracing::info!(runs = unfinished, "unfinished runs go on");
        }
        let inner = &executor.inner;
        let ringing = Arc::clone(&inner.alarms).ring(Arc::downgrade(inner), inner.shutdown.clone());
        inner.tasks.spawn(ringing);
        inner.tasks.spawn(Arc::clone(&inner.tenants).keep_accounts(inner.shutdown.clone()));
        if let Some(notices) = inner.store.nodes().and_then(Nodes::listen) {
            inner.tasks.spawn(nodes::attend(Arc::downgrade(inner), notices, inner.shutdown.clone()));
        }
        Ok(executor)
    }

    /// The same for another tenant, which need not exist.
    pub fn of(&self, tenant: &Arc<str>) -> Self {
        Self { inner: Arc::clone(&self.inner), tenant: Arc::clone(tenant) }
    }

    /// The tenant that it is for.
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// All tenants.
    pub fn tenants(&self) -> &Tenants {
        &self.inner.tenants
    }

    /// The tenant's registry of workflows.
    pub fn registry(&self) -> WorkflowRegistry {
        self.inner.registry.of(&self.tenant)
    }

    /// What bounds guests, requests and the host.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// What the host has to say about itself.
    pub async fn health(&self) -> Health {
        let unfinished = self.inner.store.unfinished().await;
        let error = self.inner.writer.last_error().or_else(|| unfinished.as_ref().err().cloned());
        Health {
            status: if error.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok },
            details: Some(HealthDetails {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                active_runs: unfinished.unwrap_or(0),
                // Who waits for a place has none of its journal in memory.
                runs_in_memory: self.inner.runs().len().saturating_sub(self.inner.slots.waiting()),
                error: error.map(|error| error.to_string()),
            }),
        }
    }

    /// Takes no new work, leaves all runs resumable, and closes the database. Returns after `grace`
    /// at the latest: what then still computes is where its journal ends.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.shutdown.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!(
                runs = self.inner.runs().len(),
                "runs did not stop in time; they resume at the next start"
            );
        }
        self.inner.store.close().await;
    }

    /// Gives a run a task, unless it has one. With `command`, the task does that first. With
    /// `begun`, the run is in memory already.
    fn drive(
        &self,
        run: RunId,
        tenant: &Arc<str>,
        begun: Option<(Journal, RunWriter)>,
        command: Option<Command>,
    ) {
        let mut runs = self.inner.runs();
        let command = match (runs.get(&run), command) {
            (Some(_), None) => return,
            // The task takes itself off the list only while its queue is empty, and under this lock.
            (Some(handle), Some(command)) => match handle.commands.send(command) {
                Ok(()) => return,
                Err(unsent) => Some(unsent.0),
            },
            (None, command) => command,
        };
        let (commands, queue) = mpsc::unbounded_channel();
        if let Some(command) = command {
            // The queue's other end is in this function.
            let _ = commands.send(command);
        }
        runs.insert(run, Handle { commands });
        drop(runs);
        let task = drive::Drive::new(Arc::clone(&self.inner), run, Arc::clone(tenant), begun, queue);
        self.inner.tasks.spawn(attentive(task.run()));
    }
}

impl Inner {
    /// For the writes of an activation of this run that begins now.
    fn writer_for(&self, run: RunId, tenant: &Arc<str>) -> RunWriter {
        self.writer.for_run(self.store.epoch(), run, &self.tenants.account(tenant))
    }

    /// Cancelled when the epoch of now is over, or the host stops.
    fn tenure(&self) -> CancellationToken {
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
