//! Group commit: one thread writes for all runs, tenants taking turns. A run that has no company writes for itself.
//!
//! Jobs of one run are committed in the order in which they were sent. When a commit fails, all
//! its jobs fail, and so does every later job of the same [`RunWriter`]: what is on disk is always
//! a prefix of a run's journal.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SetOnce, mpsc, oneshot};

use super::awake::Awake;
use super::backlog::Backlog;
use super::company::Company;
use super::{Epoch, Store, StoreError, Write, Written};
use crate::attentive::attentive;
use crate::journal::{Changes, Run, RunId};
use crate::tenants::{Account, Admitted};

/// Rows in one commit: enough that the cost of the commit itself no longer shows.
const BATCH_ROWS: usize = 2_048;

/// The same while several tenants write: nobody waits for long because of another one.
const SHARED_BATCH_ROWS: usize = BATCH_ROWS / 4;

/// Bytes that one place in the queue stands for.
const PLACE: usize = 1 << 10;

type Reply = oneshot::Sender<Result<Written, StoreError>>;

struct Job {
    tenant: Arc<str>,
    epoch: Epoch,
    write: Write,
    fate: Arc<Fate>,
    reply: Option<Reply>,
    /// What it takes of the queue, until it is committed.
    _room: Room,
}

/// What a job takes of its tenant's part of the queue, and of all.
type Room = [OwnedSemaphorePermit; 2];

/// What became of the writes of one [`RunWriter`].
struct Fate {
    /// The first is durable.
    begun: SetOnce<()>,
    /// Why one was lost.
    lost: SetOnce<StoreError>,
    /// What the run takes of its tenant's places for starts, until the first is durable or lost.
    start: Mutex<Option<Admitted>>,
    shared: Arc<Shared>,
}

impl Fate {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.company.enter();
        let shared = Arc::clone(shared);
        Self { begun: SetOnce::new(), lost: SetOnce::new(), start: Mutex::default(), shared }
    }

    /// Called for each write, in their order. The first one decides about the start; a later one changes something
    /// only if it is lost, and then it is the last.
    fn settle(&self, written: Result<(), &StoreError>) {
        match written {
            Ok(()) if self.begun.initialized() => return,
            Ok(()) => drop(self.begun.set(())),
            Err(error) => drop(self.lost.set(error.clone())),
        }
        drop(self.start.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        self.shared.company.leave();
    }
}

/// The end of the queue at which runs write. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::UnboundedSender<Job>,
    /// Bounds the queue: when the disk is slower than the runs, the runs wait.
    room: Arc<Semaphore>,
    /// The same for each tenant, so that one cannot have all of it.
    rooms: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
    /// Places of a tenant.
    places: u32,
    shared: Arc<Shared>,
}

/// What the writer's thread and those who write for themselves have in common.
struct Shared {
    store: Arc<dyn Store>,
    company: Company,
    last_error: Mutex<Option<StoreError>>,
    /// Commits work again after one failed.
    recovered: Notify,
    awake: Awake,
}

impl Writer {
    /// Starts the writer's thread, which ends when all ends of its queue are gone. `queue_bytes`
    /// bounds what waits to be written; for `stay_awake` after a commit cores are kept awake.
    /// Call it within a Tokio runtime.
    ///
    /// # Errors
    /// [`io::Error`] if there can be no more threads.
    pub fn new(store: Arc<dyn Store>, queue_bytes: usize, stay_awake: Duration) -> io::Result<Self> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let blocks = store.blocks();
        let shared = Arc::new(Shared {
            store,
            company: Company::default(),
            last_error: Mutex::default(),
            recovered: Notify::new(),
            awake: Awake::new(stay_awake),
        });
        let runtime = tokio::runtime::Handle::current();
        let writing = write(Arc::clone(&shared), jobs);
        if blocks {
            let thread = std::thread::Builder::new().name("forge-writer".to_owned());
            thread.spawn(move || runtime.block_on(writing))?;
        } else {
            runtime.spawn(attentive(writing));
        }
        let places = u32::try_from(queue_bytes.div_ceil(PLACE)).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        let room = Arc::new(Semaphore::new(places as usize));
        Ok(Self { queue, room, rooms: Arc::default(), places: places.div_ceil(2), shared })
    }

    /// Why the last commit failed; `None` if it did not.
    pub fn last_error(&self) -> Option<StoreError> {
        self.shared.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completes when commits work again after one failed. Of a commit that failed nobody knows whether it
    /// is in the database: whoever keeps a picture of that has to look.
    pub async fn recovered(&self) {
        self.shared.recovered.notified().await;
    }

    /// For the writes of one activation of a run in this epoch.
    pub fn for_run(&self, epoch: Epoch, run: RunId, account: &Arc<Account>) -> RunWriter {
        let (account, room) = (Arc::clone(account), self.room_of(&account.tenant));
        let fate = Arc::new(Fate::new(&self.shared));
        RunWriter { epoch, run, account, room, writer: self.clone(), fate }
    }

    /// A tenant's part of the queue.
    fn room_of(&self, tenant: &Arc<str>) -> Arc<Semaphore> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(self.places as usize));
        Arc::clone(rooms.entry(Arc::clone(tenant)).or_insert_with(new))
    }
}

