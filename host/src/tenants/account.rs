use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use forge_egress::Lookups;
use forge_journal::db::{Operation, Transaction};
use forge_journal::{Changes, Growth};
use forge_scheduling::{ByteBudget, CpuMeter, HourlyAllowance, RateLimiter};
use forge_store::directory::Amounts;

use super::Uploads;

/// The usage of a tenant on this host since it was last written, and the state of its rate limits.
#[derive(Debug)]
pub struct Account {
    /// The name of the tenant.
    pub tenant: Arc<str>,
    fuel: AtomicU64,
    runs: AtomicU64,
    steps: AtomicU64,
    http_requests: AtomicU64,
    http_bytes: Arc<AtomicU64>,
    journal_bytes: AtomicU64,
    run_ms: AtomicU64,
    log_bytes: AtomicU64,
    log_dropped: AtomicU64,
    audit_lines: AtomicU64,
    /// The bytes that the runs of the tenant take in the store, by the store's last answer and what was committed since.
    stored: AtomicI64,
    /// The number of runs of the tenant that are not final, known in the same way.
    unfinished: AtomicI64,
    /// The number of starts that wait for their commit or for an instance permit.
    starts: AtomicUsize,
    start_rate: RateLimiter,
    directory_rate: RateLimiter,
    audit_rate: RateLimiter,
    log_rate: RateLimiter,
    /// The lines that were dropped and that the log does not tell of yet.
    dropped: AtomicU64,
    responses: Arc<ByteBudget>,
    answers: Arc<ByteBudget>,
    compile_ms: AtomicU64,
    db_puts: AtomicU64,
    db_bytes: AtomicU64,
    /// The uploads under way, and those that wait.
    uploads: Uploads,
    /// The time in which the tenant's uploads were compiled.
    compile_time: HourlyAllowance,
    cpu: Arc<CpuMeter>,
    lookups: Lookups,
}

