//! Whether it is worth staying awake for an answer.
//!
//! While runs follow each other closely and have no company, a core that falls asleep takes longer to come back than
//! the work that follows. For so long, threads that do nothing keep cores awake (`store/awake.rs`), and who waits for
//! an answer from a server nearby keeps its core.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::line::{LONGEST, looking_until};

/// For how long after runs have committed together nobody stays awake, in microseconds: they keep the cores awake
/// themselves, and whoever does nothing would be in somebody's way for a moment.
const CROWDED_US: u64 = 10_000;

/// Knows whether runs follow each other closely. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vigil(Arc<Shared>);

struct Shared {
    began: Instant,
    /// For how long after the last commit, in microseconds.
    time: u64,
    /// Until when, in microseconds since `began`.
    until: AtomicU64,
    /// Until when nobody stays awake, in microseconds since `began`.
    crowded_until: AtomicU64,
    /// Whether there is a core for others when somebody keeps one.
    may_keep_core: bool,
    /// Somebody keeps a core.
    is_kept: AtomicBool,
}

impl Vigil {
    /// For so long after each commit of a run without company; zero: not at all.
    pub(crate) fn new(time: Duration, may_keep_core: bool) -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            time: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            until: AtomicU64::new(0),
            crowded_until: AtomicU64::new(0),
            may_keep_core,
            is_kept: AtomicBool::new(false),
        }))
    }

    /// A run without company commits, or has committed. Whether it is worth staying awake for what comes next.
    pub(crate) fn touch(&self) -> bool {
        let now = self.0.now();
        if self.0.time == 0 || now < self.0.crowded_until.load(Ordering::Relaxed) {
            return false;
        }
        self.0.until.store(now.saturating_add(self.0.time), Ordering::SeqCst);
        true
    }

    /// Several runs commit at once.
    pub(crate) fn crowded(&self) {
        self.0.crowded_until.store(self.0.now().saturating_add(CROWDED_US), Ordering::Relaxed);
        self.0.until.store(0, Ordering::SeqCst);
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// How long it lasts, if nothing else happens.
    fn left(&self) -> Duration {
        Duration::from_micros(self.0.until.load(Ordering::SeqCst).saturating_sub(self.0.now()))
    }

    /// Waits for an answer, without letting go of the core for a moment if that is worth it and `may_keep_core`: whoever
    /// has something else to do meanwhile may not.
    pub(crate) async fn over<F: Future>(&self, may_keep_core: bool, answer: F) -> F::Output {
        let mut answer = pin!(answer);
        std::future::poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            let core = if may_keep_core { self.keep_core() } else { None };
            let Some(core) = core else { return Poll::Pending };
            loop {
                let (polled, found) = looking_until(core.until, || answer.as_mut().poll(context));
                if polled.is_ready() || !found {
                    return polled;
                }
            }
        })
        .await
    }

    /// The right to keep a core for a moment: one at a time has it, so that there are others for whoever has
    /// something to do.
    fn keep_core(&self) -> Option<Kept<'_>> {
        let left = self.left().min(LONGEST);
        if left.is_zero() || !self.0.may_keep_core || self.0.is_kept.swap(true, Ordering::Acquire) {
            return None;
        }
        Some(Kept { until: Instant::now() + left, is_kept: &self.0.is_kept })
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Somebody keeps a core.
struct Kept<'v> {
    until: Instant,
    is_kept: &'v AtomicBool,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.is_kept.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt as _;

    use super::*;

    /// Longer than any test may take.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn it_begins_with_a_commit_and_ends_when_there_is_company() {
        let vigil = Vigil::new(LONG, true);
        assert!(vigil.is_over() && vigil.keep_core().is_none());
        assert!(vigil.touch() && !vigil.is_over());
        vigil.crowded();
        assert!(vigil.is_over() && vigil.keep_core().is_none());
        assert!(!vigil.touch() && vigil.is_over(), "the company is not gone at once");
    }

    #[test]
    fn for_no_time_there_is_none() {
        let vigil = Vigil::new(Duration::ZERO, true);
        assert!(!vigil.touch() && vigil.is_over());
    }

    #[test]
    fn one_at_a_time_keeps_a_core_and_not_the_only_one() {
        let vigil = Vigil::new(LONG, true);
        vigil.touch();
        let kept = vigil.keep_core();
        assert!(kept.is_some() && vigil.keep_core().is_none());
        drop(kept);
        assert!(vigil.keep_core().is_some());
        let only = Vigil::new(LONG, false);
        assert!(only.touch() && only.keep_core().is_none());
    }

    #[test]
    fn an_answer_is_polled_for_once_more_only_by_who_may_keep_a_core() {
        let vigil = Vigil::new(LONG, true);
        let polls = |may_keep_core| {
            let polls = Cell::new(0);
            let answer = std::future::poll_fn(|_| {
                polls.set(polls.get() + 1);
                Poll::<()>::Pending
            });
            assert_eq!(vigil.over(may_keep_core, answer).now_or_never(), None);
            polls.get()
        };
        assert_eq!((polls(true), polls(false)), (1, 1));
        vigil.touch();
        assert_eq!((polls(true), polls(false)), (2, 1));
        assert!(vigil.keep_core().is_some(), "whoever has kept it lets go of it");
    }
}
