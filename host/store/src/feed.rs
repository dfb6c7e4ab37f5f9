use std::sync::Arc;

use forge_journal::{Changes, Growth, Run, RunId};
use parking_lot::RwLock;

use super::{Delivered, Write};

/// The changes of a durable batch.
#[derive(Debug)]
pub struct Batch {
    /// The changes, in the order in which they were committed.
    pub changes: Vec<Change>,
    /// The entries that were appended to the inboxes of runs.
    pub delivered: Vec<Delivered>,
    /// Whether this node committed the changes. Otherwise they were read, because another node may have made them.
    pub is_local: bool,
}

/// A durable change of one run.
#[derive(Debug)]
pub struct Change {
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// What was written.
    pub write: Write,
}

impl Change {
    /// Returns the run's id; `None` if the change is of no run.
    pub fn run_id(&self) -> Option<RunId> {
        match &self.write {
            Write::Start(run) | Write::InsertUnowned(run) | Write::StartWithEvent { run, .. } => Some(run.id),
            Write::Save(id, _) => Some(*id),
            Write::Send(message) => Some(message.to),
            Write::Transaction(_) => None,
        }
    }

    /// Returns the run after the change; `None` if only rows changed.
    pub fn run(&self) -> Option<&Run> {
        match self.write.start() {
            Some((run, _)) => Some(run),
            None => self.changes()?.run.as_deref(),
        }
    }

    /// Returns what the change adds to the totals of the tenant.
    pub fn grown(&self) -> Growth {
        self.write.grown().1
    }

    /// Returns the changes of a run that started before.
    pub fn changes(&self) -> Option<&Changes> {
        self.write.changes().map(|(_, changes)| changes)
    }
}

/// A part of the host that follows what is committed.
pub trait Subscriber: Send + Sync + 'static {
    /// Called after each durable batch, in order, before the next batch is written. It must not wait: a subscriber with
    /// more to do keeps the batch and does it elsewhere.
    fn committed(&self, batch: &Arc<Batch>);
}

/// The change feed: tells subscribers which runs changed, and how.
#[derive(Default)]
pub struct Feed {
    subscribers: RwLock<Vec<Arc<dyn Subscriber>>>,
}

impl Feed {
    /// Adds a subscriber, which is called for every batch from now on.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) {
        self.subscribers.write().push(subscriber);
    }

    /// Calls all subscribers with a batch, unless it is empty.
    pub fn publish(&self, batch: Batch) {
        if batch.changes.is_empty() && batch.delivered.is_empty() {
            return;
        }
        let batch = Arc::new(batch);
        for subscriber in self.subscribers.read().iter() {
            subscriber.committed(&batch);
        }
    }
}
