//! Starting, driving and steering runs.
//!
//! Each run that is not over has one task ([`drive`]), and only that task changes it. What others
//! ask of it (cancel, pause, resume) reaches it as a [`Command`].

mod activation;
mod cluster;
mod command;
mod effects;
mod error;
mod loader;
mod query;
mod record;
mod run_task;
mod start;
mod timer_queue;
mod waiters;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::{ExecutorError, OpenError};
pub use forge_store::{RunFilter, RunSummary};
pub use record::{Health, HealthDetails, HealthStatus, RunPage, StepRecord, WorkflowRecord};
pub use start::{StartRequest, Started};

use self::activation::Command;
use self::loader::Loader;
use self::timer_queue::TimerQueue;
use self::waiters::Waiters;
use crate::config::{Config, Limits};
use crate::maintenance::Maintenance;
use crate::registry::{Objects, WorkflowRegistry};
use crate::tenants::Tenants;
use forge_egress::secrets::KeyRing;
use forge_egress::{Policy, Tls};
use forge_journal::{DEFAULT_TENANT, Journal, RunId};
use forge_sandbox::{Compiler, Engine};
use forge_scheduling::{CpuPermits, InstancePermits};
use forge_store::{Feed, Nodes, RunWriter, Store, Writer};

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
    /// The permits for instances in memory.
    instances: Arc<InstancePermits<Arc<str>>>,
    /// The permits of guests that compute a lot.
    cpu: Arc<CpuPermits<Arc<str>>>,
    feed: Arc<Feed>,
    /// Runs that have a task. Never iterated.
    runs: Mutex<HashMap<RunId, Handle>>,
    waiters: Arc<Waiters>,
    timers: Arc<TimerQueue>,
    maintenance: Maintenance,
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
        let store = forge_store::open(&database, &node).await?;
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
        let engine = Arc::new(Engine::new(limits.engine(), module_cache, compiler)?);
        let instances = InstancePermits::new(limits.live_instances);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let tenants = Tenants::new(
            Arc::clone(&store),
            Arc::clone(&limits),
            egress,
            secret_keys,
            Tls::new()?,
            Arc::clone(&instances),
        );
        let tenants = Arc::new(tenants);
        // What is wrong with it is said at once, and not to whoever starts a run first.
        let tenant = Arc::clone(&tenants.get(DEFAULT_TENANT).await?.name);
        let registry =
            WorkflowRegistry::new(Arc::clone(&store), objects, Arc::clone(&engine), Arc::clone(&tenants));
        let shutdown = CancellationToken::new();
        let (feed, waiters) = (Arc::<Feed>::default(), Arc::<Waiters>::default());
        feed.subscribe(Arc::clone(&waiters) as _);
        feed.subscribe(Arc::clone(&tenants) as _);
        let maintenance = Maintenance::new(Arc::clone(&store), Arc::clone(&tenants));
        let inner = Inner {
            writer: Writer::new(Arc::clone(&store), Arc::clone(&feed), limits.write_queue_bytes),
            loader: Loader::new(Arc::clone(&store)),
            instances,
            cpu: CpuPermits::new(threads),
            feed,
            store,
            registry,
            engine,
            tenants,
            limits,
            runs: Mutex::default(),
            waiters,
            timers: Arc::default(),
            maintenance,
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
        let ringing = Arc::clone(&inner.timers).run(Arc::downgrade(inner), inner.shutdown.clone());
        inner.tasks.spawn(ringing);
        inner.maintenance.start(&inner.tasks, &inner.shutdown);
        if let Some(notices) = inner.store.nodes().and_then(Nodes::listen) {
            inner.tasks.spawn(cluster::follow(Arc::downgrade(inner), notices, inner.shutdown.clone()));
        }
        Ok(executor)
    }

    /// The same for another tenant, which need not exist.
    pub fn for_tenant(&self, tenant: &Arc<str>) -> Self {
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
        self.inner.registry.for_tenant(&self.tenant)
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
                runs_in_memory: self.inner.runs().len().saturating_sub(self.inner.instances.waiting()),
                error: error.map(|error| error.to_string()),
                maintenance: self.inner.maintenance.report(),
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
    fn spawn(
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
        let task = run_task::RunTask::new(Arc::clone(&self.inner), run, Arc::clone(tenant), begun, queue);
        self.inner.tasks.spawn(Box::pin(task.run()));
    }
}

impl Inner {
    /// For the writes of an activation of this run that begins now.
    fn writer_for(&self, run: RunId, tenant: &Arc<str>) -> RunWriter {
        self.writer.for_run(self.store.epoch(), run, tenant)
    }

    /// Cancelled when the epoch of now is over, or the host stops.
    fn tenure(&self) -> CancellationToken {
        self.tenure.lock().clone()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        self.runs.lock()
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
