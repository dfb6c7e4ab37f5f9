//! The timer queue: when runs that are not in memory must be looked at, because a stopped host left them or their timer
//! ends.
//!
//! The store has all of them, by time. Only those of the next minute are in memory: a sleeping run costs a row and nothing
//! else, and waking it needs no search. Where several nodes share the store, unowned runs are claimed here.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Inner, WorkflowExecutor};
use forge_clock as clock;
use forge_journal::{DEFAULT_TENANT, RunId, TenantId, Timestamp};
use forge_scheduling::FairQueue;
use forge_store::{Due, StoreError};

/// How far ahead the store is asked, in milliseconds.
const AHEAD: u64 = 60_000;

/// Runs that the store is asked for at once. Bounds the queue in memory.
const PAGE: u32 = 10_000;

/// Runs of a tenant that may wait for a permit before more of that tenant are woken.
const BACKLOG: usize = 1_000;

/// How long to wait for a backlog to shrink.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// Fallback polling interval for unowned runs.
const CLAIM_EVERY: Duration = Duration::from_secs(5);

/// How far ahead runs are claimed, in milliseconds: beyond the next poll.
const CLAIM_AHEAD: u64 = 10_000;

/// Runs that are claimed at once: few, so that other nodes claim some, too.
const CLAIM: usize = 256;

/// How long to wait for permits before more runs are claimed.
const CLAIM_PAUSE: Duration = Duration::from_millis(20);

type Timer = (Timestamp, RunId);

/// The timers of the near future.
#[derive(Default)]
pub(super) struct TimerQueue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Runs by their time, with their tenants.
    queue: BTreeMap<Timer, TenantId>,
    /// Runs that are due and held back, because too many runs of their tenant wait for a permit.
    held: FairQueue<TenantId, RunId>,
    /// Every run of this node that is due up to here is in the queue, or was; later ones are in the
    /// store only.
    asked_until: Option<Timer>,
    /// When to look for unowned runs. `None`: now. A step of the clock does not postpone it.
    claim_at: Option<Instant>,
    /// How often the queue was reset.
    resets: u64,
}

/// When the queue has something to do.
struct Next {
    /// The end of the first timer, or when to ask the store for more.
    timer: Timestamp,
    /// The end of a pause, which no step of the clock changes.
    pause: Option<Instant>,
}

impl Next {
    async fn reached(&self) {
        match self.pause {
            // Either of them.
            Some(pause) => {
                let _ = tokio::time::timeout_at(pause, clock::reach(self.timer)).await;
            }
            None => clock::reach(self.timer).await,
        }
    }
}

impl State {
    /// Adds runs. The name of a tenant is in memory once.
    fn extend(&mut self, executor: &WorkflowExecutor, due: Vec<Due>) {
        let tenants = &executor.inner.tenants;
        let mut last: Option<TenantId> = None;
        for Due { at, run, tenant } in due {
            let tenant = match last.take().filter(|last| *last == tenant) {
                Some(last) => last,
                None => Arc::clone(&tenants.account(&tenant).tenant),
            };
            self.queue.insert((at, run), Arc::clone(&tenant));
            last = Some(tenant);
        }
    }
}

impl TimerQueue {
    /// A run has left memory until then, and the store knows.
    pub(super) fn set(&self, at: Timestamp, run: RunId, tenant: &TenantId) {
        let mut state = self.state();
        if state.asked_until.is_some_and(|until| (at, run) <= until) {
            let is_next = state.queue.first_key_value().is_none_or(|(next, _)| (at, run) < *next);
            state.queue.insert((at, run), Arc::clone(tenant));
            drop(state);
            if is_next {
                self.changed.notify_one();
            }
        }
    }

    /// Looks for unowned runs now.
    pub(super) fn claim(&self) {
        self.state().claim_at = None;
        self.changed.notify_one();
    }

    /// Reads all timers again: other nodes may own runs of the queue by now, and runs may be missing.
    pub(super) fn reset(&self) {
        let mut state = self.state();
        let resets = state.resets + 1;
        *state = State { resets, ..State::default() };
        drop(state);
        self.changed.notify_one();
    }

