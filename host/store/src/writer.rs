//! The group commit: one task writes for all runs, tenants taking turns. While a batch is committed, the next one is
//! queued.
//!
//! The jobs of one run are committed in the order in which they were sent. When a commit fails, all its jobs fail, and
//! so does every later job of the same [`RunWriter`](super::RunWriter): the database always contains a prefix of a run's journal. If a batch
//! fails because the database refuses one of its writes, its jobs are committed one by one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use forge_scheduling::FairQueue;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::feed::{Batch, Change, Feed};
use super::write_outcome::WriteOutcome;
use super::{Epoch, Store, StoreError, Write, Written};

/// The maximum number of rows in one commit. With more rows, the cost of the commit itself is negligible.
const BATCH_ROWS: usize = 2_048;

/// The maximum number of rows in one commit while several tenants write, so that none of them waits for long.
const SHARED_BATCH_ROWS: usize = BATCH_ROWS / 4;

/// The pause before the store is tried again after a commit failed, if nothing is to be committed meanwhile.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Bytes per permit of the queue.
pub(super) const PERMIT_BYTES: usize = 1 << 10;

pub(super) type Reply = oneshot::Sender<Result<Written, StoreError>>;

pub(super) struct Job {
    pub(super) epoch: Epoch,
    pub(super) write: Write,
    pub(super) waiting: Waiting,
}

/// The sender of a job, who waits for its outcome.
pub(super) struct Waiting {
    pub(super) tenant: Arc<str>,
    pub(super) outcome: Arc<WriteOutcome>,
    pub(super) reply: Option<Reply>,
    /// Released when the job is committed.
    pub(super) _permits: QueuePermits,
}

/// A job's permits: of its tenant's part of the queue, and of the whole queue.
pub(super) type QueuePermits = [OwnedSemaphorePermit; 2];

/// The sending end of the write queue. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    pub(super) queue: mpsc::UnboundedSender<Job>,
    /// Bounds the queue: when the disk is slower than the runs, the runs wait.
    pub(super) permits: Arc<Semaphore>,
    /// The same for each tenant, so that one cannot fill the queue.
    pub(super) tenant_permits: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
    pub(super) permits_per_tenant: u32,
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
    /// Starts the writing task, which ends when all clones of the writer are dropped. `queue_bytes` bounds the queue. Must
    /// be called within a Tokio runtime.
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

    pub(super) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// Returns why the last commit failed, if it did.
    pub fn last_error(&self) -> Option<StoreError> {
        self.shared.last_error.lock().clone()
    }

    /// Completes when commits work again after one failed. The outcome of the failed commit is unknown: a caller that caches
    /// data of the database must read it again.
    pub async fn recovered(&self) {
        self.shared.recovered.notified().await;
    }
}

async fn write(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut backlog = FairQueue::default();
    loop {
        if backlog.is_empty() {
            let Some(job) = next_job(&shared, &mut jobs).await else { return };
            backlog.push(&Arc::clone(&job.waiting.tenant), job);
        }
        while let Ok(job) = jobs.try_recv() {
            backlog.push(&Arc::clone(&job.waiting.tenant), job);
        }
        let mut batch = next_batch(&mut backlog);
        while let Some(Job { epoch, .. }) = batch.first() {
            // After this node has lost its lease, there are jobs of two epochs. Those of the old one fail.
            let epoch = *epoch;
            let others = batch.iter().position(|job| job.epoch != epoch).unwrap_or(batch.len());
            let others = batch.split_off(others);
            shared.commit(epoch, std::mem::replace(&mut batch, others)).await;
        }
    }
}

/// Returns the next job. After a commit failed, tries the store until it works: a host without work learns it, too.
async fn next_job(shared: &Shared, jobs: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
    while shared.last_error.lock().is_some() {
        match tokio::time::timeout(TRY_AGAIN, jobs.recv()).await {
            Ok(job) => return job,
            Err(_) => shared.note(shared.store.probe(shared.store.epoch()).await.err()),
        }
    }
    jobs.recv().await
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
    /// Commits a batch, answers its jobs, and publishes the changes.
    async fn commit(&self, epoch: Epoch, batch: Vec<Job>) {
        let mut writes = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for job in batch {
            match job.waiting.outcome.lost.get() {
                Some(error) => answer(job.waiting.reply, Err(error.of_later_write())),
                None => {
                    writes.push(job.write);
                    waiting.push(job.waiting);
                }
            }
        }
        let committed = self.store.commit(epoch, &writes).await;
        let mut changes = Vec::with_capacity(writes.len());
        let (mut delivered, mut answers) = (Vec::new(), Vec::new());
        let error = match committed {
            Ok(committed) => {
                for ((waiting, written), write) in waiting.into_iter().zip(committed.written).zip(writes) {
                    waiting.outcome.record(Ok(()));
                    if written.is_done() {
                        changes.push(Change { tenant: waiting.tenant, write });
                    }
                    answers.push((waiting.reply, written));
                }
                changes.extend(committed.started.into_iter().map(|run| Change {
                    tenant: Arc::clone(&run.tenant),
                    write: Write::Start(Box::new(run)),
                }));
                delivered = committed.delivered;
                None
            }
            // The database can store the others without the one that it refuses.
            Err(error) if error.is_of_one_write() && writes.len() > 1 => {
                for (write, waiting) in writes.into_iter().zip(waiting) {
                    Box::pin(self.commit(epoch, vec![Job { epoch, write, waiting }])).await;
                }
                return;
            }
            Err(error) => {
                // Before the answers: a caller that asks for the health next learns of it.
                self.note(Some(error.clone()));
                for waiting in waiting {
                    waiting.outcome.record(Err(&error));
                    answer(waiting.reply, Err(error.clone()));
                }
                Some(error)
            }
        };
        // Before the answers: a run that is told that its event was sent finds it.
        self.feed.publish(Batch { changes, delivered, is_local: true });
        for (reply, written) in answers {
            answer(reply, Ok(written));
        }
        self.note(error);
    }

    /// Keeps the error of the last commit, and logs when it changes.
    fn note(&self, error: Option<StoreError>) {
        // With these errors, the database works.
        let error = error.filter(|error| !matches!(error, StoreError::Fenced) && !error.is_of_one_write());
        let mut last_error = self.last_error.lock();
        match (&*last_error, &error) {
            (None, Some(error)) => {
                tracing::error!(%error, "commits fail: runs wait until the database works again")
            }
            (Some(_), None) => {
                tracing::info!("commits work again");
                self.recovered.notify_one();
            }
            _ => {}
        }
        *last_error = error;
    }
}

fn answer(reply: Option<Reply>, written: Result<Written, StoreError>) {
    if let Some(reply) = reply {
        // Fails if the caller was dropped, for example because its client disconnected.
        let _ = reply.send(written);
    }
}
