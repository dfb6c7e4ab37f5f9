//! Keeps the processor from falling asleep between a request, a commit and an answer.
//!
//! With one run in flight a host is mostly waiting: for the disk, for a server, for a client. Each time its core goes
//! to sleep, and waking it takes longer than the work that follows, above all on virtual machines, where an idle core
//! is given away. So while runs follow each other closely and have no company, a thread on each core does nothing, at
//! the lowest priority there is: whatever else the same session has to do takes its place at once. A while after the last
//! commit these threads rest (docs/decisions/0016).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::vigil::Vigil;

/// Cores from which on none is kept awake: with more it cannot be told which of them a run will need next.
const MOST_CORES: usize = 8;

/// How often a thread that does nothing looks whether it may rest: every microsecond or so.
const SPINS: u32 = 64;

/// Keeps cores awake for a while. Ends its threads when dropped.
pub(super) struct Awake {
    vigil: Vigil,
    closed: Arc<AtomicBool>,
    keepers: Vec<Keeper>,
}

/// A thread that keeps a core awake.
struct Keeper {
    thread: JoinHandle<()>,
    /// Whether it rests, or is about to.
    rests: Arc<AtomicBool>,
}

impl Awake {
    /// For so long after each commit; zero: not at all. Where threads cannot have the lowest priority, or are not
    /// wanted, there are none.
    pub(super) fn new(time: Duration, threads: bool) -> Self {
        let cores = if time.is_zero() { Vec::new() } else { cores() };
        let vigil = Vigil::new(time, cores.len() > 1);
        let closed = Arc::new(AtomicBool::new(false));
        let are_kept = threads && cores.len() <= MOST_CORES;
        let keeper = |core| {
            let (vigil, closed) = (vigil.clone(), Arc::clone(&closed));
            let rests = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&rests);
            let thread = std::thread::Builder::new().name("forge-awake".to_owned());
            let thread = thread.spawn(move || {
                if has_lowest_priority_on(core) {
                    keep_awake(&vigil, &closed, &theirs);
                }
            });
            Some(Keeper { thread: thread.ok()?, rests })
        };
        let keepers = cores.into_iter().filter(|_| are_kept).filter_map(keeper).collect();
        Self { vigil, closed, keepers }
    }

    /// Says whether it is worth staying awake.
    pub(super) fn vigil(&self) -> &Vigil {
        &self.vigil
    }

    /// A run without company commits, or has committed.
    pub(super) fn touch(&self) {
        if !self.vigil.touch() {
            return;
        }
        for Keeper { thread, rests } in &self.keepers {
            if rests.load(Ordering::SeqCst) && rests.swap(false, Ordering::SeqCst) {
                thread.thread().unpark();
            }
        }
    }

    /// Several runs commit at once.
    pub(super) fn crowded(&self) {
        self.vigil.crowded();
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        for Keeper { thread, .. } in self.keepers.drain(..) {
            thread.thread().unpark();
            // It does not panic, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

fn keep_awake(vigil: &Vigil, closed: &AtomicBool, rests: &AtomicBool) {
    while !closed.load(Ordering::SeqCst) {
        if !vigil.is_over() {
            (0..SPINS).for_each(|_| std::hint::spin_loop());
            continue;
        }
        rests.store(true, Ordering::SeqCst);
        // Who touches after this sees that it rests.
        if vigil.is_over() && !closed.load(Ordering::SeqCst) {
            std::thread::park();
        }
        rests.store(false, Ordering::SeqCst);
    }
}

/// The cores that this process may use; none where their time is counted.
#[cfg(target_os = "linux")]
fn cores() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    // Fewer than there are: what is used of them is counted, and doing nothing would count, too.
    let is_bounded = std::thread::available_parallelism().map_or(1, usize::from) < cores.len();
    if is_bounded { Vec::new() } else { cores }
}

#[cfg(not(target_os = "linux"))]
fn cores() -> Vec<usize> {
    Vec::new()
}

/// Gives this thread the lowest priority, on one core; whether that is so.
#[cfg(target_os = "linux")]
fn has_lowest_priority_on(core: usize) -> bool {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };

    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let idle = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    let mut only = rustix::thread::CpuSet::new();
    only.set(core);
    let pinned = rustix::thread::sched_setaffinity(None, &only);
    if idle.is_err() || pinned.is_err() {
        tracing::debug!(?idle, ?pinned, core, "the core may fall asleep between commits");
    }
    idle.is_ok() && pinned.is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_lowest_priority_on(_: usize) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn rest(awake: &Awake) -> bool {
        awake.keepers.iter().all(|keeper| keeper.rests.load(Ordering::SeqCst))
    }

    #[test]
    fn threads_that_keep_cores_awake_rest_a_while_after_the_last_commit() {
        let awake = Awake::new(Duration::from_millis(1), true);
        for _ in 0..3 {
            awake.touch();
            let has_ended = |keeper: &Keeper| keeper.thread.is_finished();
            while !rest(&awake) {
                if awake.keepers.iter().any(has_ended) {
                    return; // This system gives no thread the lowest priority.
                }
                std::thread::yield_now();
            }
            assert!(awake.vigil.is_over(), "they rested before it was time");
        }
    }

    #[test]
    fn no_core_is_kept_awake_for_no_time() {
        let awake = Awake::new(Duration::ZERO, true);
        awake.touch();
        assert!(awake.keepers.is_empty());
        assert!(Awake::new(Duration::from_millis(1), false).keepers.is_empty());
    }
}