/// A start that waits, until it is dropped.
#[derive(Debug)]
pub struct Admitted(Arc<Account>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.starts.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A compilation for a tenant, until it is dropped.
#[derive(Debug)]
pub struct Compiling {
    account: Arc<Account>,
    begun: Instant,
    per_hour: Option<Duration>,
}

impl Drop for Compiling {
    fn drop(&mut self) {
        let time = self.begun.elapsed();
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.account.compile_ms.fetch_add(milliseconds, Ordering::Relaxed);
        if let Some(per_hour) = self.per_hour {
            self.account.compile_time.spend(time, per_hour);
        }
    }
}

impl Account {
    /// Creates the account of a tenant, without usage.
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
            log_bytes: AtomicU64::new(0),
            log_dropped: AtomicU64::new(0),
            audit_lines: AtomicU64::new(0),
            stored: AtomicI64::new(0),
            unfinished: AtomicI64::new(0),
            starts: AtomicUsize::new(0),
            start_rate: RateLimiter::default(),
            directory_rate: RateLimiter::default(),
            audit_rate: RateLimiter::default(),
            log_rate: RateLimiter::default(),
            dropped: AtomicU64::new(0),
            responses: Arc::default(),
            answers: Arc::default(),
            compile_ms: AtomicU64::new(0),
            db_puts: AtomicU64::new(0),
            db_bytes: AtomicU64::new(0),
            uploads: Uploads::default(),
            compile_time: HourlyAllowance::default(),
            cpu: Arc::default(),
            lookups: Lookups::default(),
        }
    }

    /// Returns the permits of the tenant for DNS lookups.
    pub fn lookups(&self) -> Lookups {
        self.lookups.clone()
    }

    /// Returns the budget of the bodies of responses.
    pub(super) fn responses(&self) -> Arc<ByteBudget> {
        Arc::clone(&self.responses)
    }

    /// Returns the budget of the answers that the tenant's clients have not read.
    pub(crate) fn answers(&self) -> &Arc<ByteBudget> {
        &self.answers
    }

    /// Returns whether workflows may log a line of this many bytes now, and counts it. A line that they may not log is
    /// dropped.
    pub fn may_log(&self, bytes: u64, per_second: u64) -> bool {
        let may = self.log_rate.try_take_many(bytes, per_second);
        if may {
            self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// Tells the log how many lines were dropped since the last call.
    pub(super) fn report_dropped(&self) {
        let lines = self.dropped.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let tenant = &*self.tenant;
            tracing::warn!(
                tenant,
                lines,
                "the workflows of tenant `{tenant}` logged more than its limit `log_rate`: {lines} lines were dropped"
            );
        }
    }

    /// Adds a waiting start. Returns `None` if `queue` starts wait already.
    pub fn admit(self: &Arc<Self>, queue: usize) -> Option<Admitted> {
        let before = self.starts.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(Arc::clone(self));
        (before < queue).then_some(admitted)
    }

    /// Returns whether another start is within the rate.
    pub fn keeps_rate(&self, per_second: u64) -> bool {
        self.start_rate.try_take(per_second)
    }

    /// Returns whether another change of the directory is within the rate.
    pub(super) fn keeps_directory_rate(&self, per_second: u64) -> bool {
        self.directory_rate.try_take(per_second)
    }

    /// Returns whether another line of the audit log is within the rate.
    pub(super) fn keeps_audit_rate(&self, per_second: u64) -> bool {
        self.audit_rate.try_take(per_second)
    }

    /// Counts a line of the audit log.
    pub(super) fn audited(&self) {
        self.audit_lines.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds fuel that a guest used.
    pub fn computed(&self, fuel: u64) {
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
    }

    /// Returns the meter of the CPU time that the tenant's guests use.
    pub fn cpu(&self) -> &Arc<CpuMeter> {
        &self.cpu
    }

    /// Counts a started run.
    pub fn started(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a sent request.
    pub fn requested(&self) {
        self.http_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counter of the bytes of requests and responses.
    pub fn http_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.http_bytes)
    }

    /// Counts changes that were written to a journal.
    pub fn journaled(&self, changes: &Changes) {
        let length = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len) as u64;
        let bytes = changes.rows.iter().map(|row| length(&row.input) + length(&row.result)).sum();
        self.steps.fetch_add(changes.new_rows as u64, Ordering::Relaxed);
        self.journal_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what a transaction puts into the tenant's store.
    pub fn transacted(&self, transaction: &Transaction) {
        let puts =
            transaction.operations.iter().filter(|operation| matches!(operation, Operation::Put { .. }));
        self.db_puts.fetch_add(puts.count() as u64, Ordering::Relaxed);
        self.db_bytes.fetch_add(transaction.size() as u64, Ordering::Relaxed);
    }

    /// Returns the bytes that the runs of the tenant take in the store, with their journals.
    pub fn stored(&self) -> u64 {
        u64::try_from(self.stored.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Returns the number of runs of the tenant that are not final.
    pub fn unfinished(&self) -> u64 {
        u64::try_from(self.unfinished.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Adds to what is stored.
    pub(super) fn grown(&self, growth: Growth) {
        self.stored.fetch_add(growth.bytes, Ordering::Relaxed);
        self.unfinished.fetch_add(growth.unfinished, Ordering::Relaxed);
    }

    /// Sets what is stored, as the store counts it.
    pub(super) fn set_stored(&self, bytes: u64, unfinished: u64) {
        self.stored.store(bytes.cast_signed(), Ordering::Relaxed);
        self.unfinished.store(unfinished.cast_signed(), Ordering::Relaxed);
    }

    /// Adds time in which a run had an instance.
    pub fn stayed(&self, time: Duration) {
        self.run_ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns how much of a limit is in use; `None` if the account does not count it.
    pub(super) fn used(&self, limit: &str) -> Option<u64> {
        match limit {
            "storage_bytes" => Some(self.stored()),
            "unfinished_runs" => Some(self.unfinished()),
            "response_bytes_in_flight" => Some(self.responses.used()),
            "start_queue" => Some(self.starts.load(Ordering::Relaxed) as u64),
            _ => None,
        }
    }

    /// Returns the uploads of the tenant.
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// Checks that some of the tenant's compile time is left.
    ///
    /// # Errors
    /// The time after which some of it is left.
    pub fn may_compile(&self, per_hour: Duration) -> Result<(), Duration> {
        self.compile_time.check(per_hour)
    }

    /// Measures a compilation, from here until the returned value is dropped: a client that disconnects pays, too. With
    /// `per_hour`, the time counts towards the limit.
    pub fn compiling(self: &Arc<Self>, per_hour: Option<Duration>) -> Compiling {
        Compiling { account: Arc::clone(self), begun: Instant::now(), per_hour }
    }

    /// Returns the usage and resets it.
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
            log_bytes: take(&self.log_bytes),
            log_dropped: take(&self.log_dropped),
            audit_lines: take(&self.audit_lines),
            compile_ms: take(&self.compile_ms),
            db_puts: take(&self.db_puts),
            db_bytes: take(&self.db_bytes),
        }
    }

    /// Adds usage that [`Account::take`] returned and that could not be written.
    pub(super) fn give_back(&self, amounts: &Amounts) {
        let Amounts {
            fuel,
            runs,
            steps,
            http_requests,
            http_bytes,
            journal_bytes,
            run_ms,
            log_bytes,
            log_dropped,
            audit_lines,
            compile_ms,
            db_puts,
            db_bytes,
        } = *amounts;
        for (counter, amount) in [
            (&self.fuel, fuel),
            (&self.runs, runs),
            (&self.steps, steps),
            (&self.http_requests, http_requests),
            (&*self.http_bytes, http_bytes),
            (&self.journal_bytes, journal_bytes),
            (&self.run_ms, run_ms),
            (&self.log_bytes, log_bytes),
            (&self.log_dropped, log_dropped),
            (&self.audit_lines, audit_lines),
            (&self.compile_ms, compile_ms),
            (&self.db_puts, db_puts),
            (&self.db_bytes, db_bytes),
        ] {
            counter.fetch_add(amount, Ordering::Relaxed);
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
