//! Tells runs what has come into their inboxes. A subscriber of the change feed.

use std::sync::{Arc, Weak};

use forge_journal::{InboxEntry, Journal, RunId, TenantId, Timestamp};
use forge_store::{Batch, Subscriber, Write};

use super::{Inner, WorkflowExecutor};
use tokio::sync::mpsc;

/// Something has come into the inbox of a run: this entry, or what the store has. A notice may come late, twice, or not at all
/// for a run without a task: then the run is due, and reads its inbox when it is loaded.
pub(super) struct Notice(pub(super) Option<InboxEntry>);

/// The notices for a run.
pub(super) struct Notices {
    queue: mpsc::UnboundedReceiver<Notice>,
    /// A notice that was put back.
    first: Option<Notice>,
}

impl Notices {
    pub(super) fn new(queue: mpsc::UnboundedReceiver<Notice>) -> Self {
        Self { queue, first: None }
    }

    /// Returns the next notice, if there is one.
    pub(super) fn try_next(&mut self) -> Option<Notice> {
        self.first.take().or_else(|| self.queue.try_recv().ok())
    }

    /// Completes with the next notice that comes.
    pub(super) async fn next(&mut self) -> Option<Notice> {
        self.queue.recv().await
    }

    /// Puts a notice back.
    pub(super) fn put_back(&mut self, notice: Notice) {
        self.first = Some(notice);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.queue.is_empty()
    }
}

/// Follows the inboxes of the runs of this node.
pub(super) struct Inboxes(Weak<Inner>);

impl Inboxes {
    pub(super) fn of(inner: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(inner)))
    }
}

impl Subscriber for Inboxes {
    fn committed(&self, batch: &Arc<Batch>) {
        if batch.delivered.is_empty() {
            return;
        }
        let Some(inner) = self.0.upgrade() else { return };
        for delivered in batch.delivered.iter().filter(|delivered| delivered.is_here) {
            inner.notice(delivered.run, &delivered.tenant, Notice(Some(delivered.entry.clone())));
        }
    }
}

impl Inner {
    /// Tells a run of this node that something has come into its inbox. The store knows that the run is due.
    pub(super) fn notice(&self, run: RunId, tenant: &TenantId, notice: Notice) {
        let told = match self.runs().get(&run) {
            // The task has ended if this fails, and the run is loaded again.
            Some(handle) => handle.inbox.send(notice).is_ok(),
            None => false,
        };
        if !told {
            self.timers.set(Timestamp::NOW, run, tenant);
        }
    }
}

/// Gives the runs that calls have started on this node a task.
pub(super) struct Children(Weak<Inner>);

impl Children {
    pub(super) fn of(inner: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(inner)))
    }
}

impl Subscriber for Children {
    fn committed(&self, batch: &Arc<Batch>) {
        let started = batch.changes.iter().filter_map(|change| match &change.write {
            Write::Start(run) if run.parent.is_some() && batch.is_local => Some(&**run),
            _ => None,
        });
        for run in started {
            let Some(inner) = self.0.upgrade() else { return };
            let executor = WorkflowExecutor { tenant: Arc::clone(&run.tenant), inner };
            let writer = executor.inner.writer_for(run.id, &run.tenant);
            executor.spawn(run.id, &run.tenant, Some((Journal::new(run.clone()), writer)), None);
        }
    }
}
