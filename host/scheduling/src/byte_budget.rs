use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes of memory of which many hold parts. Who needs more than is left waits; waiters take turns.
#[derive(Debug, Default)]
pub struct ByteBudget {
    used: Mutex<u64>,
    /// Held by the one who waits for bytes: a large reservation is not overtaken by small ones.
    turn: tokio::sync::Mutex<()>,
    freed: Notify,
}

/// Bytes of a [`ByteBudget`], until it is dropped.
#[derive(Debug)]
pub struct ReservedBytes {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

impl ByteBudget {
    /// Reserves bytes within `limit`, or all of the limit if they are more. Waits until they are free.
    pub async fn reserve(self: &Arc<Self>, bytes: u64, limit: u64) -> ReservedBytes {
        let bytes = bytes.min(limit);
        let _turn = self.turn.lock().await;
        loop {
            {
                let mut used = self.used.lock();
                // The limit may have become lower meanwhile.
                if used.saturating_add(bytes) <= limit || *used == 0 {
                    *used += bytes;
                    return ReservedBytes { budget: Arc::clone(self), bytes };
                }
            }
            // What was freed since then is noted.
            self.freed.notified().await;
        }
    }

    /// Reserves bytes within `limit` if they are free. More than the limit is reserved while nothing else is.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64, limit: u64) -> Option<ReservedBytes> {
        let mut used = self.used.lock();
        let fits = used.saturating_add(bytes) <= limit || *used == 0;
        fits.then(|| {
            *used += bytes;
            ReservedBytes { budget: Arc::clone(self), bytes }
        })
    }

    /// Returns the bytes that are reserved.
    pub fn used(&self) -> u64 {
        *self.used.lock()
    }
}

impl ReservedBytes {
    /// Gives back all but this number of bytes.
    pub fn shrink(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        *self.budget.used.lock() -= less;
        self.budget.freed.notify_one();
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_waits_for_its_turn_and_is_not_overtaken() {
        let budget = Arc::new(ByteBudget::default());
        let mut first = budget.reserve(6, 10).await;
        let mut large = Box::pin(budget.reserve(8, 10));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(budget.reserve(1, 10));
        assert!(small.as_mut().now_or_never().is_none(), "it would fit, but it is later");
        first.shrink(2);
        let large = large.as_mut().now_or_never().unwrap();
        assert!(small.as_mut().now_or_never().is_none(), "nothing is left");
        drop(large);
        small.await;
        assert_eq!(budget.used(), 2);
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_the_turn_to_the_next() {
        let budget = Arc::new(ByteBudget::default());
        let first = budget.reserve(10, 10).await;
        let mut gone = Box::pin(budget.reserve(5, 10));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut next = Box::pin(budget.reserve(5, 10));
        assert!(next.as_mut().now_or_never().is_none());
        drop(gone);
        drop(first);
        next.await;
    }

    #[test]
    fn what_may_not_wait_is_refused() {
        let budget = Arc::new(ByteBudget::default());
        let large = budget.try_reserve(20, 10).unwrap();
        assert!(budget.try_reserve(1, 10).is_none());
        drop(large);
        let parts = [4, 6].map(|bytes| budget.try_reserve(bytes, 10).unwrap());
        assert!(budget.try_reserve(1, 10).is_none());
        drop(parts);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_the_limit_has_all_of_it() {
        let budget = Arc::new(ByteBudget::default());
        let all = budget.reserve(100, 10).await;
        assert_eq!(budget.used(), 10);
        let mut other = Box::pin(budget.reserve(1, 10));
        assert!(other.as_mut().now_or_never().is_none());
        drop(all);
        other.await;
    }
}
