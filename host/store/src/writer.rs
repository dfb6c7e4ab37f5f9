//! The group commit: one task writes for all runs, tenants taking turns. While a batch is committed, the next one
//! gathers.
//!
//! The jobs of one run are committed in the order in which they were sent. When a commit fails, all its jobs fail, and
//! so does every later job of the same [`RunWriter`]: what is on disk is always a prefix of a run's journal.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use forge_journal::{Changes, Run, RunId};
use forge_scheduling::FairQueue;
use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SetOnce, mpsc, oneshot};

use super::feed::{Batch, Change, Feed};
use super::{Epoch, Store, StoreError, Write, Written};

/// Rows in one commit: enough that the cost of the commit itself no longer shows.
const BATCH_ROWS: usize = 2_048;

/// Rows in one commit while several tenants write: none waits for long because of another one.
const SHARED_BATCH_ROWS: usize = BATCH_ROWS / 4;

/// Bytes that one permit of the queue stands for.
const PERMIT_BYTES: usize = 1 << 10;

type Reply = oneshot::Sender<Result<Written, StoreError>>;

/// Something that is dropped when a start is durable or lost.
type Guard = Box<dyn Any + Send>;

struct Job {
    tenant: Arc<str>,
    epoch: Epoch,
    write: Write,
    outcome: Arc<WriteOutcome>,
    reply: Option<Reply>,
    /// Its part of the queue, until it is committed.
    _permits: QueuePermits,
}

/// A job's permits: of its tenant's part of the queue, and of the whole queue.
type QueuePermits = [OwnedSemaphorePermit; 2];

/// The outcome of the writes of one [`RunWriter`].
#[derive(Default)]
struct WriteOutcome {
    /// The first one is durable.
    begun: SetOnce<()>,
    /// Why one was lost.
    lost: SetOnce<StoreError>,
    /// Dropped when the first one is durable or lost.
    admission: Mutex<Option<Guard>>,
}

impl WriteOutcome {
    /// Records the outcome of each write, in their order. The first one decides about the start; a later one matters
    /// only if it is lost, and then it is the last.
    fn record(&self, written: Result<(), &StoreError>) {
        match written {
            Ok(()) if self.begun.initialized() => return,
            Ok(()) => drop(self.begun.set(())),
            Err(error) => drop(self.lost.set(error.clone())),
        }
        drop(self.admission.lock().take());
    }
}

/// The sending end of the write queue. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::UnboundedSender<Job>,
    /// Bounds the queue: when the disk is slower than the runs, the runs wait.
    permits: Arc<Semaphore>,
    /// The same for each tenant, so that one cannot fill the queue.
    tenant_permits: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
    permits_per_tenant: u32,
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    feed: Arc<Feed>,
    last_error: Mutex<Option<StoreError>>,
    /// Commits work again after one failed.
    recovered: Notify,
}

impl Writer {
    /// Starts the task that writes. It ends when all clones of the writer are gone. `queue_bytes` bounds what waits to
    /// be written. Call it within a Tokio runtime.
    pub fn new(store: Arc<dyn Store>, feed: Arc<Feed>, queue_bytes: usize) -> Self {
        let (queue, jobs) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { store, feed, last_error: Mutex::default(), recovered: Notify::new() });
        tokio::spawn(write(Arc::clone(&shared), jobs));
        let permits = u32::try_from(queue_bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        Self {
            queue,
            permits: Arc::new(Semaphore::new(permits as usize)),
            tenant_permits: Arc::default(),
            permits_per_tenant: permits.div_ceil(2),
            shared,
        }
    }

    /// Returns why the last commit failed, if it did.
    pub fn last_error(&self) -> Option<StoreError> {
        self.shared.last_error.lock().clone()
    }

    /// Completes when commits work again after one failed. A commit that failed may be in the database all the same:
    /// a caller that keeps a picture of the database must read it again.
    pub async fn recovered(&self) {
        self.shared.recovered.notified().await;
    }

    /// Returns a writer for one activation of a run in this epoch.
    pub fn for_run(&self, epoch: Epoch, run: RunId, tenant: &Arc<str>) -> RunWriter {
        let permits = Arc::clone(
            self.tenant_permits
                .lock()
                .entry(Arc::clone(tenant))
                .or_insert_with(|| Arc::new(Semaphore::new(self.permits_per_tenant as usize))),
        );
        let tenant = Arc::clone(tenant);
        RunWriter { epoch, run, tenant, permits, writer: self.clone(), outcome: Arc::default() }
    }
}

/// Writes what one activation of one run changes.
#[derive(Clone)]
pub struct RunWriter {
    epoch: Epoch,
    run: RunId,
    tenant: Arc<str>,
    /// The tenant's part of the queue.
    permits: Arc<Semaphore>,
    writer: Writer,
    outcome: Arc<WriteOutcome>,
}

impl RunWriter {
    /// The epoch in which it writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Writes a new run unless its key is taken, and returns when it is durable. With `unowned` the run begins on the
    /// node that claims it.
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable.
    pub async fn start(&self, run: Run, unowned: bool) -> Result<Written, StoreError> {
        let run = Box::new(run);
        self.send_and_wait(if unowned { Write::InsertUnowned(run) } else { Write::Start(run) }).await
    }

    /// Hands changes to the writer. They become durable some time after, unless an earlier or later write of this run
    /// fails; then [`RunWriter::barrier`] says so. Waits only while the queue is full.
    ///
    /// # Errors
    /// [`StoreError`] if an earlier write of this run was lost.
    pub async fn save(&self, changes: Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.check_not_lost()?;
        self.send(Write::Save(self.run, changes), None).await
    }