/// Writes what one activation of one run changes.
#[derive(Clone)]
pub struct RunWriter {
    epoch: Epoch,
    run: RunId,
    /// Whose the run is, and who pays for what is written.
    account: Arc<Account>,
    /// The tenant's part of the queue.
    room: Arc<Semaphore>,
    writer: Writer,
    fate: Arc<Fate>,
}

impl RunWriter {
    /// The epoch in which it writes.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Writes a new run unless its key is taken, and returns when it is durable. With `offer` it begins on
    /// whatever node claims it.
    ///
    /// # Errors
    /// [`StoreError`] if it is not durable.
    pub async fn start(&self, run: Run, offer: bool) -> Result<Written, StoreError> {
        let run = Box::new(run);
        let write = if offer { Write::Offer(run) } else { Write::Start(run) };
        self.send_and_wait(write).await
    }

    /// Hands changes to the writer. They become durable some time after, unless an earlier or
    /// later write of this run fails; then [`RunWriter::barrier`] says so. Waits only while the
    /// queue is full.
    ///
    /// # Errors
    /// [`StoreError`] if an earlier write of this run was lost.
    pub async fn save(&self, changes: Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(error) = self.fate.lost.get() {
            return Err(error.clone());
        }
        self.account.journaled(&changes);
        let write = Write::Save(self.run, changes);
        self.send(write, None).await
    }

    /// Returns when these changes and all before them are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they are not.
    pub async fn barrier(&self, changes: Changes) -> Result<(), StoreError> {
        if let Some(error) = self.fate.lost.get() {
            return Err(error.clone());
        }
        self.account.journaled(&changes);
        let write = Write::Save(self.run, changes);
        self.send_and_wait(write).await.map(|_| ())
    }

    /// Keeps a start's place until the first changes that are written here are durable or lost.
    pub fn keep_place(&self, start: Admitted) {
        *self.fate.start.lock().unwrap_or_else(PoisonError::into_inner) = Some(start);
    }

