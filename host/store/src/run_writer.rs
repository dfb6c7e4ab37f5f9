//! The writes of one activation of one run.

use std::any::Any;
use std::sync::Arc;

use forge_journal::db::Transaction;
use forge_journal::{Changes, Inbox, Message, Outcome, Performed, Run, RunId, Sent, Unsent};
use futures::FutureExt as _;
use tokio::sync::{Semaphore, oneshot};

use super::write_outcome::WriteOutcome;
use super::writer::{Job, PERMIT_BYTES, Reply, Waiting, Writer};
use super::{Epoch, StoreError, Write, Written};

impl Writer {
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

/// Writes the changes of one activation of one run.
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
    /// Returns the epoch in which it writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns whether this node certainly has its lease in the epoch; see [`Store::holds_lease`](crate::Store::holds_lease).
    pub fn holds_lease(&self) -> bool {
        self.writer.store().holds_lease(self.epoch)
    }

    /// Returns when this node certainly has its lease in the epoch.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the epoch has ended.
    pub async fn await_lease(&self) -> Result<(), StoreError> {
        self.writer.store().await_lease(self.epoch).await
    }

    /// Inserts a new run unless its key is taken, with its first event, and returns when the run is durable. With `unowned`,
    /// any node can claim the run.
    ///
    /// # Errors
    /// [`StoreError`] if the run is not durable, or that is unknown.
    pub async fn start(
        &self,
        run: Run,
        event: Option<Box<Message>>,
        unowned: bool,
    ) -> Result<Written, StoreError> {
        let run = Box::new(run);
        let write = match event {
            Some(event) => Write::StartWithEvent { run, event, unowned },
            None if unowned => Write::InsertUnowned(run),
            None => Write::Start(run),
        };
        self.send_and_wait(write).await
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
        self.perform(changes).await.map(|_| ())
    }

    /// Queues changes with operations, and returns what became of these when they and all earlier changes are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they are not durable, or that is unknown.
    pub async fn perform(&self, changes: Changes) -> Result<Vec<(u64, Performed)>, StoreError> {
        self.check_not_lost()?;
        match self.send_and_wait(Write::Save(self.run, changes)).await? {
            Written::Performed(performed) => Ok(performed),
            _ => Ok(Vec::new()),
        }
    }

    /// Appends to the inbox of a run, and returns when that is durable. The writer belongs to no run.
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable, or that is unknown.
    pub async fn send_message(&self, message: Message) -> Result<Result<Sent, Unsent>, StoreError> {
        match self.send_and_wait(Write::Send(Box::new(message))).await? {
            Written::Sent(sent) => Ok(sent),
            other => Err(StoreError::Unavailable(format!("the store answered a message with {other:?}"))),
        }
    }

    /// Performs a transaction of the tenant's store, and returns its outcome when that is durable. The writer belongs to no
    /// run.
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable, or that is unknown.
    pub async fn transact(&self, transaction: Transaction) -> Result<Outcome, StoreError> {
        match self.send_and_wait(Write::Transaction(Box::new(transaction))).await? {
            Written::Transacted(outcome) => Ok(outcome),
            other => Err(StoreError::Unavailable(format!("the store answered a transaction with {other:?}"))),
        }
    }

    /// Returns the entries of the run's inbox after this position that it has not taken.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn inbox(&self, after: u64) -> Result<Inbox, StoreError> {
        Ok(self.writer.store().inbox(self.run, after, u32::MAX).await?.unwrap_or_default())
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
        self.outcome.lost.get().map_or(Ok(()), |error| Err(error.of_later_write()))
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
