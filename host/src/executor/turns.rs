//! Turns of runs that change one key of the tenant's store.
//!
//! Of many runs that read a key and then change it, one would succeed with each commit, and the others would try again. So a
//! run that is going to change a key gets a turn before it reads it, and keeps the turn until its next commit. A turn locks
//! nothing: other transactions may change the key, a turn ends after [`TURN`], and nodes know nothing of each other's turns.
//! What a transaction requires is checked when it is performed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use forge_journal::TenantId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// The longest turn, if other runs wait for theirs: some slow commits.
const TURN: Duration = Duration::from_millis(250);

/// A key of a tenant.
type Key = (TenantId, String);

/// The turns of the runs of this node.
#[derive(Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Default)]
struct State {
    keys: BTreeMap<Key, Waiting>,
    /// The number of the last turn.
    last: u64,
}

/// A key whose turn a run has.
struct Waiting {
    /// The number of the turn.
    number: u64,
    /// The time at which the turn ends at the latest.
    end: Instant,
    /// The runs that wait for theirs.
    next: VecDeque<oneshot::Sender<Turn>>,
}

/// The turn of a run, until it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    key: Key,
    number: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.pass(&self.key, self.number);
    }
}

impl Turns {
    /// Waits until it is the caller's turn to change a key.
    pub(super) async fn take(self: &Arc<Self>, tenant: &TenantId, key: &str) -> Turn {
        let key = (Arc::clone(tenant), key.to_owned());
        loop {
            let mut granted = match self.ask(&key) {
                Ok(turn) => return turn,
                Err(granted) => granted,
            };
            // The turn of another run ends, or takes too long.
            while let Some((number, end)) = self.now(&key) {
                match timeout_at(end, &mut granted).await {
                    Ok(Ok(turn)) => return turn,
                    Ok(Err(_)) => break,
                    Err(_) => self.pass(&key, number),
                }
            }
        }
    }

    /// Returns the turn, or what gives it later.
    fn ask(self: &Arc<Self>, key: &Key) -> Result<Turn, oneshot::Receiver<Turn>> {
        let mut state = self.0.lock();
        if let Some(waiting) = state.keys.get_mut(key) {
            let (waiter, granted) = oneshot::channel();
            waiting.next.push_back(waiter);
            return Err(granted);
        }
        state.last += 1;
        let number = state.last;
        let waiting = Waiting { number, end: Instant::now() + TURN, next: VecDeque::new() };
        state.keys.insert(key.clone(), waiting);
        Ok(Turn { turns: Arc::clone(self), key: key.clone(), number })
    }

    /// Returns the number of the turn that some run has now, and when it ends at the latest.
    fn now(&self, key: &Key) -> Option<(u64, Instant)> {
        self.0.lock().keys.get(key).map(|waiting| (waiting.number, waiting.end))
    }

    /// Ends the turn with this number, unless it has ended: it is the next run's turn.
    fn pass(self: &Arc<Self>, key: &Key, number: u64) {
        let mut state = self.0.lock();
        let next = state.last + 1;
        let Some(waiting) = state.keys.get_mut(key).filter(|waiting| waiting.number == number) else {
            return;
        };
        let waiter = std::iter::from_fn(|| waiting.next.pop_front()).find(|waiter| !waiter.is_closed());
        let Some(waiter) = waiter else {
            state.keys.remove(key);
            return;
        };
        (waiting.number, waiting.end) = (next, Instant::now() + TURN);
        state.last = next;
        drop(state);
        // If nobody waits any more, the turn is dropped here, and so passed on.
        drop(waiter.send(Turn { turns: Arc::clone(self), key: key.clone(), number: next }));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn runs_take_turns_in_the_order_in_which_they_asked() {
        let turns = Arc::new(Turns::default());
        let tenant = TenantId::from("acme");
        let first = turns.take(&tenant, "n").now_or_never().unwrap();
        assert!(turns.take(&tenant, "other").now_or_never().is_some(), "another key");
        let mut takes: Vec<_> = (0..3).map(|_| Box::pin(turns.take(&tenant, "n"))).collect();
        assert!(takes.iter_mut().all(|take| take.now_or_never().is_none()));
        drop(takes.remove(0));
        drop(first);
        assert!(takes[1].as_mut().now_or_never().is_none());
        let second = takes[0].as_mut().now_or_never();
        assert!(second.is_some(), "a run that is gone is passed over");
        drop(second);
        assert!(takes[1].as_mut().now_or_never().is_some());
        assert!(turns.0.lock().keys.is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_takes_too_long_ends() {
        let turns = Arc::new(Turns::default());
        let tenant = TenantId::from("acme");
        let late = turns.take(&tenant, "n").await;
        let begun = Instant::now();
        let next = turns.take(&tenant, "n").await;
        assert!(begun.elapsed() >= TURN);
        drop(late);
        assert!(turns.take(&tenant, "n").now_or_never().is_none(), "it was over before");
        drop(next);
        assert!(turns.take(&tenant, "n").now_or_never().is_some());
    }
}
