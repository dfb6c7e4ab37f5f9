//! Permits for guests that compute a lot.
//!
//! Guests run on the runtime's worker threads. A tenant that computes alone may use all of them. When several tenants
//! compute, the guests of busy tenants need a permit, and there is one permit fewer than threads: a guest that computes
//! little does not wait behind another tenant's loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::FairQueue;

/// The time for which tenants count as several after two of them computed, in microseconds.
const PRESENT_US: u64 = 1_000_000;

/// The CPU permits of a host: each lets one busy guest compute. The executor takes one before it
/// calls or resumes a guest.
pub struct CpuPermits<K: Ord + Clone> {
    started: Instant,
    /// The tenant that computed last, by the address of its meter.
    last: AtomicUsize,
    /// Until when there is more than one tenant, in microseconds since `started`.
    shared_until: AtomicU64,
    state: Mutex<State<K>>,
}

struct State<K: Ord + Clone> {
    free: usize,
    waiting: FairQueue<K, oneshot::Sender<CpuPermit<K>>>,
}

/// The permit of a busy guest to compute, until it is dropped.
pub struct CpuPermit<K: Ord + Clone>(Arc<CpuPermits<K>>);

impl<K: Ord + Clone> CpuPermits<K> {
    /// Creates the permits of a host with this many threads.
    pub fn new(threads: usize) -> Arc<Self> {
        let free = threads.saturating_sub(1).max(1);
        Arc::new(Self {
            started: Instant::now(),
            last: AtomicUsize::new(0),
            shared_until: AtomicU64::new(0),
            state: Mutex::new(State { free, waiting: FairQueue::default() }),
        })
    }

    /// Waits until a guest of this tenant may compute. Returns `None` if it needs no permit.
    pub async fn acquire(self: &Arc<Self>, tenant: &K, meter: &Arc<CpuMeter>) -> Option<CpuPermit<K>> {
        if !self.is_shared(meter) || !meter.is_busy() {
            return None;
        }
        let (sender, permit) = oneshot::channel();
        {
            let mut state = self.state.lock();
            state.waiting.push(tenant, sender);
        }
        self.grant();
        permit.await.ok()
    }

    /// Returns whether other tenants compute, too.
    fn is_shared(&self, meter: &Arc<CpuMeter>) -> bool {
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let this = Arc::as_ptr(meter).addr();
        let before = self.last.swap(this, Ordering::Relaxed);
        if before != this && before != 0 {
            self.shared_until.store(now.saturating_add(PRESENT_US), Ordering::Relaxed);
        }
        now < self.shared_until.load(Ordering::Relaxed)
    }

    /// Gives free permits to waiting guests. They are sent without the lock, because a receiver that is gone drops its
    /// permit at once.
    fn grant(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            if state.free == 0 {
                return;
            }
            let Some((_, sender)) = state.waiting.pop_if(|_| true, |sender| !sender.is_closed()) else {
                return;
            };
            state.free -= 1;
            drop(state);
            let _ = sender.send(CpuPermit(Arc::clone(self)));
        }
    }
}

impl<K: Ord + Clone> Drop for CpuPermit<K> {
    fn drop(&mut self) {
        self.0.state.lock().free += 1;
        self.0.grant();
    }
}

/// The CPU time that a tenant's guests used lately: a leaky bucket, one for each tenant.
#[derive(Debug)]
pub struct CpuMeter(Mutex<Level>);

#[derive(Debug)]
struct Level {
    used: Duration,
    at: Instant,
}

impl Default for CpuMeter {
    fn default() -> Self {
        Self(Mutex::new(Level { used: Duration::ZERO, at: Instant::now() }))
    }
}

impl CpuMeter {
    /// The fraction of one thread that a tenant may use without a permit: one of this many.
    const SHARE: u32 = 8;

    /// The CPU time that a tenant may use at once beyond that.
    const BURST: Duration = Duration::from_millis(20);

    /// The maximum level: a tenant that computed for long and stops is not busy for long.
    const MOST: Duration = Duration::from_millis(100);

    /// Adds CPU time.
    pub fn add(&self, time: Duration) {
        let mut level = self.0.lock();
        level.used = (level.now() + time).min(Self::MOST);
        level.at = Instant::now();
    }

    /// Returns whether the tenant computes a lot.
    pub fn is_busy(&self) -> bool {
        self.0.lock().now() > Self::BURST
    }

    /// Polls a guest and adds the time that each poll takes.
    pub async fn measure<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = std::pin::pin!(guest);
        std::future::poll_fn(|context| {
            let started = Instant::now();
            let polled = guest.as_mut().poll(context);
            self.add(started.elapsed());
            polled
        })
        .await
    }
}

impl Level {
    fn now(&self) -> Duration {
        self.used.saturating_sub(self.at.elapsed() / CpuMeter::SHARE)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn meter(computed_ms: u64) -> Arc<CpuMeter> {
        let meter = Arc::new(CpuMeter::default());
        meter.add(Duration::from_millis(computed_ms));
        meter
    }

    #[test]
    fn a_tenant_that_is_alone_or_computes_little_needs_no_permit() {
        let permits = CpuPermits::new(2);
        let (much, little) = (meter(90), meter(1));
        for _ in 0..3 {
            assert!(permits.acquire(&"much", &much).now_or_never().unwrap().is_none(), "it is alone");
        }
        assert!(permits.acquire(&"little", &little).now_or_never().unwrap().is_none());
        let permit = permits.acquire(&"much", &much).now_or_never().unwrap();
        assert!(permit.is_some(), "there are two now");
        let other = permits.acquire(&"little", &little).now_or_never().unwrap();
        assert!(other.is_none(), "it does not wait for the other");
        assert!(permits.acquire(&"much", &much).now_or_never().is_none(), "one thread is left to others");
    }

    #[test]
    fn those_that_compute_a_lot_take_turns_by_tenant() {
        let permits = CpuPermits::new(2);
        let (one, other) = (meter(90), meter(90));
        let _ = permits.acquire(&"one", &one).now_or_never();
        let first = permits.acquire(&"other", &other).now_or_never().unwrap().expect("a permit is free");
        let mut queued: Vec<_> = (0..3).map(|_| Box::pin(permits.acquire(&"one", &one))).collect();
        for waiting in &mut queued {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let mut late = Box::pin(permits.acquire(&"other", &other));
        assert!(late.as_mut().now_or_never().is_none());
        drop(first);
        let second = queued[0].as_mut().now_or_never().flatten().expect("the first that waits");
        drop(second);
        assert!(late.now_or_never().flatten().is_some(), "then the other tenant");
    }

    #[test]
    fn a_tenant_that_stops_computing_is_not_busy_any_more() {
        let meter = meter(10_000);
        assert!(meter.is_busy());
        meter.0.lock().at -= CpuMeter::MOST * CpuMeter::SHARE;
        assert!(!meter.is_busy());
    }
}
