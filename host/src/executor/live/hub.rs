//! Which runs and lists are followed, and what of them changes.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use forge_journal::{RunId, TenantId};
use forge_store::{Batch, Change, Changed, Subscriber};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::nodes::Elsewhere;
use super::quota::Quotas;
use super::topic::{Latest, Mark, Topic, View};
use crate::config::LiveLimits;
use crate::executor::{Inner, WorkflowExecutor};

/// The runs and lists that clients follow.
pub(in crate::executor) struct Hub {
    pub(super) quotas: Arc<Quotas>,
    /// The topics of each run that is followed.
    topics: Mutex<HashMap<RunId, Vec<Arc<Topic>>>>,
    /// The tenants whose lists are followed. Never iterated.
    lists: Mutex<HashMap<TenantId, watch::Sender<()>>>,
    /// The number of entries in both: nothing is looked up while there are none.
    followed: AtomicUsize,
    /// What other nodes follow.
    pub(super) elsewhere: Elsewhere,
    /// Whether there can be other nodes.
    is_shared: bool,
}

/// A topic with a subscriber, until it is dropped.
pub(super) struct Followed {
    hub: Arc<Hub>,
    topic: Arc<Topic>,
}

/// The lists of a tenant with a subscriber, until it is dropped.
pub(super) struct FollowedLists {
    hub: Arc<Hub>,
    tenant: TenantId,
}

impl Hub {
    /// Creates a hub, of a node that shares its store with others or of the only one.
    pub(in crate::executor) fn new(limits: LiveLimits, is_shared: bool) -> Arc<Self> {
        Arc::new(Self {
            quotas: Quotas::new(limits),
            topics: Mutex::default(),
            lists: Mutex::default(),
            followed: AtomicUsize::new(0),
            elsewhere: Elsewhere::default(),
            is_shared,
        })
    }

    /// Follows a run from now on.
    pub(super) fn follow(
        self: &Arc<Self>,
        run: RunId,
        tenant: &TenantId,
        view: View,
    ) -> (Followed, watch::Receiver<Latest>) {
        let mut runs = self.topics.lock();
        let topics = runs.entry(run).or_insert_with(|| {
            self.followed.fetch_add(1, Ordering::AcqRel);
            Vec::new()
        });
        // A tenant may follow a run that it does not have, until it is told so.
        let found = topics.iter().find(|topic| topic.view == view && topic.tenant == *tenant).cloned();
        let topic = found.unwrap_or_else(|| {
            let topic = Topic::new(run, Arc::clone(tenant), view, self.quotas.share(tenant));
            topics.push(Arc::clone(&topic));
            topic
        });
        let changes = topic.subscribe();
        drop(runs);
        if self.is_shared {
            self.elsewhere.follow(run);
        }
        (Followed { hub: Arc::clone(self), topic }, changes)
    }

    /// Follows the lists of a tenant from now on.
    pub(super) fn follow_lists(self: &Arc<Self>, tenant: &TenantId) -> (FollowedLists, watch::Receiver<()>) {
        let mut lists = self.lists.lock();
        let changes = lists.entry(Arc::clone(tenant)).or_insert_with(|| {
            self.followed.fetch_add(1, Ordering::AcqRel);
            watch::Sender::new(())
        });
        let changes = changes.subscribe();
        drop(lists);
        (FollowedLists { hub: Arc::clone(self), tenant: Arc::clone(tenant) }, changes)
    }

    /// Returns whether nobody follows anything.
    fn is_idle(&self) -> bool {
        self.followed.load(Ordering::Acquire) == 0 && (!self.is_shared || self.elsewhere.is_idle())
    }

    /// Returns the runs that clients of this node follow.
    pub(super) fn followed(&self) -> Vec<RunId> {
        self.topics.lock().keys().copied().collect()
    }

    /// Returns the topics of a run that must be read now.
    fn to_read(&self, run: RunId, mark: Mark) -> Vec<Arc<Topic>> {
        let topics = self.topics.lock();
        let topics = topics.get(&run).into_iter().flatten();
        topics.filter(|topic| topic.mark(mark)).cloned().collect()
    }

    /// Notes that lists of a tenant may have changed.
    fn lists_changed(&self, tenant: &str) {
        if let Some(changes) = self.lists.lock().get(tenant) {
            changes.send_replace(());
        }
    }
}

impl WorkflowExecutor {
    /// Notes that a run has changed, for those who follow it.
    pub(super) fn changed(&self, run: RunId, mark: Mark) {
        for topic in self.inner.live.to_read(run, mark) {
            let reader = self.for_tenant(&topic.tenant);
            self.inner.tasks.spawn(topic.follow(reader));
        }
    }
}

/// The subscriber of the change feed that marks what is followed.
pub(in crate::executor) struct Changes(Weak<Inner>);

impl Changes {
    pub(in crate::executor) fn of(inner: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(inner)))
    }
}

impl Subscriber for Changes {
    fn committed(&self, batch: &Arc<Batch>) {
        let Some(inner) = self.0.upgrade() else { return };
        if inner.live.is_idle() {
            return;
        }
        let executor = WorkflowExecutor { tenant: forge_journal::DEFAULT_TENANT.into(), inner };
        for change in &batch.changes {
            let Some((run, mark)) = mark(change) else { continue };
            executor.changed(run, mark);
            if executor.inner.live.is_shared && batch.is_local {
                executor.inner.live.elsewhere.changed(run, mark);
            }
            if change.run().is_some() {
                executor.inner.live.lists_changed(&change.tenant);
            }
        }
        for delivered in &batch.delivered {
            executor.changed(delivered.run, Mark { journal: None, inbox: true });
        }
    }
}

/// Returns what a change changes of its run; `None` if nobody can see it.
fn mark(change: &Change) -> Option<(RunId, Mark)> {
    let run = change.run();
    let (rows, takes) = match change.changes() {
        Some(changes) => (changes.rows.as_slice(), !changes.taken.is_empty()),
        None => (&[][..], false),
    };
    let of_run = run.map(|run| run.revision);
    let last = rows.iter().map(|row| row.revision).chain(of_run).max();
    let first = rows.first().map(|row| (row.revision, row.seq)).or(of_run.map(|run| (run, Changed::NO_CALL)));
    let journal = first.zip(last).map(|((revision, first), last)| Changed { revision, last, first });
    if journal.is_none() && !takes {
        return None;
    }
    Some((change.run_id()?, Mark { journal, inbox: takes }))
}

impl Deref for Followed {
    type Target = Topic;

    fn deref(&self) -> &Topic {
        &self.topic
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut runs = self.hub.topics.lock();
        let Some(topics) = runs.get_mut(&self.topic.run) else { return };
        topics.retain(|topic| topic.has_subscribers());
        if topics.is_empty() {
            runs.remove(&self.topic.run);
            self.hub.followed.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for FollowedLists {
    fn drop(&mut self) {
        let mut lists = self.hub.lists.lock();
        if lists.get(&self.tenant).is_some_and(|changes| changes.receiver_count() == 0) {
            lists.remove(&self.tenant);
            self.hub.followed.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
