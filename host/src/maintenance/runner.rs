use std::sync::Arc;

use chrono::{DateTime, Utc};
use forge_clock as clock;
use forge_journal::Timestamp;
use forge_store::{Store, StoreError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Archive, Context, TASKS, Task};
use crate::config::Retention;
use crate::tenants::Tenants;

/// A recurring job as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskReport {
    /// The name of the job.
    pub name: String,
    /// The time from the end of one run to the begin of the next, in milliseconds.
    pub interval_ms: u64,
    /// Whether one node runs it for all nodes.
    pub once_per_cluster: bool,
    /// When this node last ran it; `null`: not yet, or another node runs it.
    pub last_run: Option<DateTime<Utc>>,
    /// Why its last run on this node failed; `null`: it succeeded.
    pub last_error: Option<String>,
}

/// Runs the tasks, each on its own.
pub(crate) struct Maintenance {
    context: Arc<Context>,
    jobs: Vec<Arc<Job>>,
}

struct Job {
    task: &'static Task,
    last: Mutex<Option<(Timestamp, Result<(), StoreError>)>>,
}

impl Maintenance {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        tenants: Arc<Tenants>,
        retention: Retention,
        archive: Option<Archive>,
    ) -> Self {
        Self::with_tasks(TASKS, Context { store, tenants, retention, archive })
    }

    fn with_tasks(tasks: &'static [Task], context: Context) -> Self {
        let jobs = tasks.iter().map(|task| Job { task, last: Mutex::default() });
        Self { jobs: jobs.map(Arc::new).collect(), context: Arc::new(context) }
    }

    /// Starts all tasks. They end when the host stops.
    pub(crate) fn start(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        for job in &self.jobs {
            let (job, context, shutdown) = (Arc::clone(job), Arc::clone(&self.context), shutdown.clone());
            tracker.spawn(async move { job.repeat(&context, &shutdown).await });
        }
    }

    /// Returns what operators see of the tasks.
    pub(crate) fn report(&self) -> Vec<TaskReport> {
        self.jobs.iter().map(|job| job.report()).collect()
    }
}

impl Job {
    async fn repeat(&self, context: &Context, shutdown: &CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(self.task.interval)).await.is_some() {
            self.run(context).await;
        }
        if self.task.at_shutdown {
            self.run(context).await;
        }
    }

    async fn run(&self, context: &Context) {
        let began = clock::now();
        let ended = match self.is_ours(context).await {
            Ok(true) => (self.task.run)(context).await,
            Ok(false) => return,
            Err(error) => Err(error),
        };
        if let Err(error) = &ended {
            tracing::debug!(task = self.task.name, %error, "a recurring job failed; it runs again after its interval");
        }
        *self.last.lock() = Some((began, ended));
    }

    async fn is_ours(&self, context: &Context) -> Result<bool, StoreError> {
        match context.store.nodes() {
            Some(nodes) if self.task.once_per_cluster => nodes.is_leader().await,
            _ => Ok(true),
        }
    }

    fn report(&self) -> TaskReport {
        let last = self.last.lock().clone();
        let Task { name, interval, once_per_cluster, .. } = self.task;
        TaskReport {
            name: (*name).to_owned(),
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            once_per_cluster: *once_per_cluster,
            last_run: last.as_ref().map(|(began, _)| began.to_datetime()),
            last_error: last.and_then(|(_, ended)| ended.err()).map(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forge_store::sqlite::SqliteStore;

    use super::*;

    static TESTED: [Task; 2] = [
        Task {
            name: "broken",
            interval: Duration::from_millis(1),
            once_per_cluster: true,
            at_shutdown: false,
            run: |_| Box::pin(async { Err(StoreError::Unavailable("no disk".to_owned())) }),
        },
        Task {
            name: "last",
            interval: Duration::from_secs(3_600),
            once_per_cluster: false,
            at_shutdown: true,
            run: |_| Box::pin(async { Ok(()) }),
        },
    ];

    #[tokio::test]
    async fn a_failure_is_reported_and_a_last_run_happens_when_the_host_stops() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("test.db")).await.unwrap());
        let tenants = Arc::new(Tenants::for_store(Arc::clone(&store)).unwrap());
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let context = Context { store, tenants, retention: Retention::default(), archive: None };
        let maintenance = Maintenance::with_tasks(&TESTED, context);
        maintenance.start(&tracker, &shutdown);
        while maintenance.report()[0].last_run.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let [broken, last] = &maintenance.report()[..] else { panic!("two tasks") };
        assert!(broken.last_error.as_ref().unwrap().contains("no disk"), "{broken:?}");
        assert_eq!((last.last_run, last.interval_ms), (None, 3_600_000));
        shutdown.cancel();
        tracker.close();
        tracker.wait().await;
        let last = &maintenance.report()[1];
        assert!(last.last_run.is_some() && last.last_error.is_none(), "{last:?}");
    }
}