    /// Wakes runs for as long as the executor is there.
    pub(super) async fn run(self: Arc<Self>, inner: Weak<Inner>, shutdown: CancellationToken) {
        while let Some(inner) = inner.upgrade() {
            let executor = WorkflowExecutor { inner, tenant: DEFAULT_TENANT.into() };
            let writer = executor.inner.writer.clone();
            let next = match self.look(&executor).await {
                Ok(()) => {
                    self.wake_due(&executor);
                    self.next(&executor)
                }
                Err(error) => {
                    tracing::debug!(%error, "timers wait for the database");
                    let retry = Instant::now() + executor.inner.limits.store_retry;
                    Next { timer: Timestamp::MAX, pause: Some(retry) }
                }
            };
            // The executor may be dropped while the queue waits.
            drop(executor);
            tokio::select! {
                () = next.reached() => {}
                () = self.changed.notified() => {}
                // A start whose commit failed may be in the database.
                () = writer.recovered() => self.reset(),
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Gives the runs that are due a task, the tenants in turn, unless too many runs of a tenant wait for a permit.
    fn wake_due(&self, executor: &WorkflowExecutor) {
        let inner = &executor.inner;
        let mut held = std::mem::take(&mut self.state().held);
        while let Some((run, tenant)) = self.pop(clock::now()) {
            held.push(&tenant, run);
        }
        let has_room = |tenant: &TenantId| inner.instances.waiting_of(tenant) <= BACKLOG;
        while !inner.shutdown.is_cancelled()
            && let Some((tenant, run)) = held.pop_if(has_room, |_| true)
        {
            executor.spawn(run, &tenant, None, None);
        }
        // After a reset meanwhile, they are tried in vain, which does no harm.
        self.state().held = held;
    }

    /// Asks the store for what is due soon.
    async fn look(&self, executor: &WorkflowExecutor) -> Result<(), StoreError> {
        let now = clock::now();
        if executor.inner.store.nodes().is_some() && self.state().claim_at <= Some(Instant::now()) {
            self.claim_some(executor, now).await?;
        }
        self.refill(executor, now).await
    }

    /// Claims unowned runs, as many as there is room for.
    async fn claim_some(&self, executor: &WorkflowExecutor, now: Timestamp) -> Result<(), StoreError> {
        let inner = &executor.inner;
        self.state().claim_at = Some(Instant::now() + CLAIM_EVERY);
        let room = inner.instances.room().min(CLAIM);
        if room == 0 {
            self.state().claim_at = Some(Instant::now() + CLAIM_PAUSE);
            return Ok(());
        }
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let (resets, epoch) = (self.state().resets, inner.store.epoch());
        let claimed = match inner.store.claim(epoch, now.plus(CLAIM_AHEAD), limit).await {
            // There is another epoch, or will be: the queue is reset then.
            Err(StoreError::Fenced) => return Ok(()),
            claimed => claimed?,
        };
        if !claimed.is_empty() {
            tracing::info!(runs = claimed.len(), "this node claimed unowned runs");
        }
        let mut state = self.state();
        if state.resets != resets {
            return Ok(());
        }
        if claimed.len() >= room {
            state.claim_at = Some(Instant::now() + CLAIM_PAUSE);
        }
        state.extend(executor, claimed);
        Ok(())
    }

    /// Asks the store for this node's timers up to a minute from now.
    async fn refill(&self, executor: &WorkflowExecutor, now: Timestamp) -> Result<(), StoreError> {
        let store = &executor.inner.store;
        let end = (now.plus(AHEAD), RunId::MAX);
        let (after, resets) = {
            let mut state = self.state();
            let after = state.asked_until;
            let late = after.is_none_or(|(until, _)| until < now.plus(AHEAD / 2));
            if !late || state.queue.len() >= PAGE as usize {
                return Ok(());
            }
            // From here on, a run that leaves memory until then is put into the queue; one that left before is in the
            // store already.
            state.asked_until = Some(end);
            (after, state.resets)
        };
        let page = store.due(store.epoch(), after, end.0, PAGE).await;
        let mut state = self.state();
        if state.resets != resets {
            return Ok(());
        }
        match page {
            Ok(page) => {
                if page.len() == PAGE as usize {
                    // There are more. Runs that were put into the queue meanwhile may stay there.
                    state.asked_until = page.last().map(|due| (due.at, due.run));
                }
                state.extend(executor, page);
                Ok(())
            }
            Err(error) => {
                state.asked_until = after;
                Err(error)
            }
        }
    }

    /// When there is something to do.
    fn next(&self, executor: &WorkflowExecutor) -> Next {
        let state = self.state();
        let mut timer = state.queue.first_key_value().map_or(Timestamp::MAX, |((at, _), _)| *at);
        if state.queue.len() < PAGE as usize {
            let refill = |(until, _): Timer| Timestamp(until.0.saturating_sub_unsigned(AHEAD / 2));
            timer = timer.min(state.asked_until.map_or(Timestamp::NOW, refill));
        }
        let now = Instant::now();
        let backlog = (!state.held.is_empty()).then(|| now + BACKLOG_PAUSE);
        let claim = executor.inner.store.nodes().map(|_| state.claim_at.unwrap_or(now));
        Next { timer, pause: [backlog, claim].into_iter().flatten().min() }
    }

    fn pop(&self, now: Timestamp) -> Option<(RunId, TenantId)> {
        let mut state = self.state();
        state.queue.first_key_value().filter(|((at, _), _)| *at <= now)?;
        state.queue.pop_first().map(|((_, run), tenant)| (run, tenant))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
