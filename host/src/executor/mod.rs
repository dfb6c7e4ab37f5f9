//! Starting, driving and steering runs.
//!
//! Each run that is not over has one task ([`drive`]), and only that task changes it. What others
//! ask of it (cancel, pause, resume) reaches it as a [`Command`].

mod command;
mod drive;
mod error;
mod query;
mod record;
mod start;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::{ExecutorError, OpenError};
pub use record::{Health, HealthStatus, RunFilter, RunPage, RunSummary, StepRecord, WorkflowRecord};
pub use start::StartRequest;

use crate::config::{Config, Database, Limits};
use crate::egress::Egress;
use crate::engine::{Command, Engine};
use crate::journal::{Journal, RunId};
use crate::registry::WorkflowRegistry;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, Writer};

/// Runs that are looked up at once when the host starts.
const RECOVERY_PAGE: u32 = 1_000;

/// Executes workflows durably. Cheap to clone; all clones are the same executor.
#[derive(Clone)]
pub struct WorkflowExecutor {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    writer: Writer,
    registry: WorkflowRegistry,
    engine: Arc<Engine>,
    egress: Arc<Egress>,
    limits: Arc<Limits>,
    /// Places for instances in memory.
    slots: Arc<Semaphore>,
    /// Runs that have a task.
    runs: Mutex<HashMap<RunId, Handle>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// How to reach a run's task.
#[derive(Clone)]
struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    /// Changes when the run has come to rest: it is final or paused. Closed when its task ends.
    rest: watch::Receiver<bool>,
}

impl WorkflowExecutor {
    /// Opens the database, brings its schema up to date, and lets all unfinished runs go on.
    ///
    /// # Errors
    /// [`OpenError`] if the database, the engine or the HTTP client cannot be set up.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let Config { database, limits } = config;
        let store: Arc<dyn Store> = match database {
            Database::Sqlite(path) => Arc::new(SqliteStore::open(&path).await?),
        };
        let limits = Arc::new(limits);
        let engine = Arc::new(Engine::new(Arc::clone(&limits))?);
        let egress = Arc::new(Egress::new(limits.http_timeout, limits.response_bytes)?);
        let registry = WorkflowRegistry::new(Arc::clone(&store), Arc::clone(&engine), Arc::clone(&limits));
        let inner = Inner {
            writer: Writer::new(Arc::clone(&store)),
            slots: Arc::new(Semaphore::new(usize::try_from(limits.live_instances).unwrap_or(usize::MAX))),
            store,
            registry,
            engine,
            egress,
            limits,
            runs: Mutex::new(HashMap::new()),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        let executor = Self { inner: Arc::new(inner) };
        executor.recover().await?;
        Ok(executor)
    }

    /// The registry of workflows.
    pub fn registry(&self) -> &WorkflowRegistry {
        &self.inner.registry
    }

    /// What bounds guests, requests and the host.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// What the host has to say about itself.
    pub fn health(&self) -> Health {
        let error = self.inner.writer.last_error();
        Health {
            status: if error.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            active_runs: self.inner.runs().len(),
            error: error.map(|error| error.to_string()),
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

    async fn recover(&self) -> Result<(), OpenError> {
        let (mut after, mut count) = (None, 0_usize);
        loop {
            let page = self.inner.store.unfinished(after, RECOVERY_PAGE).await?;
            for run in &page {
                self.drive(*run, None, None);
            }
            count += page.len();
            after = page.last().copied();
            if page.len() < RECOVERY_PAGE as usize {
                break;
            }
        }
        if count > 0 {
            tracing::info!(runs = count, "unfinished runs go on");
        }
        Ok(())
    }

    /// Gives a run a task, unless it has one. With `command`, the task does that first.
    fn drive(&self, run: RunId, journal: Option<Journal>, command: Option<Command>) {
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
        let (resting, rest) = watch::channel(false);
        runs.insert(run, Handle { commands, rest });
        drop(runs);
        let task = drive::Drive::new(Arc::clone(&self.inner), run, journal, queue, resting);
        self.inner.tasks.spawn(task.run());
    }
}

impl Inner {
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Handle>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
