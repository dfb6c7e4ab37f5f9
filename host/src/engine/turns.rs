//! Whose guests compute now, when several tenants want to.
//!
//! Guests are polled by the threads that do everything else, too. While one tenant is alone, it may use all of them.
//! While there are several, those that compute a lot take turns on all threads but one, which is left to those that
//! compute little: their runs do not wait behind somebody else's loop.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::tenants::Account;

/// For how long after its last sign of life another tenant counts as being there, in microseconds.
const COMPANY_US: u64 = 1_000_000;

/// Turns of guests that compute a lot.
pub struct Turns {
    began: Instant,
    /// The tenant that came last, by the address of its account.
    last: AtomicUsize,
    /// Until when there is more than one tenant, in microseconds since `began`.
    company_until: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Turns that nobody has.
    free: usize,
    /// Who waits, by tenant. Never empty queues.
    waiting: BTreeMap<Arc<str>, VecDeque<oneshot::Sender<Turn>>>,
    /// The tenants of `waiting`, in the order of their turns.
    order: VecDeque<Arc<str>>,
}

/// The right to compute, until it is dropped.
pub struct Turn(Arc<Turns>);

impl Turns {
    /// For a host with so many threads.
    pub fn new(threads: usize) -> Arc<Self> {
        let free = threads.saturating_sub(1).max(1);
        let state = State { free, waiting: BTreeMap::new(), order: VecDeque::new() };
        Arc::new(Self {
            began: Instant::now(),
            last: AtomicUsize::new(0),
            company_until: AtomicU64::new(0),
            state: Mutex::new(state),
        })
    }

    /// A guest of this tenant is about to compute. `None`: it needs no turn.
    pub async fn enter(self: &Arc<Self>, account: &Arc<Account>) -> Option<Turn> {
        if !self.is_shared(account) || !account.is_busy() {
            return None;
        }
        let turn = self.queue_up(&account.tenant);
        turn.await.ok()
    }

    /// Whether other tenants are there.
    fn is_shared(&self, account: &Arc<Account>) -> bool {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let this = Arc::as_ptr(account).addr();
        let before = self.last.swap(this, Ordering::Relaxed);
        if before != this && before != 0 {
            self.company_until.store(now.saturating_add(COMPANY_US), Ordering::Relaxed);
        }
        now < self.company_until.load(Ordering::Relaxed)
    }

    fn queue_up(self: &Arc<Self>, tenant: &Arc<str>) -> oneshot::Receiver<Turn> {
        let (sender, turn) = oneshot::channel();
        let mut state = self.state();
        match state.waiting.get_mut(tenant) {
            Some(queue) => queue.push_back(sender),
            None => {
                state.waiting.insert(Arc::clone(tenant), VecDeque::from([sender]));
                state.order.push_back(Arc::clone(tenant));
            }
        }
        let granted = state.grant();
        drop(state);
        self.give(granted);
        turn
    }

    /// Turns for those who wait. Whoever is gone gives its turn back at once.
    fn give(self: &Arc<Self>, granted: Vec<oneshot::Sender<Turn>>) {
        for sender in granted {
            let _ = sender.send(Turn(Arc::clone(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn grant(&mut self) -> Vec<oneshot::Sender<Turn>> {
        let mut granted = Vec::new();
        while self.free > 0
            && let Some(tenant) = self.order.pop_front()
        {
            let Some(queue) = self.waiting.get_mut(&tenant) else { continue };
            if let Some(sender) = queue.pop_front().filter(|sender| !sender.is_closed()) {
                self.free -= 1;
                granted.push(sender);
            }
            if queue.is_empty() {
                self.waiting.remove(&tenant);
            } else {
                self.order.push_back(tenant);
            }
        }
        granted
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.free += 1;
        let granted = state.grant();
        drop(state);
        self.0.give(granted);
    }
}

/// Polls a guest, and counts the time for which it keeps the thread.
pub(super) async fn measured<T>(account: &Account, guest: impl Future<Output = T>) -> T {
    let mut guest = std::pin::pin!(guest);
    std::future::poll_fn(|context| {
        let began = Instant::now();
        let polled = guest.as_mut().poll(context);
        account.computed_for(began.elapsed());
        polled
    })
    .await
}

/// How much a tenant computes: a bucket that runs empty at a constant rate.
#[derive(Debug)]
pub struct Load {
    level: Duration,
    at: Instant,
}

impl Default for Load {
    fn default() -> Self {
        Self { level: Duration::ZERO, at: Instant::now() }
    }
}

impl Load {
    /// The part of one thread that a tenant may use without taking turns: one of this many.
    const SHARE: u32 = 8;

    /// What it may use at once beyond that.
    const BURST: Duration = Duration::from_millis(20);

    /// The most that is remembered: who has computed for long is a light one again soon after.
    const MOST: Duration = Duration::from_millis(100);

    /// It has computed for so long.
    pub fn add(&mut self, time: Duration) {
        self.level = (self.level() + time).min(Self::MOST);
        self.at = Instant::now();
    }

    /// Whether it computes a lot.
    pub fn is_busy(&self) -> bool {
        self.level() > Self::BURST
    }

    fn level(&self) -> Duration {
        self.level.saturating_sub(self.at.elapsed() / Self::SHARE)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn account(name: &str, computed_ms: u64) -> Arc<Account> {
        let account = Arc::new(Account::new(name.into()));
        account.computed_for(Duration::from_millis(computed_ms));
        account
    }

    #[test]
    fn who_is_alone_or_computes_little_needs_no_turn() {
        let turns = Turns::new(2);
        let (much, little) = (account("much", 90), account("little", 1));
        for _ in 0..3 {
            assert!(turns.enter(&much).now_or_never().unwrap().is_none(), "it is alone");
        }
        assert!(turns.enter(&little).now_or_never().unwrap().is_none());
        let turn = turns.enter(&much).now_or_never().unwrap();
        assert!(turn.is_some(), "there are two now");
        assert!(turns.enter(&little).now_or_never().unwrap().is_none(), "it does not wait for the other");
        assert!(turns.enter(&much).now_or_never().is_none(), "one thread is left to others");
    }

    #[test]
    fn those_that_compute_a_lot_take_turns_by_tenant() {
        let turns = Turns::new(2);
        let (one, other) = (account("one", 90), account("other", 90));
        let _ = turns.enter(&one).now_or_never();
        let first = turns.enter(&other).now_or_never().unwrap().expect("a turn is free");
        let mut queued: Vec<_> = (0..3).map(|_| Box::pin(turns.enter(&one))).collect();
        for waiting in &mut queued {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let mut late = Box::pin(turns.enter(&other));
        assert!(late.as_mut().now_or_never().is_none());
        drop(first);
        let second = queued[0].as_mut().now_or_never().flatten().expect("who came first");
        drop(second);
        assert!(late.now_or_never().flatten().is_some(), "then the other tenant");
    }

    #[test]
    fn who_stops_computing_is_a_light_one_again() {
        let mut load = Load::default();
        load.add(Duration::from_secs(10));
        assert!(load.is_busy());
        load.at -= Load::MOST * Load::SHARE;
        assert!(!load.is_busy());
    }
}
