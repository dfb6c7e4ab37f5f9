//! Group commit: one task writes for all runs.
//!
//! Jobs of one run are committed in the order in which they were sent. When a commit fails, all
//! its jobs fail, and so does every later job of the same [`RunWriter`]: what is on disk is always
//! a prefix of a run's journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::{Store, StoreError, Write, Written};
use crate::journal::{Changes, Run, RunId};

/// Jobs that may wait for the writer. When the disk is slower than the runs, the runs wait.
const QUEUE: usize = 1_024;

/// Rows in one commit: enough that the cost of the commit itself no longer shows.
const BATCH_ROWS: usize = 2_048;

type Reply = oneshot::Sender<Result<Written, StoreError>>;

struct Job {
    write: Write,
    /// Set once a job of this run was lost.
    broken: Arc<AtomicBool>,
    reply: Option<Reply>,
}

impl Job {
    fn rows(&self) -> usize {
        match &self.write {
            Write::Start(_) => 1,
            Write::Save(_, changes) => changes.rows.len() + usize::from(changes.run.is_some()),
        }
    }
}

/// The end of the queue at which runs write. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Job>,
    last_error: Arc<Mutex<Option<StoreError>>>,
}

impl Writer {
    /// Starts the writer's task. It ends when all ends of its queue are gone.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let last_error = Arc::new(Mutex::new(None));
        tokio::spawn(write(store, jobs, Arc::clone(&last_error)));
        Self { queue, last_error }
    }

    /// Why the last commit failed; `None` if it did not.
    pub fn last_error(&self) -> Option<StoreError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a new run, and returns when it is durable.
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable.
    pub async fn start(&self, run: Run) -> Result<Written, StoreError> {
        let write = Write::Start(Box::new(run));
        self.send_and_wait(write, Arc::new(AtomicBool::new(false))).await
    }

    /// For the writes of one activation of a run.
    pub fn for_run(&self, run: RunId) -> RunWriter {
        RunWriter { run, writer: self.clone(), broken: Arc::new(AtomicBool::new(false)) }
    }

    async fn send_and_wait(&self, write: Write, broken: Arc<AtomicBool>) -> Result<Written, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job { write, broken, reply: Some(reply) };
        self.queue.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Writes what one activation of one run changes.
#[derive(Clone)]
pub struct RunWriter {
    run: RunId,
    writer: Writer,
    broken: Arc<AtomicBool>,
}

impl RunWriter {
    /// Hands changes to the writer. They become durable some time after, unless an earlier or
    /// later write of this run fails; then [`RunWriter::barrier`] says so.
    ///
    /// # Errors
    /// [`StoreError`] if an earlier write of this run was lost.
    pub async fn save(&self, changes: Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if self.broken.load(Ordering::Acquire) {
            return Err(self.lost());
        }
        let job =
            Job { write: Write::Save(self.run, changes), broken: Arc::clone(&self.broken), reply: None };
        self.writer.queue.send(job).await.map_err(|_| StoreError::Closed)
    }

    /// Returns when these changes and all before them are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they are not.
    pub async fn barrier(&self, changes: Changes) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Acquire) {
            return Err(self.lost());
        }
        let write = Write::Save(self.run, changes);
        self.writer.send_and_wait(write, Arc::clone(&self.broken)).await.map(|_| ())
    }

    fn lost(&self) -> StoreError {
        let lost = || StoreError::Unavailable("an earlier write of this run was lost".to_owned());
        self.writer.last_error().unwrap_or_else(lost)
    }
}

async fn write(
    store: Arc<dyn Store>,
    mut jobs: mpsc::Receiver<Job>,
    last_error: Arc<Mutex<Option<StoreError>>>,
) {
    while let Some(job) = jobs.recv().await {
        let mut rows = job.rows();
        let mut batch = vec![job];
        while rows < BATCH_ROWS
            && let Ok(job) = jobs.try_recv()
        {
            rows += job.rows();
            batch.push(job);
        }
        let error = commit(store.as_ref(), batch).await;
        let mut last_error = last_error.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*last_error, &error) {
            (None, Some(error)) => {
                tracing::error!(%error, "writes fail: runs wait until the database takes them")
            }
            (Some(_), None) => tracing::info!("the database takes writes again"),
            _ => {}
        }
        *last_error = error;
    }
}

/// Commits a batch and answers its jobs; gives back why it failed.
async fn commit(store: &dyn Store, batch: Vec<Job>) -> Option<StoreError> {
    let mut writes = Vec::with_capacity(batch.len());
    let mut waiting = Vec::with_capacity(batch.len());
    for Job { write, broken, reply } in batch {
        if broken.load(Ordering::Acquire) {
            let lost = StoreError::Unavailable("an earlier write of this run was lost".to_owned());
            answer(reply, Err(lost));
            continue;
        }
        writes.push(write);
        waiting.push((broken, reply));
    }
    match store.commit(&writes).await {
        Ok(written) => {
            for ((_, reply), written) in waiting.into_iter().zip(written) {
                answer(reply, Ok(written));
            }
            None
        }
        Err(error) => {
            for (broken, reply) in waiting {
                broken.store(true, Ordering::Release);
                answer(reply, Err(error.clone()));
            }
            Some(error)
        }
    }
}

fn answer(reply: Option<Reply>, written: Result<Written, StoreError>) {
    if let Some(reply) = reply {
        // Whoever asked may be gone, for example because its connection was closed.
        let _ = reply.send(written);
    }
}
