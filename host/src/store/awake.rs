//! Keeps the processor from falling asleep between a request, a commit and an answer.
//!
//! With few runs in flight a host is mostly waiting: for the disk, for a server, for a client. Each time its core goes
//! to sleep, and waking it takes longer than the work that follows, above all on virtual machines, where an idle core
//! is given away. So while runs follow each other closely, the kernel is asked for cores that are back at once: then
//! its idle loop waits without letting go of them, and whoever has something to do takes its place as ever
//! (docs/decisions/0016).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where Linux takes the longest time, in microseconds, that a core may take to wake up. It holds while the file is
/// open; of several, the shortest one holds.
const DEVICE: &str = "/dev/cpu_dma_latency";

/// With more cores none is kept awake: all would be, and few of them are needed.
const MOST_CORES: usize = 8;

/// Keeps cores awake for a while. Ends its thread when dropped.
pub(super) struct Awake {
    shared: Arc<Shared>,
    /// None where cores cannot be kept awake, or are not to be.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    began: Instant,
    /// For how long after a commit, in microseconds.
    time: u64,
    /// Until when, in microseconds since `began`.
    until: AtomicU64,
    /// Whether the thread must be woken.
    rests: AtomicBool,
    closed: AtomicBool,
}

impl Awake {
    /// For so long after each commit; zero: not at all.
    pub(super) fn new(time: Duration) -> Self {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            time: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            until: AtomicU64::new(0),
            rests: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let begin = || {
            // What is not allowed is found out now, and not in the middle of a run.
            drop(open()?);
            let theirs = Arc::clone(&shared);
            std::thread::Builder::new().name("forge-awake".to_owned()).spawn(move || theirs.keep_awake())
        };
        let is_wanted = !time.is_zero() && cores() <= MOST_CORES;
        let thread = is_wanted.then(begin).and_then(|began| {
            let cannot =
                |error: &io::Error| tracing::debug!(%error, device = DEVICE, "cores may fall asleep between commits");
            began.inspect_err(cannot).ok()
        });
        Self { shared, thread }
    }

    /// Somebody commits, or has committed.
    pub(super) fn touch(&self) {
        let Some(thread) = &self.thread else { return };
        let Shared { time, until, rests, .. } = &*self.shared;
        until.store(self.shared.now().saturating_add(*time), Ordering::SeqCst);
        if rests.load(Ordering::SeqCst) && rests.swap(false, Ordering::SeqCst) {
            thread.thread().unpark();
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does not panic, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// How long cores are to be kept awake from now on.
    fn left(&self) -> Option<Duration> {
        let left = self.until.load(Ordering::SeqCst).saturating_sub(self.now());
        let is_over = left == 0 || self.closed.load(Ordering::SeqCst);
        (!is_over).then(|| Duration::from_micros(left))
    }

    fn keep_awake(&self) {
        while !self.closed.load(Ordering::SeqCst) {
            if self.left().is_none() {
                self.rests.store(true, Ordering::SeqCst);
                // Who touches after this wakes it.
                if self.left().is_none() {
                    std::thread::park();
                }
                // It may be over again: then whoever comes next must wake it, too.
                continue;
            }
            self.rests.store(false, Ordering::SeqCst);
            let held = hold();
            while let Some(left) = self.left() {
                std::thread::park_timeout(left);
            }
            drop(held);
        }
    }
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE)
}

/// Cores are back at once until this is dropped.
fn hold() -> io::Result<File> {
    let mut file = open()?;
    file.write_all(&0_i32.to_ne_bytes())?;
    Ok(file)
}

/// The machine's cores, and not only those that this process may use.
fn cores() -> usize {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let last = online.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok());
    last.map_or(usize::MAX, |last| last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// What holds now: the shortest time that anybody has asked for.
    fn longest_sleep() -> Option<i32> {
        let mut time = [0; 4];
        open().ok()?.read_exact(&mut time).ok()?;
        Some(i32::from_ne_bytes(time))
    }

    #[test]
    fn cores_are_kept_awake_a_while_after_the_last_commit() {
        let awake = Awake::new(Duration::from_millis(20));
        if awake.thread.is_none() {
            return; // This system does not let us.
        }
        for _ in 0..3 {
            awake.touch();
            while longest_sleep() != Some(0) {
                awake.touch();
            }
            while !awake.shared.rests.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            assert_eq!(awake.shared.left(), None);
        }
    }

    #[test]
    fn whoever_is_woken_too_late_can_be_woken_again() {
        let awake = Awake::new(Duration::from_micros(1));
        if awake.thread.is_none() {
            return;
        }
        for _ in 0..2_000 {
            awake.touch();
            let began = Instant::now();
            while !awake.shared.rests.load(Ordering::SeqCst) {
                assert!(began.elapsed() < Duration::from_secs(60), "nobody would wake it any more");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn no_core_is_kept_awake_for_no_time() {
        let awake = Awake::new(Duration::ZERO);
        awake.touch();
        assert!(awake.thread.is_none());
    }
}
