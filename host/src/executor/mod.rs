//! Starting, executing and steering runs.
//!
//! A run in memory has one task ([`run_task`]), and only that task changes it. It gives the run an instance
//! ([`activation`]), begins the run's [`effects`], and receives each cancel, pause and resume as a [`Command`]. A run that
//! sleeps has no task: the [`timer_queue`] gives it one when its timer ends.

mod activation;
mod archive;
mod cluster;
mod command;
mod db;
mod effects;
mod error;
mod events;
mod inboxes;
mod list;
pub mod live;
mod loader;
mod logs;
mod query;
mod record;
mod run_task;
mod start;
mod timer_queue;
mod turns;
mod unreadable;
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
pub use events::EventRequest;
pub use forge_store::{RunFilter, RunSummary};
pub use logs::{LogQuery, LogRecord, Logs};
pub use query::StepsQuery;
pub use record::{
    Health, HealthDetails, HealthStatus, ParentRun, PendingEvent, PendingEvents, RunCounts, RunPage,
    StepRecord, Steps, WorkflowRecord,
};
pub use start::{Existing, OnFailed, StartRequest, Started};

use self::command::Command;
use self::inboxes::{Children, Inboxes, Notice, Notices};
use self::live::Hub;
use self::loader::Loader;
use self::timer_queue::TimerQueue;
use self::turns::Turns;
use self::waiters::Waiters;
use crate::config::{Config, Limits, Retention};
use crate::maintenance::{Archive, Maintenance};
use crate::registry::{Objects, WorkflowRegistry};
use crate::tenants::Tenants;
use forge_egress::secrets::KeyRing;
use forge_egress::{Policy, Tls};
use forge_journal::{Changes, DEFAULT_TENANT, Journal, Run, RunId, TenantId};
use forge_sandbox::{CacheFolder, Child, Compiler, CompilerUser, Engine};
use forge_scheduling::{CpuPermits, InstancePermits, TurnPermits};
use forge_store::{
    Batch, Change, Feed, MOST_COUNTED, Nodes, RunWriter, Store, VersionConflict, Write, Writer,
};

/// Executes the workflows of one tenant durably. Cheap to clone; all clones are the same executor.
#[derive(Clone)]
pub struct WorkflowExecutor {
    inner: Arc<Inner>,
    tenant: TenantId,
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
    instances: Arc<InstancePermits<TenantId>>,
    /// The permits of reads for callers: they leave half of the store's connections to the host.
    reads: Arc<TurnPermits<TenantId>>,
    /// The turns of runs that change one key of the tenant's store.
    turns: Arc<Turns>,
    /// The permits of guests that compute a lot.
    cpu: Arc<CpuPermits<TenantId>>,
    feed: Arc<Feed>,
    /// The runs that have a task. Never iterated.
    runs: Mutex<HashMap<RunId, Handle>>,
    waiters: Arc<Waiters>,
    live: Arc<Hub>,
    timers: Arc<TimerQueue>,
    maintenance: Maintenance,
    tasks: TaskTracker,
    /// Cancelled when this node's epoch is over: then other nodes may own its runs.
    tenure: Mutex<CancellationToken>,
    /// Another process has taken this node's name.
    replaced: CancellationToken,
    shutdown: CancellationToken,
}

/// Where an executor keeps components and runs, and for how long.
struct Storage {
    store: Arc<dyn Store>,
    /// The object store for components.
    components: Option<Objects>,
    conflict: VersionConflict,
    retention: Retention,
    archive: Option<Archive>,
}

/// What a run's task receives.
struct Receivers {
    commands: mpsc::UnboundedReceiver<Command>,
    inbox: Notices,
}

/// The handle of a run's task.
struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    inbox: mpsc::UnboundedSender<Notice>,
}

