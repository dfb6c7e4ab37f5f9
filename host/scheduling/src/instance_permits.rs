//! Permits for instances in memory.
//!
//! Each run needs a permit while it has an instance. Waiting runs get permits by tenant in turn, and no tenant holds more
//! permits than its limit. When no permit is free, the run that has been evictable for longest is asked to leave memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::FairQueue;

/// The instance permits of a host. The executor takes one before it instantiates a run.
pub struct InstancePermits<K: Ord + Clone> {
    state: Mutex<State<K>>,
}

struct State<K: Ord + Clone> {
    free: u32,
    /// The runs that can leave memory, in the order in which they became evictable.
    evictable: BTreeMap<u64, (K, Arc<Notify>)>,
    next_ticket: u64,
    tenants: BTreeMap<K, Account>,
    waiting: FairQueue<K, oneshot::Sender<InstancePermit<K>>>,
    /// The number of runs that wait for a permit.
    waiting_runs: usize,
}

/// The permits of one tenant.
struct Account {
    held: u32,
    limit: u32,
    /// The number of runs that wait. The queue may also have runs that gave up.
    waiting: usize,
}

impl Default for Account {
    fn default() -> Self {
        Self { held: 0, limit: u32::MAX, waiting: 0 }
    }
}

impl Account {
    fn has_room(&self) -> bool {
        self.held < self.limit
    }
}

/// The permit of a run to have an instance in memory, until it is dropped.
pub struct InstancePermit<K: Ord + Clone> {
    permits: Arc<InstancePermits<K>>,
    tenant: K,
}

impl<K: Ord + Clone> InstancePermits<K> {
    /// Creates this many permits.
    pub fn new(count: u32) -> Arc<Self> {
        let state = State {
            free: count,
            evictable: BTreeMap::new(),
            next_ticket: 0,
            tenants: BTreeMap::new(),
            waiting: FairQueue::default(),
            waiting_runs: 0,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Sets how many permits a tenant may hold at once. Permits that it holds stay valid.
    pub fn set_limit(self: &Arc<Self>, tenant: &K, limit: u32) {
        self.state.lock().account(tenant).limit = limit;
        self.grant();
    }

    /// Takes a permit if one is free and no run waits for it.
    pub fn try_acquire(self: &Arc<Self>, tenant: &K) -> Option<InstancePermit<K>> {
        let mut state = self.state.lock();
        if state.free == 0 || state.next_in_turn().is_some() || !state.account(tenant).has_room() {
            return None;
        }
        Some(self.take(&mut state, tenant))
    }

    /// Waits for a permit. The runs of one tenant get theirs in the order of their calls.
    pub async fn acquire(self: &Arc<Self>, tenant: &K) -> Option<InstancePermit<K>> {
        let permit = self.queue_up(tenant);
        let _waiting = Waiting { permits: self, tenant };
        permit.await.ok()
    }

    fn queue_up(self: &Arc<Self>, tenant: &K) -> oneshot::Receiver<InstancePermit<K>> {
        let (sender, permit) = oneshot::channel();
        let mut state = self.state.lock();
        state.account(tenant).waiting += 1;
        state.waiting_runs += 1;
        state.waiting.push(tenant, sender);
        state.evict_one_for(tenant);
        drop(state);
        self.grant();
        permit
    }

    /// Returns the number of runs that wait for a permit.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting_runs
    }

    /// Returns the number of runs of one tenant that wait.
    pub fn waiting_of(&self, tenant: &K) -> usize {
        self.state.lock().tenants.get(tenant).map_or(0, |account| account.waiting)
    }

    /// Returns whether a run of this tenant that begins now has to wait.
    pub fn is_crowded(&self, tenant: &K) -> bool {
        let state = self.state.lock();
        let own = state.tenants.get(tenant).is_some_and(|account| account.waiting > 0);
        own || (state.free == 0 && state.waiting_runs > 0)
    }

    /// Returns how many further runs can get a permit: the free permits, and those of evictable runs. Zero while a run
    /// waits and no permit is free.
    pub fn room(&self) -> usize {
        let state = self.state.lock();
        if state.free == 0 && state.waiting_runs > 0 {
            0
        } else {
            state.free as usize + state.evictable.len()
        }
    }

    /// Declares that the caller's run can leave memory, for as long as the returned value lives.
    pub fn evictable(self: &Arc<Self>, tenant: &K) -> Evictable<K> {
        let mut state = self.state.lock();
        let (ticket, asked) = (state.next_ticket, Arc::new(Notify::new()));
        state.next_ticket += 1;
        if state.is_needed(tenant) {
            asked.notify_one();
        } else {
            state.evictable.insert(ticket, (tenant.clone(), Arc::clone(&asked)));
        }
        drop(state);
        Evictable { permits: Arc::clone(self), tenant: tenant.clone(), ticket, asked, leaves: false }
    }

    fn take(self: &Arc<Self>, state: &mut State<K>, tenant: &K) -> InstancePermit<K> {
        state.free -= 1;
        state.account(tenant).held += 1;
        InstancePermit { permits: Arc::clone(self), tenant: tenant.clone() }
    }

    /// Gives free permits to waiting runs, by tenant in turn. They are sent without the lock, because a run that is gone
    /// drops its permit at once.
    fn grant(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            if state.free == 0 {
                return;
            }
            let State { waiting, tenants, .. } = &mut *state;
            let has_room = |tenant: &K| tenants.get(tenant).is_none_or(Account::has_room);
            let Some((tenant, sender)) = waiting.pop_if(has_room, |sender| !sender.is_closed()) else {
                return;
            };
            let permit = self.take(&mut state, &tenant);
            drop(state);
            let _ = sender.send(permit);
        }
    }
}

