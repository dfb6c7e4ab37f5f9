//! Places for instances in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A bounded number of places. When all are taken, the run that has waited for time for longest
/// gives up its place: it comes back by replay.
pub struct Slots {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Runs that can leave, in the order in which they began to wait.
    parked: BTreeMap<u64, Arc<Notify>>,
    next: u64,
    /// Runs that wait for a place.
    waiting: usize,
}

/// A place in memory, until it is dropped.
pub struct Slot(#[expect(dead_code, reason = "held, not used")] OwnedSemaphorePermit);

impl Slots {
    /// As many places.
    pub fn new(count: u32) -> Arc<Self> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Arc::new(Self { places: Arc::new(Semaphore::new(count)), state: Mutex::default() })
    }

    /// A place, if one is free and nobody waits for it.
    pub fn try_acquire(&self) -> Option<Slot> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(Slot)
    }

    /// A place, as soon as there is one. Who came first gets it first.
    pub async fn acquire(self: &Arc<Self>) -> Option<Slot> {
        let _waiting = Waiting::new(self);
        Arc::clone(&self.places).acquire_owned().await.ok().map(Slot)
    }

    /// Runs that wait for a place.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Places for further runs: those that are free, and some that parked runs can make. None while anybody
    /// waits for one.
    pub fn room(&self) -> usize {
        let state = self.state();
        if state.waiting > 0 { 0 } else { self.places.available_permits() + state.parked.len() }
    }

    /// Says that the caller's run could leave its place, for as long as the answer is kept.
    pub fn park(self: &Arc<Self>) -> Parked {
        let mut state = self.state();
        let (ticket, asked) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        if state.waiting > 0 {
            asked.notify_one();
        } else {
            state.parked.insert(ticket, Arc::clone(&asked));
        }
        drop(state);
        Parked { slots: Arc::clone(self), ticket, asked, leaves: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Asks the run that has been parked for longest to leave.
    fn ask_one(&mut self) {
        if let Some((_, asked)) = self.parked.pop_first() {
            asked.notify_one();
        }
    }
}

/// Somebody who waits for a place.
struct Waiting<'s>(&'s Slots);

impl<'s> Waiting<'s> {
    fn new(slots: &'s Slots) -> Self {
        let mut state = slots.state();
        state.waiting += 1;
        state.ask_one();
        drop(state);
        Self(slots)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// A run that could leave its place.
pub struct Parked {
    slots: Arc<Slots>,
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
        if was_asked && !self.leaves && state.waiting > 0 {
            state.ask_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn who_was_parked_first_is_asked_first_and_only_when_somebody_waits() {
        let slots = Slots::new(1);
        let taken = slots.try_acquire().expect("a place is free");
        let (mut first, mut second) = (slots.park(), slots.park());
        assert!(first.asked_to_leave().now_or_never().is_none());
        let mut waiting = Box::pin(slots.acquire());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(second.asked_to_leave().now_or_never().is_none());
        assert!(first.asked_to_leave().now_or_never().is_some());
        assert!(slots.park().asked_to_leave().now_or_never().is_some(), "who parks now leaves at once");
        drop((first, taken));
        assert!(waiting.now_or_never().flatten().is_some());
        assert_eq!(slots.waiting(), 0);
    }

    #[test]
    fn when_the_one_that_was_asked_goes_on_the_next_is_asked() {
        let slots = Slots::new(0);
        let (first, mut second) = (slots.park(), slots.park());
        let mut waiting = Box::pin(slots.acquire());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.asked_to_leave().now_or_never().is_some());
    }
}
