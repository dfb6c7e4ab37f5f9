//! Several nodes with one store: a client of one node follows a run that another executes.
//!
//! A node tells all others which runs its clients follow, and again every [`ANNOUNCE`]. A node that changes one of them tells
//! all others, which read it. Notifications can be lost, and a node can die between a commit and its notification: each run
//! that is followed is also read now and then.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use forge_journal::{DEFAULT_TENANT, RunId};
use forge_store::{Changed, MOST_NOTIFIED, Notification};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::topic::Mark;
use crate::executor::{Inner, WorkflowExecutor};

/// The interval at which a node repeats what its clients follow.
const ANNOUNCE: Duration = Duration::from_secs(30);

/// The time for which another node is told of the changes of a run. Two announcements may be lost.
const FOLLOWED: Duration = Duration::from_secs(100);

/// The time between two notifications of changes. The first change after a pause is told at once.
const INTERVAL: Duration = Duration::from_millis(50);

/// The time between two reads of runs that may have changed without a notification: a hundred runs each second.
const POLL: Duration = Duration::from_millis(10);

/// What other nodes are told and tell.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// The runs that clients of other nodes follow, each with the time of the last announcement.
    followed: Mutex<HashMap<RunId, Instant>>,
    /// What other nodes are to be told.
    untold: Mutex<Untold>,
    wake: Notify,
}

#[derive(Default)]
struct Untold {
    /// The runs that clients of this node have begun to follow.
    followed: Vec<RunId>,
    /// The runs that this node has changed.
    changed: HashMap<RunId, Changed>,
}

impl Elsewhere {
    /// Tells other nodes that a client of this node follows a run.
    pub(super) fn follow(&self, run: RunId) {
        self.untold.lock().followed.push(run);
        self.wake.notify_one();
    }

    /// Returns whether clients of other nodes follow no runs.
    pub(super) fn is_idle(&self) -> bool {
        self.followed.lock().is_empty()
    }

    /// Tells other nodes of a change, if clients there follow the run.
    pub(super) fn changed(&self, run: RunId, mark: Mark) {
        let Some(changed) = mark.journal else { return };
        if !self.followed.lock().contains_key(&run) {
            return;
        }
        let mut untold = self.untold.lock();
        let all = untold.changed.entry(run).or_insert(changed);
        *all = all.and(changed);
        drop(untold);
        self.wake.notify_one();
    }

    /// Returns those of these runs that no client of another node has followed before.
    fn followed(&self, runs: Vec<RunId>) -> Vec<RunId> {
        let mut followed = self.followed.lock();
        let now = Instant::now();
        runs.into_iter().filter(|run| followed.insert(*run, now).is_none()).collect()
    }

    fn forget(&self) {
        self.followed.lock().retain(|_, announced| announced.elapsed() < FOLLOWED);
    }
}

impl WorkflowExecutor {
    /// Clients of another node follow these runs.
    pub(in crate::executor) fn followed_elsewhere(&self, runs: Vec<RunId>) {
        let elsewhere = &self.inner.live.elsewhere;
        for run in elsewhere.followed(runs) {
            // It may have changed after that node has read it, and before this one knew.
            if self.inner.runs().contains_key(&run) {
                elsewhere.changed(run, Mark::MAYBE);
            }
        }
    }

    /// Another node has changed these runs.
    pub(in crate::executor) fn changed_elsewhere(&self, runs: Vec<(RunId, Changed)>) {
        for (run, changed) in runs {
            self.changed(run, Mark { journal: Some(changed), inbox: false });
        }
    }

    /// Reads all runs that clients follow, one after the other: notifications may have been lost.
    pub(in crate::executor) async fn read_followed(&self) {
        for run in self.inner.live.followed() {
            self.changed(run, Mark::MAYBE);
            sleep(POLL).await;
        }
    }
}

/// Tells other nodes what they are to be told, as long as the executor is there.
pub(in crate::executor) async fn tell(inner: Weak<Inner>, hub: Arc<Hub>, shutdown: CancellationToken) {
    let mut next_round = Instant::now() + ANNOUNCE;
    loop {
        let is_round = tokio::select! {
            () = hub.elsewhere.wake.notified() => false,
            () = tokio::time::sleep_until(next_round) => true,
            () = shutdown.cancelled() => return,
        };
        let Some(inner) = inner.upgrade() else { return };
        if is_round {
            next_round = Instant::now() + ANNOUNCE;
            hub.elsewhere.forget();
            hub.elsewhere.untold.lock().followed = hub.followed();
            let executor = WorkflowExecutor { inner: Arc::clone(&inner), tenant: DEFAULT_TENANT.into() };
            inner.tasks.spawn(async move { executor.read_followed().await });
        }
        let Untold { followed, changed } = std::mem::take(&mut *hub.elsewhere.untold.lock());
        let changed: Vec<_> = changed.into_iter().collect();
        let followed = followed.chunks(MOST_NOTIFIED).map(|runs| Notification::Watched(runs.to_vec()));
        let changed = changed.chunks(MOST_NOTIFIED).map(|runs| Notification::Changed(runs.to_vec()));
        for notification in followed.chain(changed) {
            let Some(nodes) = inner.store.nodes() else { return };
            if let Err(error) = nodes.notify(notification).await {
                // The runs are read now and then.
                tracing::debug!(%error, "other nodes cannot be told which runs are followed or have changed");
            }
        }
        drop(inner);
        sleep(INTERVAL).await;
    }
}
