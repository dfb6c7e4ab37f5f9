//! Places for instances in memory.
//!
//! Tenants take turns: who waits for a place gets it after those of other tenants that have waited for fewer turns, and
//! no tenant has more places than it may.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// A bounded number of places. When all are taken, the run that has waited for time for longest
/// gives up its place: it comes back by replay.
pub struct Slots {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: u32,
    /// Runs that can leave, in the order in which they began to wait.
    parked: BTreeMap<u64, (Arc<str>, Arc<Notify>)>,
    next: u64,
    tenants: BTreeMap<Arc<str>, Queue>,
    /// Tenants that may have somebody who waits, in the order in which they get a place.
    turns: VecDeque<Arc<str>>,
    /// Runs that wait for a place.
    waiting: usize,
}

/// The places of one tenant.
struct Queue {
    held: u32,
    most: u32,
    waiting: VecDeque<oneshot::Sender<Slot>>,
    /// Those in `waiting` that still wait.
    count: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self { held: 0, most: u32::MAX, waiting: VecDeque::new(), count: 0 }
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.held < self.most
    }
}

/// A place in memory, until it is dropped.
pub struct Slot {
    slots: Arc<Slots>,
    tenant: Arc<str>,
}

impl Slots {
    /// As many places.
    pub fn new(count: u32) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: count, ..State::default() }) })
    }

    /// How many places a tenant may have at once from now on. Those that it has stay.
    pub fn set_limit(self: &Arc<Self>, tenant: &Arc<str>, most: u32) {
        let mut state = self.state();
        state.queue(tenant).most = most;
        let granted = state.grant(self);
        drop(state);
        granted.into_iter().for_each(Granted::send);
    }

    /// A place, if one is free and nobody waits for it.
    pub fn try_acquire(self: &Arc<Self>, tenant: &Arc<str>) -> Option<Slot> {
        let mut state = self.state();
        let others_wait = state.turns.iter().any(|waiting| state.is_eligible(waiting));
        if state.free == 0 || others_wait || !state.queue(tenant).has_room() {
            return None;
        }
        Some(state.take(self, tenant))
    }

    /// A place, as soon as there is one. Who came first of a tenant gets it first.
    pub async fn acquire(self: &Arc<Self>, tenant: &Arc<str>) -> Option<Slot> {
        let place = self.queue_up(tenant);
        let _waiting = Waiting { slots: self, tenant };
        place.await.ok()
    }

    fn queue_up(self: &Arc<Self>, tenant: &Arc<str>) -> oneshot::Receiver<Slot> {
        let (sender, place) = oneshot::channel();
        let mut state = self.state();
        let queue = state.queue(tenant);
        queue.waiting.push_back(sender);
        queue.count += 1;
        state.waiting += 1;
        if !state.turns.contains(tenant) {
            state.turns.push_back(Arc::clone(tenant));
        }
        state.ask_one_for(tenant);
        let granted = state.grant(self);
        drop(state);
        granted.into_iter().for_each(Granted::send);
        place
    }

    /// Runs that wait for a place.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Those of one tenant.
    pub fn waiting_of(&self, tenant: &str) -> usize {
        self.state().tenants.get(tenant).map_or(0, |queue| queue.count)
    }

    /// Whether a run of this tenant that begins now has to wait.
    pub fn is_crowded(&self, tenant: &str) -> bool {
        let state = self.state();
        let own = state.tenants.get(tenant).is_some_and(|queue| queue.count > 0);
        own || (state.free == 0 && state.waiting > 0)
    }

    /// Places for further runs: those that are free, and some that parked runs can make. None while anybody
    /// waits for one that is not free.
    pub fn room(&self) -> usize {
        let state = self.state();
        if state.free == 0 && state.waiting > 0 { 0 } else { state.free as usize + state.parked.len() }
    }

    /// Says that the caller's run could leave its place, for as long as the answer is kept.
    pub fn park(self: &Arc<Self>, tenant: &Arc<str>) -> Parked {
        let mut state = self.state();
        let (ticket, asked) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        if state.is_needed(tenant) {
            asked.notify_one();
        } else {
            state.parked.insert(ticket, (Arc::clone(tenant), Arc::clone(&asked)));
        }
        drop(state);
        Parked { slots: Arc::clone(self), tenant: Arc::clone(tenant), ticket, asked, leaves: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for somebody who waited. Sent when the state is not locked: who is gone gives it back at once.
struct Granted(oneshot::Sender<Slot>, Slot);

impl Granted {
    fn send(self) {
        // If nobody waits any more, dropping the place frees it.
        let _ = self.0.send(self.1);
    }
}

impl State {
    fn queue(&mut self, tenant: &Arc<str>) -> &mut Queue {
        self.tenants.entry(Arc::clone(tenant)).or_default()
    }

    /// Somebody of this tenant waits and may have a place.
    fn is_eligible(&self, tenant: &str) -> bool {
        self.tenants.get(tenant).is_some_and(|queue| queue.count > 0 && queue.has_room())
    }

    /// Whether a place that a run of this tenant gives up would go to somebody.
    fn is_needed(&self, tenant: &str) -> bool {
        let own = self.tenants.get(tenant).is_some_and(|queue| queue.count > 0 && queue.most > 0);
        own || (self.free == 0 && self.turns.iter().any(|waiting| self.is_eligible(waiting)))
    }

    fn take(&mut self, slots: &Arc<Slots>, tenant: &Arc<str>) -> Slot {
        self.free -= 1;
        self.queue(tenant).held += 1;
        Slot { slots: Arc::clone(slots), tenant: Arc::clone(tenant) }
    }

    /// Gives free places to those who wait, the tenants in turn.
    fn grant(&mut self, slots: &Arc<Slots>) -> Vec<Granted> {
        let mut granted = Vec::new();
        let mut passed = 0;
        while self.free > 0
            && passed < self.turns.len()
            && let Some(tenant) = self.turns.pop_front()
        {
            let queue = self.queue(&tenant);
            let next = if queue.has_room() { queue.waiting.pop_front() } else { None };
            match next {
                Some(sender) if sender.is_closed() => self.turns.push_front(tenant),
                Some(sender) => {
                    let slot = self.take(slots, &tenant);
                    granted.push(Granted(sender, slot));
                    self.turns.push_back(tenant);
                    passed = 0;
                }
                None if queue.waiting.is_empty() => {}
                None => {
                    self.turns.push_back(tenant);
                    passed += 1;
                }
            }
        }
        granted
    }

    /// Asks the run to leave that has been parked for longest and whose place somebody of this tenant could have.
    fn ask_one_for(&mut self, tenant: &str) {
        let has_room = self.tenants.get(tenant).is_none_or(Queue::has_room);
        if has_room && self.free > 0 {
            return;
        }
        let suits = |of: &Arc<str>| has_room || **of == *tenant;
        let oldest = self.parked.iter().find(|(_, (of, _))| suits(of)).map(|(ticket, _)| *ticket);
        if let Some((_, asked)) = oldest.and_then(|ticket| self.parked.remove(&ticket)) {
            asked.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.free += 1;
        let queue = state.queue(&self.tenant);
        queue.held = queue.held.saturating_sub(1);
        let granted = state.grant(&self.slots);
        drop(state);
        granted.into_iter().for_each(Granted::send);
    }
}

/// Somebody who waits for a place.
struct Waiting<'s> {
    slots: &'s Slots,
    tenant: &'s Arc<str>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.waiting -= 1;
        let queue = state.queue(self.tenant);
        queue.count = queue.count.saturating_sub(1);
    }
}

/// A run that could leave its place.
pub struct Parked {
    slots: Arc<Slots>,
    tenant: Arc<str>,
    ticket: u64,
    asked: Arc<Notify>,
    leaves: bool,
}

impl Parked {
    /// Completes when somebody needs the place: the run then leaves.
    pub async fn asked_to_leave(&mut self) {
        self.asked.notified().await;
        self.leaves = true;
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        let was_asked = state.parked.remove(&self.ticket).is_none();
        // It was asked, but goes on, because its timer ended at the same moment.
        if was_asked && !self.leaves && state.is_needed(&self.tenant) {
            let waits = state.turns.iter().find(|tenant| state.is_eligible(tenant)).cloned();
            let for_whom = waits.unwrap_or_else(|| Arc::clone(&self.tenant));
            state.ask_one_for(&for_whom);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn tenant(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn who_was_parked_first_is_asked_first_and_only_when_somebody_waits() {
        let (slots, me) = (Slots::new(1), tenant("me"));
        let taken = slots.try_acquire(&me).expect("a place is free");
        let (mut first, mut second) = (slots.park(&me), slots.park(&me));
        assert!(first.asked_to_leave().now_or_never().is_none());
        let mut waiting = Box::pin(slots.acquire(&me));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(second.asked_to_leave().now_or_never().is_none());
        assert!(first.asked_to_leave().now_or_never().is_some());
        assert!(slots.park(&me).asked_to_leave().now_or_never().is_some(), "who parks now leaves at once");
        drop((first, taken));
        assert!(waiting.now_or_never().flatten().is_some());
        assert_eq!((slots.waiting(), slots.waiting_of("me")), (0, 0));
    }

    #[test]
    fn when_the_one_that_was_asked_goes_on_the_next_is_asked() {
        let (slots, me) = (Slots::new(0), tenant("me"));
        let (first, mut second) = (slots.park(&me), slots.park(&me));
        let mut waiting = Box::pin(slots.acquire(&me));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.asked_to_leave().now_or_never().is_some());
    }

    #[test]
    fn tenants_get_places_in_turn_however_many_of_one_wait() {
        let (slots, many, few) = (Slots::new(1), tenant("many"), tenant("few"));
        let taken = slots.try_acquire(&many).unwrap();
        let mut queued: Vec<_> = (0..5).map(|_| Box::pin(slots.acquire(&many))).collect();
        for waiting in &mut queued {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let mut late = Box::pin(slots.acquire(&few));
        assert!(late.as_mut().now_or_never().is_none());
        drop(taken);
        let first = queued[0].as_mut().now_or_never().flatten().expect("who came first is first");
        drop(first);
        assert!(
            late.now_or_never().flatten().is_some(),
            "then the other tenant, before four that came earlier"
        );
    }

    #[test]
    fn a_tenant_has_no_more_places_than_it_may_and_the_rest_is_for_others() {
        let (slots, one, other) = (Slots::new(3), tenant("one"), tenant("other"));
        slots.set_limit(&one, 1);
        let _mine = slots.try_acquire(&one).unwrap();
        assert!(slots.try_acquire(&one).is_none());
        let mut waiting = Box::pin(slots.acquire(&one));
        assert!(waiting.as_mut().now_or_never().is_none());
        let theirs = slots.try_acquire(&other).expect("nobody who waits could have it");
        assert!(slots.park(&other).asked_to_leave().now_or_never().is_none(), "its place would help nobody");
        assert!(slots.park(&one).asked_to_leave().now_or_never().is_some());
        slots.set_limit(&one, 2);
        assert!(waiting.now_or_never().flatten().is_some());
        drop(theirs);
        slots.set_limit(&one, 0);
        assert!(slots.try_acquire(&one).is_none(), "a suspended tenant has none");
    }

    #[test]
    fn a_place_that_nobody_waits_for_any_more_is_free() {
        let (slots, me) = (Slots::new(1), tenant("me"));
        let taken = slots.try_acquire(&me).unwrap();
        let mut gone = Box::pin(slots.acquire(&me));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut granted = Box::pin(slots.acquire(&me));
        assert!(granted.as_mut().now_or_never().is_none());
        drop(gone);
        drop(taken);
        drop(granted);
        assert!(slots.try_acquire(&me).is_some());
    }
}