impl WorkflowExecutor {
    /// Opens the database, migrates its schema, and resumes all unfinished runs.
    ///
    /// # Errors
    /// [`OpenError`] if the database, the engine, the HTTP client or a thread cannot be set up.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let Config {
            database,
            components,
            node,
            egress,
            secret_keys,
            limits,
            replace_versions,
            retention,
            archive,
            component_cache,
            component_cache_key,
            compiler,
            compiler_user,
        } = config;
        let storage = Storage {
            archive: archive.as_ref().map(Objects::open).transpose()?.map(archive::archive),
            components: components.as_ref().map(Objects::open).transpose()?,
            conflict: if replace_versions { VersionConflict::Replace } else { VersionConflict::Keep },
            store: forge_store::open(&database, &node, limits.log).await?,
            retention,
        };
        let compiler = compiler.map_or(Compiler::InProcess, |program| {
            let user = compiler_user.or_else(CompilerUser::default_for_this_process);
            Compiler::Child(Child { program, time: limits.compile_time, memory: limits.compile_memory, user })
        });
        let component_cache = component_cache.map(|folder| match component_cache_key {
            Some(key) => CacheFolder { folder, key },
            None => CacheFolder::new(folder),
        });
        Self::assemble(storage, egress, secret_keys, limits, component_cache, compiler).await
    }

    /// Opens an executor on a store, with a folder for compiled components.
    ///
    /// # Errors
    /// [`OpenError`] if the engine, the HTTP client or a thread cannot be set up.
    pub async fn with_store(
        store: Arc<dyn Store>,
        limits: Limits,
        component_cache: Option<&Path>,
    ) -> Result<Self, OpenError> {
        let (conflict, retention) = (VersionConflict::Keep, Retention::default());
        let storage = Storage { store, components: None, conflict, retention, archive: None };
        let (policy, compiler) = (Policy::open(), Compiler::InProcess);
        let component_cache = component_cache.map(CacheFolder::new);
        Self::assemble(storage, policy, None, limits, component_cache, compiler).await
    }

    async fn assemble(
        storage: Storage,
        egress: Policy,
        secret_keys: Option<Arc<KeyRing>>,
        limits: Limits,
        component_cache: Option<CacheFolder>,
        compiler: Compiler,
    ) -> Result<Self, OpenError> {
        let Storage { store, components, conflict, retention, archive } = storage;
        let limits = Arc::new(limits);
        let engine = Arc::new(Engine::new(limits.engine(), component_cache.as_ref(), compiler)?);
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
        // An error in the directory is reported here, and not by the first start of a run.
        let tenant = Arc::clone(&tenants.get(DEFAULT_TENANT).await?.name);
        tenants.read_stored().await?;
        let registry = WorkflowRegistry::new(
            Arc::clone(&store),
            components,
            Arc::clone(&engine),
            Arc::clone(&tenants),
            conflict,
            limits.upload_memory,
        );
        let shutdown = CancellationToken::new();
        let (feed, waiters) = (Arc::<Feed>::default(), Arc::<Waiters>::default());
        feed.subscribe(Arc::clone(&waiters) as _);
        feed.subscribe(Arc::clone(&tenants) as _);
        let maintenance = Maintenance::new(Arc::clone(&store), Arc::clone(&tenants), retention, archive);
        let inner = Inner {
            writer: Writer::new(Arc::clone(&store), Arc::clone(&feed), limits.write_queue_bytes),
            loader: Loader::new(Arc::clone(&store)),
            instances,
            reads: TurnPermits::new(store.concurrent_reads() / 2),
            turns: Arc::default(),
            cpu: CpuPermits::new(threads),
            feed,
            live: Hub::new(limits.live.clone(), store.nodes().is_some()),
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
        let unfinished = executor.inner.store.unfinished(MOST_COUNTED).await?;
        if unfinished > 0 {
            let more = if unfinished < MOST_COUNTED.into() { "" } else { " or more" };
            tracing::info!("{unfinished}{more} unfinished runs resume");
        }
        let inner = &executor.inner;
        // A child has a task before something comes into its inbox.
        inner.feed.subscribe(Children::of(inner));
        inner.feed.subscribe(Inboxes::of(inner));
        inner.feed.subscribe(live::Changes::of(inner));
        let ringing = Arc::clone(&inner.timers).run(Arc::downgrade(inner), inner.shutdown.clone());
        inner.tasks.spawn(ringing);
        inner.maintenance.start(&inner.tasks, &inner.shutdown);
        let engine = Arc::clone(&inner.engine);
        inner.tasks.spawn(async move { engine.log_missing_confinement().await });
        if let Some(notices) = inner.store.nodes().and_then(Nodes::listen) {
            inner.tasks.spawn(cluster::follow(Arc::downgrade(inner), notices, inner.shutdown.clone()));
            let hub = Arc::clone(&inner.live);
            inner.tasks.spawn(live::tell(Arc::downgrade(inner), hub, inner.shutdown.clone()));
        }
        Ok(executor)
    }

    /// Returns the executor of another tenant, which need not exist.
    pub fn for_tenant(&self, tenant: &TenantId) -> Self {
        Self { inner: Arc::clone(&self.inner), tenant: Arc::clone(tenant) }
    }

    /// Returns the tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Returns the directory of all tenants.
    pub fn tenants(&self) -> &Tenants {
        &self.inner.tenants
    }

    /// Returns the tenant's registry of workflows.
    pub fn registry(&self) -> WorkflowRegistry {
        self.inner.registry.for_tenant(&self.tenant)
    }

    /// Returns the limits of guests, requests and the host.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Returns the health of the host.
    pub async fn health(&self) -> Health {
        let unfinished = self.inner.store.unfinished(MOST_COUNTED).await;
        let error = self.inner.store.trouble().or_else(|| self.inner.writer.last_error());
        let error = error.or_else(|| unfinished.as_ref().err().cloned());
        Health {
            status: if error.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok },
            details: Some(HealthDetails {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                active_runs: unfinished.unwrap_or(0),
                // A run that waits for a permit does not have its journal in memory.
                runs_in_memory: self.inner.runs().len().saturating_sub(self.inner.instances.waiting()),
                error: error.map(|error| error.to_string()),
                maintenance: self.inner.maintenance.report(),
            }),
        }
    }

    /// Refuses new work, stops all runs so that they can resume, and closes the database. Returns after `grace` at the
    /// latest. A guest that still computes then loses what it has not journaled, and does it again.
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

    /// Gives a run a task, unless it has one. The task applies `command` first. With `begun`, the run is in memory
    /// already.
    fn spawn(
        &self,
        run: RunId,
        tenant: &TenantId,
        begun: Option<(Journal, RunWriter)>,
        command: Option<Command>,
    ) {
        let mut runs = self.inner.runs();
        let command = match (runs.get(&run), command) {
            // It is in memory, and due all the same: something may have come into its inbox while it had no task.
            (Some(handle), None) => {
                // The task may have ended.
                let _ = handle.inbox.send(Notice(None));
                return;
            }
            // A task removes itself only while its queue is empty, and under this lock.
            (Some(handle), Some(command)) => match handle.commands.send(command) {
                Ok(()) => return,
                Err(unsent) => Some(unsent.0),
            },
            (None, command) => command,
        };
        let (commands, queue) = mpsc::unbounded_channel();
        if let Some(command) = command {
            // The receiver is in this function.
            let _ = commands.send(command);
        }
        let (inbox, notices) = mpsc::unbounded_channel();
        runs.insert(run, Handle { commands, inbox });
        drop(runs);
        let receivers = Receivers { commands: queue, inbox: Notices::new(notices) };
        let task = run_task::RunTask::new(Arc::clone(&self.inner), run, Arc::clone(tenant), begun, receivers);
        self.inner.tasks.spawn(Box::pin(task.run()));
    }
}

impl Inner {
    /// Returns the writer for an activation of this run that begins now.
    fn writer_for(&self, run: RunId, tenant: &TenantId) -> RunWriter {
        self.writer.for_run(self.store.epoch(), run, tenant)
    }

    /// Returns the token that is cancelled when the current epoch is over, or the host stops.
    fn tenure(&self) -> CancellationToken {
        self.tenure.lock().clone()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        self.runs.lock()
    }
}

/// Returns a run as it was read, without its journal, for the subscribers of the feed.
fn snapshot(run: Run) -> Batch {
    let (tenant, id) = (Arc::clone(&run.tenant), run.id);
    let changes = Changes { run: Some(Box::new(run)), ..Changes::default() };
    let changes = vec![Change { tenant, write: Write::Save(id, changes) }];
    Batch { changes, delivered: Vec::new(), is_local: false }
}
