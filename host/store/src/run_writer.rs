//! The writes of one activation of one run, and their outcome.

use std::any::Any;
use std::sync::Arc;

use forge_journal::{Changes, Run, RunId};
use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SetOnce, oneshot};

use super::writer::{Job, PERMIT_BYTES, Reply, Waiting, Writer};
use super::{Epoch, StoreError, Write, Written};

/// A guard that is dropped when a start is durable or lost.
type Guard = Box<dyn Any + Send>;

/// The outcome of the writes of one [`RunWriter`].
#[derive(Default)]
pub(super) struct WriteOutcome {
    /// Set when the first one is durable.
    begun: SetOnce<()>,
    /// Set when one was lost.
    pub(super) lost: SetOnce<StoreError>,
    /// Dropped when the first one is durable or lost.
    admission: Mutex<Option<Guard>>,
}

impl WriteOutcome {
    /// Records the outcome of each write, in their order. The first one decides about the start; a later one matters
    /// only if it is lost, and then it is the last.
    pub(super) fn record(&self, written: Result<(), &StoreError>) {
        match written {
            Ok(()) if self.begun.initialized() => return,
            Ok(()) => drop(self.begun.set(())),
            Err(error) => drop(self.lost.set(error.clone())),
        }
        drop(self.admission.lock().take());
    }
}

/// Writes the changes of one activation of one run.
#[derive(Clone)]
pub struct RunWriter {
    pub(super) epoch: Epoch,
    pub(super) run: RunId,
    pub(super) tenant: Arc<str>,
    /// The tenant's part of the queue.
    pub(super) permits: Arc<Semaphore>,
    pub(super) writer: Writer,
    pub(super) outcome: Arc<WriteOutcome>,
}

impl RunWriter {
    /// Returns the epoch in which it writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Inserts a new run unless its key is taken, and returns when the run is durable. With `unowned`, any node can claim
    /// the run.
    ///
    /// # Errors
    /// [`StoreError`] if the run is not durable, or that is unknown.
    pub async fn start(&self, run: Run, unowned: bool) -> Result<Written, StoreError> {
        let run = Box::new(run);
        self.send_and_wait(if unowned { Write::InsertUnowned(run) } else { Write::Start(run) }).await
    }

    /// Queues changes. They become durable later; if they are lost, the next [`RunWriter::barrier`] fails. Waits only while
    /// the queue is full.
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

    /// Queues changes, and returns when they and all earlier ones are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they are not durable, or that is unknown.
    pub async fn barrier(&self, changes: Changes) -> Result<(), StoreError> {
        self.check_not_lost()?;
        self.send_and_wait(Write::Save(self.run, changes)).await.map(|_| ())
    }

    /// Keeps `admission` until the first write of this activation is durable or lost.
    pub fn admit(&self, admission: impl Any + Send) {
        *self.outcome.admission.lock() = Some(Box::new(admission));
    }

    /// Returns when the first write of this activation is durable.
    ///
    /// # Errors
    /// [`StoreError`] if it was lost.
    pub async fn begun(&self) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            () = self.outcome.begun.wait().map(|begun| *begun) => Ok(()),
            error = self.outcome.lost.wait() => Err(error.clone()),
        }
    }

    /// Completes if the first write of this activation is lost, and never if it is durable. For callers that wait for the
    /// end of the run at the same time.
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
        let waiting = Waiting { tenant, outcome, reply, _permits: permits };
        let job = Job { epoch: self.epoch, write, waiting };
        self.writer.queue.send(job).map_err(|_| StoreError::Closed)
    }

    async fn send_and_wait(&self, write: Write) -> Result<Written, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(write, Some(reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
