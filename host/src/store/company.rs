//! How long the writer waits for more to write.
//!
//! What it commits together costs less, so while many runs are at work it waits for some of them. Not for all: those
//! whose writes it commits have nothing to do meanwhile, and only the others keep the processor busy.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Jobs in a batch from which on the next one is waited for: so many runs are at work that others
/// will soon have something to write, too.
const COMPANY: usize = 4;

/// Nobody is waited for when a commit takes longer: then enough comes together meanwhile.
const PATIENCE: Duration = Duration::from_millis(1);

/// Those who write, as the writer's thread and those who write for themselves see them.
#[derive(Default)]
pub(super) struct Company {
    /// Runs that may have something to write. Those that sleep in memory are among them: then the writer waits for
    /// longer than it must, and for a millisecond at most.
    at_work: AtomicUsize,
    /// Jobs that are queued or under way.
    pending: AtomicUsize,
    /// Jobs in the last batch of the writer's thread.
    last: AtomicUsize,
    /// The writer's thread waits for more.
    gathers: AtomicBool,
    /// The writer's thread, once it has waited.
    thread: OnceLock<Thread>,
}

impl Company {
    /// A run may write from now on.
    pub(super) fn enter(&self) {
        self.at_work.fetch_add(1, Ordering::SeqCst);
    }

    /// It will write nothing more.
    pub(super) fn leave(&self) {
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        self.announce();
    }

    /// A job is about to be queued; see [`Company::announce`].
    pub(super) fn queued(&self) {
        self.pending.fetch_add(1, Ordering::SeqCst);
    }

    /// So many jobs of the queue are done.
    pub(super) fn done(&self, jobs: usize) {
        self.pending.fetch_sub(jobs, Ordering::SeqCst);
    }

    /// Whether there is nothing that a job could be committed together with. It is pending then.
    pub(super) fn is_alone(&self) -> bool {
        self.last.load(Ordering::Relaxed) < COMPANY
            && self.pending.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// The writer's thread commits so many jobs.
    pub(super) fn commits(&self, jobs: usize) {
        self.last.store(jobs, Ordering::Relaxed);
    }

    /// On the writer's thread: returns when half of those at work have something to write, or after as long as the last
    /// commit took.
    pub(super) fn gather(&self, last_commit: Duration) {
        if self.last.load(Ordering::Relaxed) >= COMPANY && last_commit < PATIENCE {
            self.wait(last_commit);
        }
    }

    fn wait(&self, at_most: Duration) {
        let began = Instant::now();
        self.thread.get_or_init(thread::current);
        loop {
            // Each time: whoever woke it has taken this back, and others may have begun to work since.
            self.gathers.store(true, Ordering::SeqCst);
            match at_most.checked_sub(began.elapsed()) {
                Some(left) if !self.is_half() => thread::park_timeout(left),
                _ => break,
            }
        }
        self.gathers.store(false, Ordering::SeqCst);
    }

    fn is_half(&self) -> bool {
        2 * self.pending.load(Ordering::SeqCst) >= self.at_work.load(Ordering::SeqCst)
    }

    /// Wakes the writer's thread if it waits for what has just been queued.
    pub(super) fn announce(&self) {
        if self.gathers.load(Ordering::SeqCst)
            && self.is_half()
            && self.gathers.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test may take.
    const FOR_EVER: Duration = Duration::from_secs(600);

    fn company(at_work: usize, pending: usize) -> Company {
        let company = Company::default();
        (0..at_work).for_each(|_| company.enter());
        (0..pending).for_each(|_| company.queued());
        company
    }

    #[test]
    fn when_half_of_those_at_work_have_something_to_write_nobody_else_is_waited_for() {
        company(0, 0).wait(FOR_EVER);
        company(7, 4).wait(FOR_EVER);
        let began = Instant::now();
        company(8, 3).wait(Duration::from_millis(2));
        assert!(began.elapsed() >= Duration::from_millis(2));
    }

    #[test]
    fn who_writes_and_who_leaves_ends_the_waiting() {
        let company = company(10, 1);
        thread::scope(|scope| {
            scope.spawn(|| company.wait(FOR_EVER));
            for _ in 0..2 {
                company.queued();
                company.announce();
                (0..2).for_each(|_| company.leave());
            }
        });
        company.done(3);
        assert!(company.is_alone());
        assert!(!company.is_alone());
    }

    /// Somebody begins to work after the writer's thread was woken and before it has looked.
    #[test]
    fn no_waking_is_missed() {
        for _ in 0..1_000 {
            let company = company(4, 0);
            let write = || {
                company.queued();
                company.announce();
            };
            thread::scope(|scope| {
                let waits = scope.spawn(|| {
                    let began = Instant::now();
                    company.wait(FOR_EVER / 20);
                    began.elapsed()
                });
                (0..2).for_each(|_| drop(scope.spawn(write)));
                scope.spawn(|| {
                    (0..2).for_each(|_| company.enter());
                    write();
                });
                assert!(waits.join().unwrap() < FOR_EVER / 20);
            });
        }
    }

    #[test]
    fn few_jobs_and_slow_commits_are_no_reason_to_wait() {
        let company = company(8, 0);
        company.commits(COMPANY - 1);
        company.gather(Duration::ZERO);
        company.commits(COMPANY);
        company.gather(FOR_EVER);
        assert!(!company.is_alone());
    }
}
