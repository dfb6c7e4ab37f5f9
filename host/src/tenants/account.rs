use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::egress::Lookups;
use crate::engine::Load;
use crate::journal::Changes;
use crate::store::directory::Amounts;

/// What a tenant uses on this host, and how fast.
#[derive(Debug)]
pub struct Account {
    /// The tenant's name.
    pub tenant: Arc<str>,
    fuel: AtomicU64,
    runs: AtomicU64,
    steps: AtomicU64,
    http_requests: AtomicU64,
    http_bytes: Arc<AtomicU64>,
    journal_bytes: AtomicU64,
    run_ms: AtomicU64,
    /// Starts that wait to become durable or for a place.
    starts: AtomicUsize,
    rate: Mutex<Rate>,
    load: Mutex<Load>,
    lookups: Lookups,
}

/// How many starts may still be in the second that began then.
#[derive(Debug)]
struct Rate {
    began: Instant,
    left: f64,
}

/// A start under way, until it is dropped.
#[derive(Debug)]
pub struct Admitted(Arc<Account>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.starts.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Account {
    /// Of this tenant, which has used nothing.
    pub fn new(tenant: Arc<str>) -> Self {
        Self {
            tenant,
            fuel: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            http_requests: AtomicU64::new(0),
            http_bytes: Arc::default(),
            journal_bytes: AtomicU64::new(0),
            run_ms: AtomicU64::new(0),
            starts: AtomicUsize::new(0),
            rate: Mutex::new(Rate { began: Instant::now(), left: f64::MAX }),
            load: Mutex::default(),
            lookups: Lookups::default(),
        }
    }

    /// Places for look-ups of names.
    pub fn lookups(&self) -> Lookups {
        self.lookups.clone()
    }

    /// Takes one of `queue` places for starts that wait; `None` if there is none.
    pub fn admit(self: &Arc<Self>, queue: usize) -> Option<Admitted> {
        let before = self.starts.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(Arc::clone(self));
        (before < queue).then_some(admitted)
    }

    /// Whether one more start keeps the rate of so many each second. A second's worth can come at once.
    pub fn keeps_rate(&self, per_second: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let most = per_second as f64;
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        let passed = at.saturating_duration_since(rate.began);
        if passed > Duration::from_millis(1) {
            rate.left += passed.as_secs_f64() * most;
            rate.began = at;
        }
        rate.left = rate.left.min(most);
        if rate.left < 1.0 {
            return false;
        }
        rate.left -= 1.0;
        true
    }

    /// A guest computed.
    pub fn computed(&self, fuel: u64) {
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
    }

    /// A guest of it kept a thread for so long.
    pub fn computed_for(&self, time: Duration) {
        self.load.lock().unwrap_or_else(PoisonError::into_inner).add(time);
    }

    /// Whether its guests compute a lot at the moment.
    pub fn is_busy(&self) -> bool {
        self.load.lock().unwrap_or_else(PoisonError::into_inner).is_busy()
    }

    /// A run was started.
    pub fn started(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was sent.
    pub fn requested(&self) {
        self.http_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the bytes of requests and answers.
    pub fn http_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.http_bytes)
    }

    /// This is written to a journal.
    pub fn journaled(&self, changes: &Changes) {
        let length = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len) as u64;
        let bytes = changes.rows.iter().map(|row| length(&row.input) + length(&row.result)).sum();
        self.steps.fetch_add(changes.new_rows as u64, Ordering::Relaxed);
        self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A run had an instance for so long.
    pub fn stayed(&self, time: Duration) {
        self.run_ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was used since this was last asked.
    pub(super) fn take(&self) -> Amounts {
        let take = |amount: &AtomicU64| amount.swap(0, Ordering::Relaxed);
        Amounts {
            fuel: take(&self.fuel),
            runs: take(&self.runs),
            steps: take(&self.steps),
            http_requests: take(&self.http_requests),
            http_bytes: take(&self.http_bytes),
            journal_bytes: take(&self.journal_bytes),
            run_ms: take(&self.run_ms),
        }
    }

    /// The opposite: it could not be written.
    pub(super) fn give_back(&self, amounts: &Amounts) {
        let Amounts { fuel, runs, steps, http_requests, http_bytes, journal_bytes, run_ms } = *amounts;
        for (place, amount) in [
            (&self.fuel, fuel),
            (&self.runs, runs),
            (&self.steps, steps),
            (&self.http_requests, http_requests),
            (&*self.http_bytes, http_bytes),
            (&self.journal_bytes, journal_bytes),
            (&self.run_ms, run_ms),
        ] {
            place.fetch_add(amount, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Arc<Account> {
        Arc::new(Account::new("acme".into()))
    }

    #[test]
    fn no_more_starts_wait_than_may() {
        let account = account();
        let admitted = account.admit(2).unwrap();
        let _other = account.admit(2).unwrap();
        assert!(account.admit(2).is_none());
        drop(admitted);
        assert!(account.admit(2).is_some());
    }

    #[test]
    fn a_second_s_worth_of_starts_can_come_at_once_and_no_more() {
        let account = account();
        let kept = (0..1_000).filter(|_| account.keeps_rate(10)).count();
        assert!((10..=12).contains(&kept), "{kept}");
    }

    #[test]
    fn what_was_taken_and_given_back_is_still_there() {
        let account = account();
        account.computed(5);
        account.requested();
        account.http_bytes().fetch_add(7, Ordering::Relaxed);
        let amounts = account.take();
        assert_eq!((amounts.fuel, amounts.http_requests, amounts.http_bytes), (5, 1, 7));
        assert_eq!(account.take(), Amounts::default());
        account.give_back(&amounts);
        assert_eq!(account.take(), amounts);
    }
}
