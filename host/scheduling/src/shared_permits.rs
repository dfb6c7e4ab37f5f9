//! Permits for a resource of the host that no tenant may have alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::FairQueue;

/// The permits for a resource of a host: reads of the database, or threads that search answers. A tenant may hold half of
/// them, so that its slow work leaves room for others, and tenants that wait take turns.
pub struct SharedPermits<K: Ord + Clone> {
    /// The most permits that a tenant holds.
    per_tenant: usize,
    state: Mutex<State<K>>,
}

struct State<K: Ord + Clone> {
    free: usize,
    /// The permits that each tenant holds; none is 0.
    held: BTreeMap<K, usize>,
    waiting: FairQueue<K, oneshot::Sender<SharedPermit<K>>>,
}

/// A permit of a tenant, until it is dropped.
pub struct SharedPermit<K: Ord + Clone> {
    permits: Arc<SharedPermits<K>>,
    tenant: K,
}

impl<K: Ord + Clone> SharedPermits<K> {
    /// Creates this number of permits; at least one.
    pub fn new(permits: usize) -> Arc<Self> {
        let free = permits.max(1);
        let state = State { free, held: BTreeMap::new(), waiting: FairQueue::default() };
        Arc::new(Self { per_tenant: free.div_ceil(2), state: Mutex::new(state) })
    }

    /// Waits for a permit of the tenant.
    pub async fn acquire(self: &Arc<Self>, tenant: &K) -> SharedPermit<K> {
        loop {
            let (sender, permit) = oneshot::channel();
            self.state.lock().waiting.push(tenant, sender);
            self.grant();
            // The sender is dropped only after it has sent.
            if let Ok(permit) = permit.await {
                return permit;
            }
        }
    }

    /// Gives free permits to those that wait. They are sent without the lock, because a receiver that is gone drops its permit
    /// at once.
    fn grant(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            let State { free, held, waiting } = &mut *state;
            if *free == 0 {
                return;
            }
            let may_have = |tenant: &K| held.get(tenant).is_none_or(|held| *held < self.per_tenant);
            let Some((tenant, sender)) = waiting.pop_if(may_have, |sender| !sender.is_closed()) else {
                return;
            };
            *free -= 1;
            *held.entry(tenant.clone()).or_default() += 1;
            drop(state);
            let _ = sender.send(SharedPermit { permits: Arc::clone(self), tenant });
        }
    }
}

impl<K: Ord + Clone> Drop for SharedPermit<K> {
    fn drop(&mut self) {
        let mut state = self.permits.state.lock();
        state.free += 1;
        if let Some(held) = state.held.get_mut(&self.tenant) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.tenant);
            }
        }
        drop(state);
        self.permits.grant();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_tenant_holds_at_most_half_of_the_permits() {
        let permits = SharedPermits::new(4);
        let mut many: Vec<_> = (0..5).map(|_| Box::pin(permits.acquire(&"many"))).collect();
        let granted: Vec<_> = many.iter_mut().map(|permit| permit.as_mut().now_or_never()).collect();
        let is_granted: Vec<bool> = granted.iter().map(Option::is_some).collect();
        assert_eq!(is_granted, [true, true, false, false, false]);
        let few = permits.acquire(&"few").now_or_never();
        assert!(few.is_some(), "another tenant does not wait");
        drop(few);
        assert!(many[2].as_mut().now_or_never().is_none());
        drop(granted);
        assert!(many[2].as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_permit_that_nobody_waits_for_is_not_taken() {
        let permits = SharedPermits::new(1);
        let held = permits.acquire(&"a").now_or_never().unwrap();
        let mut gone = Box::pin(permits.acquire(&"a"));
        let mut next = Box::pin(permits.acquire(&"a"));
        assert!(gone.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!(next.now_or_never().is_some());
    }
}