impl<K: Ord + Clone> State<K> {
    fn account(&mut self, tenant: &K) -> &mut Account {
        self.tenants.entry(tenant.clone()).or_default()
    }

    /// Returns the first tenant in turn that waits and may hold one more permit.
    fn next_in_turn(&self) -> Option<&K> {
        let is_eligible = |tenant: &&K| {
            self.tenants.get(tenant).is_some_and(|account| account.waiting > 0 && account.has_room())
        };
        self.waiting.tenants().find(is_eligible)
    }

    /// Returns whether a permit that a run of this tenant returns would go to a waiting run.
    fn is_needed(&self, tenant: &K) -> bool {
        let own = self.tenants.get(tenant).is_some_and(|account| account.waiting > 0 && account.limit > 0);
        own || (self.free == 0 && self.next_in_turn().is_some())
    }

    /// Asks the run that has been evictable for longest, and whose permit this tenant may use, to leave memory.
    fn evict_one_for(&mut self, tenant: &K) {
        let has_room = self.tenants.get(tenant).is_none_or(Account::has_room);
        if has_room && self.free > 0 {
            return;
        }
        let suits = |of: &K| has_room || of == tenant;
        let oldest = self.evictable.iter().find(|(_, (of, _))| suits(of)).map(|(ticket, _)| *ticket);
        if let Some((_, asked)) = oldest.and_then(|ticket| self.evictable.remove(&ticket)) {
            asked.notify_one();
        }
    }
}

impl<K: Ord + Clone> Drop for InstancePermit<K> {
    fn drop(&mut self) {
        let mut state = self.permits.state.lock();
        state.free += 1;
        let account = state.account(&self.tenant);
        account.held = account.held.saturating_sub(1);
        drop(state);
        self.permits.grant();
    }
}

/// A run that waits for a permit, until it is dropped.
struct Waiting<'p, K: Ord + Clone> {
    permits: &'p InstancePermits<K>,
    tenant: &'p K,
}

impl<K: Ord + Clone> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        let mut state = self.permits.state.lock();
        state.waiting_runs -= 1;
        let account = state.account(self.tenant);
        account.waiting = account.waiting.saturating_sub(1);
    }
}

/// A run that can leave memory.
pub struct Evictable<K: Ord + Clone> {
    permits: Arc<InstancePermits<K>>,
    tenant: K,
    ticket: u64,
    asked: Arc<Notify>,
    leaves: bool,
}