    /// Returns when the first changes that are written here, at whatever time, are durable.
    ///
    /// # Errors
    /// [`StoreError`] if they were lost.
    pub async fn begun(&self) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            () = self.fate.begun.wait().map(|begun| *begun) => Ok(()),
            error = self.fate.lost.wait() => Err(error.clone()),
        }
    }

    /// Completes if the first changes that are written here are lost. Whoever waits for more than a start waits for
    /// this: to be woken by what is as it should be would only put it in the way of the run.
    pub async fn lost_its_start(&self) -> StoreError {
        let error = self.fate.lost.wait().await;
        if self.fate.begun.initialized() {
            return std::future::pending().await;
        }
        error.clone()
    }

    async fn send(&self, write: Write, reply: Option<Reply>) -> Result<(), StoreError> {
        let Writer { places, room, .. } = &self.writer;
        let places = u32::try_from(write.size().div_ceil(PLACE)).unwrap_or(u32::MAX).clamp(1, *places);
        let take = async |room: &Arc<Semaphore>| {
            let taken = Arc::clone(room).acquire_many_owned(places).await;
            taken.map_err(|_| StoreError::Closed)
        };
        let room = [take(&self.room).await?, take(room).await?];
        self.writer.shared.company.queued();
        let (tenant, fate) = (Arc::clone(&self.account.tenant), Arc::clone(&self.fate));
        let job = Job { tenant, epoch: self.epoch, write, fate, reply, _room: room };
        self.writer.queue.send(job).map_err(|_| StoreError::Closed)?;
        self.writer.shared.company.announce();
        Ok(())
    }

    async fn send_and_wait(&self, write: Write) -> Result<Written, StoreError> {
        let write = match self.writer.shared.write_here(self.epoch, write, &self.fate) {
            ControlFlow::Break(written) => return written,
            ControlFlow::Continue(write) => write,
        };
        let (reply, answer) = oneshot::channel();
        self.send(write, Some(reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn write(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut took = Duration::ZERO;
    let mut backlog = Backlog::default();
    loop {
        if backlog.tenants() == 0 {
            let Some(job) = jobs.recv().await else { return };
            backlog.push(&Arc::clone(&job.tenant), job);
        }
        if shared.store.blocks() {
            shared.company.gather(took);
        }
        while let Ok(job) = jobs.try_recv() {
            backlog.push(&Arc::clone(&job.tenant), job);
        }
        let most = if backlog.tenants() > 1 { SHARED_BATCH_ROWS } else { BATCH_ROWS };
        let mut batch: Vec<Job> = Vec::new();
        let mut rows = 0;
        while rows < most
            && let Some(job) = backlog.pop()
        {
            rows += job.write.rows();
            batch.push(job);
        }
        let size = batch.len();
        shared.company.commits(size);
        shared.awake.touch();
        let began = Instant::now();
        while let Some(Job { epoch, .. }) = batch.first() {
            // More than one if this node lost its lease a moment ago: those of the old epoch fail.
            let epoch = *epoch;
            let others = batch.iter().position(|job| job.epoch != epoch).unwrap_or(batch.len());
            let others = batch.split_off(others);
            let jobs = batch.len();
            let error = commit(shared.store.as_ref(), epoch, std::mem::replace(&mut batch, others)).await;
            shared.company.done(jobs);
            shared.note(error);
        }
        shared.awake.touch();
        took = began.elapsed();
    }
}

impl Shared {
    /// Writes on this thread if there is nothing that it could be written together with: waking the
    /// writer's thread and being woken by it takes longer than keeping this one for a commit.
    fn write_here(
        &self,
        epoch: Epoch,
        write: Write,
        fate: &Fate,
    ) -> ControlFlow<Result<Written, StoreError>, Write> {
        if !self.company.is_alone() {
            return ControlFlow::Continue(write);
        }
        let batch = [write];
        self.awake.touch();
        let written = self.store.commit_here(epoch, &batch);
        self.company.done(1);
        let Some(written) = written else {
            let [write] = batch;
            return ControlFlow::Continue(write);
        };
        self.awake.touch();
        fate.settle(written.as_ref().map(|_| ()));
        self.note(written.as_ref().err().cloned());
        let nothing = || StoreError::Unavailable("the store answered nothing".to_owned());
        ControlFlow::Break(written.and_then(|written| written.first().copied().ok_or_else(nothing)))
    }

    /// What became of the last commit.
    fn note(&self, error: Option<StoreError>) {
        // The database works; it is this node that may not write.
        let error = error.filter(|error| !matches!(error, StoreError::Fenced));
        let mut last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Commits a batch and answers its jobs; gives back why it failed.
async fn commit(store: &dyn Store, epoch: Epoch, batch: Vec<Job>) -> Option<StoreError> {
    let mut writes = Vec::with_capacity(batch.len());
    let mut waiting = Vec::with_capacity(batch.len());
    for Job { write, fate, reply, _room, .. } in batch {
        if let Some(error) = fate.lost.get() {
            answer(reply, Err(error.clone()));
            continue;
        }
        writes.push(write);
        waiting.push((fate, reply, _room));
    }
    match store.commit(epoch, &writes).await {
        Ok(written) => {
            for ((fate, reply, _), written) in waiting.into_iter().zip(written) {
                fate.settle(Ok(()));
                answer(reply, Ok(written));
            }
            None
        }
        Err(error) => {
            for (fate, reply, _) in waiting {
                fate.settle(Err(&error));
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
