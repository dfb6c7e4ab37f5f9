use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits whose number can change while some are held. Callers get them in the order of their calls.
#[derive(Debug)]
pub struct ResizablePermits {
    semaphore: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    /// The number of permits.
    limit: usize,
    /// The permits that are held beyond the limit. As many disappear when they are returned.
    excess: usize,
}

/// A permit, until it is dropped.
#[derive(Debug)]
pub struct ResizablePermit<'p> {
    permits: &'p ResizablePermits,
    permit: Option<OwnedSemaphorePermit>,
}

impl ResizablePermits {
    /// Creates this many permits: at least one, and at most [`Semaphore::MAX_PERMITS`].
    pub fn new(limit: usize) -> Self {
        let limit = possible(limit);
        Self { semaphore: Arc::new(Semaphore::new(limit)), size: Mutex::new(Size { limit, excess: 0 }) }
    }

    /// Changes the number of permits. Permits that are held stay valid.
    pub fn resize(&self, limit: usize) {
        let limit = possible(limit);
        let mut size = self.size.lock();
        if limit > size.limit {
            let more = limit - size.limit;
            let kept = more.min(size.excess);
            size.excess -= kept;
            self.semaphore.add_permits(more - kept);
        } else {
            let fewer = size.limit - limit;
            size.excess += fewer - self.semaphore.forget_permits(fewer);
        }
        size.limit = limit;
    }

    /// Waits for a permit.
    pub async fn acquire(&self) -> ResizablePermit<'_> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        ResizablePermit { permits: self, permit }
    }
}

impl Drop for ResizablePermit<'_> {
    fn drop(&mut self) {
        let mut size = self.permits.size.lock();
        let Some(permit) = self.permit.take() else { return };
        if size.excess > 0 {
            size.excess -= 1;
            permit.forget();
        }
        // Otherwise the permit is returned here, before the size can change.
    }
}

fn possible(limit: usize) -> usize {
    limit.clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Takes permits until there is none.
    fn take(permits: &ResizablePermits) -> Vec<ResizablePermit<'_>> {
        std::iter::from_fn(|| permits.acquire().now_or_never()).collect()
    }

    #[test]
    fn held_permits_count_when_the_number_changes() {
        let permits = ResizablePermits::new(3);
        let mut held = take(&permits);
        assert_eq!(held.len(), 3);
        permits.resize(5);
        held.extend(take(&permits));
        assert_eq!(held.len(), 5);
        permits.resize(2);
        held.truncate(2);
        assert_eq!(take(&permits).len(), 0);
        held.truncate(1);
        assert_eq!(take(&permits).len(), 1);
        permits.resize(4);
        assert_eq!(take(&permits).len(), 3);
    }

    #[test]
    fn a_number_that_shrinks_and_grows_while_all_are_held_is_exact() {
        let permits = ResizablePermits::new(4);
        let held = take(&permits);
        for limit in [1, 3, 2, 6, 2] {
            permits.resize(limit);
        }
        drop(held);
        assert_eq!(take(&permits).len(), 2);
    }
}