impl<K: Ord + Clone> Evictable<K> {
    /// Completes when a waiting run needs the permit: the caller's run must then leave.
    pub async fn asked_to_leave(&mut self) {
        self.asked.notified().await;
        self.leaves = true;
    }
}

impl<K: Ord + Clone> Drop for Evictable<K> {
    fn drop(&mut self) {
        let mut state = self.permits.state.lock();
        let was_asked = state.evictable.remove(&self.ticket).is_none();
        // The run was asked and stays, because its timer ended at the same time: another run is asked.
        if was_asked && !self.leaves && state.is_needed(&self.tenant) {
            let tenant = state.next_in_turn().cloned().unwrap_or_else(|| self.tenant.clone());
            state.evict_one_for(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_longest_evictable_run_is_asked_first_and_only_when_a_run_waits() {
        let (permits, me) = (InstancePermits::new(1), "me");
        let taken = permits.try_acquire(&me).expect("a permit is free");
        let (mut first, mut second) = (permits.evictable(&me), permits.evictable(&me));
        assert!(first.asked_to_leave().now_or_never().is_none());
        let mut waiting = Box::pin(permits.acquire(&me));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(second.asked_to_leave().now_or_never().is_none());
        assert!(first.asked_to_leave().now_or_never().is_some());
        assert!(
            permits.evictable(&me).asked_to_leave().now_or_never().is_some(),
            "a run that becomes evictable now leaves at once"
        );
        drop((first, taken));
        assert!(waiting.now_or_never().flatten().is_some());
        assert_eq!((permits.waiting(), permits.waiting_of(&"me")), (0, 0));
    }

    #[test]
    fn when_the_run_that_was_asked_stays_the_next_is_asked() {
        let (permits, me) = (InstancePermits::new(0), "me");
        let (first, mut second) = (permits.evictable(&me), permits.evictable(&me));
        let mut waiting = Box::pin(permits.acquire(&me));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.asked_to_leave().now_or_never().is_some());
    }

    #[test]
    fn tenants_get_permits_in_turn_however_many_runs_of_one_wait() {
        let (permits, many, few) = (InstancePermits::new(1), "many", "few");
        let taken = permits.try_acquire(&many).unwrap();
        let mut queued: Vec<_> = (0..5).map(|_| Box::pin(permits.acquire(&many))).collect();
        for waiting in &mut queued {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let mut late = Box::pin(permits.acquire(&few));
        assert!(late.as_mut().now_or_never().is_none());
        drop(taken);
        let first = queued[0].as_mut().now_or_never().flatten().expect("the first that waits");
        drop(first);
        assert!(
            late.now_or_never().flatten().is_some(),
            "then the other tenant, before four that came earlier"
        );
    }

    #[test]
    fn a_tenant_holds_no_more_permits_than_its_limit_and_the_rest_is_for_others() {
        let (permits, one, other) = (InstancePermits::new(3), "one", "other");
        permits.set_limit(&one, 1);
        let _mine = permits.try_acquire(&one).unwrap();
        assert!(permits.try_acquire(&one).is_none());
        let mut waiting = Box::pin(permits.acquire(&one));
        assert!(waiting.as_mut().now_or_never().is_none());
        let theirs = permits.try_acquire(&other).expect("no waiting run could have it");
        assert!(
            permits.evictable(&other).asked_to_leave().now_or_never().is_none(),
            "its permit would help no run"
        );
        assert!(permits.evictable(&one).asked_to_leave().now_or_never().is_some());
        permits.set_limit(&one, 2);
        assert!(waiting.now_or_never().flatten().is_some());
        drop(theirs);
        permits.set_limit(&one, 0);
        assert!(permits.try_acquire(&one).is_none(), "a suspended tenant has none");
    }

    #[test]
    fn a_permit_whose_waiting_run_is_gone_is_free() {
        let (permits, me) = (InstancePermits::new(1), "me");
        let taken = permits.try_acquire(&me).unwrap();
        let mut gone = Box::pin(permits.acquire(&me));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut granted = Box::pin(permits.acquire(&me));
        assert!(granted.as_mut().now_or_never().is_none());
        drop(gone);
        drop(taken);
        drop(granted);
        assert!(permits.try_acquire(&me).is_some());
    }
}