    /// Returns when these changes and all before them are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they are not.
    pub async fn barrier(&self, changes: Changes) -> Result<(), StoreError> {
        self.check_not_lost()?;
        self.send_and_wait(Write::Save(self.run, changes)).await.map(|_| ())
    }

    /// Keeps `admission` until the first changes that are written here are durable or lost.
    pub fn admit(&self, admission: impl Any + Send) {
        *self.outcome.admission.lock() = Some(Box::new(admission));
    }

    /// Returns when the first changes that are written here, at any time, are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they were lost.
    pub async fn begun(&self) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            () = self.outcome.begun.wait().map(|begun| *begun) => Ok(()),
            error = self.outcome.lost.wait() => Err(error.clone()),
        }
    }

    /// Completes if the first changes that are written here are lost. A caller that waits for the run's end waits for
    /// this beside it: success must not wake it.
    pub async fn lost_its_start(&self) -> StoreError {
        let error = self.outcome.lost.wait().await;
        if self.outcome.begun.initialized() {
            return std::future::pending().await;
        }
        error.clone()
    }

    fn check_not_lost(&self) -> Result<(), StoreError> {
        self.outcome.lost.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    async fn send(&self, write: Write, reply: Option<Reply>) -> Result<(), StoreError> {
        let permits = u32::try_from(write.size().div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let permits = permits.clamp(1, self.writer.permits_per_tenant);
        let acquire = async |semaphore: &Arc<Semaphore>| {
            Arc::clone(semaphore).acquire_many_owned(permits).await.map_err(|_| StoreError::Closed)
        };
        let permits = [acquire(&self.permits).await?, acquire(&self.writer.permits).await?];
        let (tenant, outcome) = (Arc::clone(&self.tenant), Arc::clone(&self.outcome));
        let job = Job { tenant, epoch: self.epoch, write, outcome, reply, _permits: permits };
        self.writer.queue.send(job).map_err(|_| StoreError::Closed)
    }

    async fn send_and_wait(&self, write: Write) -> Result<Written, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(write, Some(reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn write(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut backlog = FairQueue::default();
    loop {
        if backlog.is_empty() {
            let Some(job) = jobs.recv().await else { return };
            backlog.push(&Arc::clone(&job.tenant), job);
        }
        while let Ok(job) = jobs.try_recv() {
            backlog.push(&Arc::clone(&job.tenant), job);
        }
        let mut batch = next_batch(&mut backlog);
        while let Some(Job { epoch, .. }) = batch.first() {
            // More than one epoch if this node lost its lease a moment ago: the jobs of the old one fail.
            let epoch = *epoch;
            let others = batch.iter().position(|job| job.epoch != epoch).unwrap_or(batch.len());
            let others = batch.split_off(others);
            shared.commit(epoch, std::mem::replace(&mut batch, others)).await;
        }
    }
}

fn next_batch(backlog: &mut FairQueue<Arc<str>, Job>) -> Vec<Job> {
    let most = if backlog.tenants().len() > 1 { SHARED_BATCH_ROWS } else { BATCH_ROWS };
    let mut batch = Vec::new();
    let mut rows = 0;
    while rows < most
        && let Some((_, job)) = backlog.pop()
    {
        rows += job.write.rows();
        batch.push(job);
    }
    batch
}

impl Shared {
    /// Commits a batch, answers its jobs, and tells the feed.
    async fn commit(&self, epoch: Epoch, batch: Vec<Job>) {
        let mut writes = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Job { tenant, write, outcome, reply, _permits, .. } in batch {
            if let Some(error) = outcome.lost.get() {
                answer(reply, Err(error.clone()));
                continue;
            }
            writes.push(write);
            waiting.push((tenant, outcome, reply, _permits));
        }
        let committed = self.store.commit(epoch, &writes).await;
        let mut changes = Vec::with_capacity(writes.len());
        match &committed {
            Ok(written) => {
                for (((tenant, outcome, reply, _), written), write) in
                    waiting.into_iter().zip(written).zip(writes)
                {
                    outcome.record(Ok(()));
                    answer(reply, Ok(*written));
                    if *written == Written::Done {
                        changes.push(Change { tenant, write });
                    }
                }
            }
            Err(error) => {
                for (_, outcome, reply, _) in waiting {
                    outcome.record(Err(error));
                    answer(reply, Err(error.clone()));
                }
            }
        }
        self.feed.publish(Batch { changes, is_local: true });
        self.note(committed.err());
    }

    /// Keeps why the last commit failed, and logs when that changes.
    fn note(&self, error: Option<StoreError>) {
        // The database works; it is this node that may not write.
        let error = error.filter(|error| !matches!(error, StoreError::Fenced));
        let mut last_error = self.last_error.lock();
        match (&*last_error, &error) {
            (None, Some(error)) => {
                tracing::error!(%error, "writes fail: runs wait until the database takes them")
            }
            (Some(_), None) => {
                tracing::info!("the database takes writes again");
                self.recovered.notify_one();
            }
            _ => {}
        }
        *last_error = error;
    }
}

fn answer(reply: Option<Reply>, written: Result<Written, StoreError>) {
    if let Some(reply) = reply {
        // The caller may be gone, for example because its connection was closed.
        let _ = reply.send(written);
    }
}
