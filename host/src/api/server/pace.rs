//! The time that a client has for sending or reading.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::config::ServerLimits;

/// A client that is waited for. It has a time without progress, and must make progress at
/// [`ServerLimits::LEAST_RATE`] on average: each byte gives a little more time, up to the time without progress.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Duration,
    /// `None` while nothing is waited for.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, deadline: None, timer: None }
    }

    /// Notes that the client has sent or read some bytes.
    pub(super) fn progressed(&mut self, bytes: usize) {
        if let Some(deadline) = self.deadline {
            self.deadline = Some(extended(deadline, Instant::now(), self.patience, bytes));
        }
    }

    /// Notes that nothing more is waited for.
    pub(super) fn done(&mut self) {
        self.deadline = None;
    }

    /// Completes when the client has been waited for too long.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.patience);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }
}

/// Returns when a client is late that has made progress: each byte gives a little more time, and none gives more than all.
fn extended(deadline: Instant, now: Instant, patience: Duration, bytes: usize) -> Instant {
    let gained = Duration::from_micros(bytes as u64 * 1_000_000 / ServerLimits::LEAST_RATE);
    (deadline + gained).min(now + patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the second in which a client is late that is waited for for two minutes.
    fn late(bytes_per_second: u64) -> Option<u32> {
        let mut now = Instant::now();
        let mut deadline = now + PATIENCE;
        for second in 0..120 {
            now += SECOND;
            if now >= deadline {
                return Some(second);
            }
            deadline = extended(deadline, now, PATIENCE, usize::try_from(bytes_per_second).unwrap());
        }
        None
    }

    #[test]
    fn a_client_that_does_nothing_has_its_time_and_no_more() {
        assert_eq!(late(0), Some(29));
    }

    #[test]
    fn a_client_that_is_slower_than_the_least_rate_is_late_after_a_while() {
        assert_eq!(late(2 * ServerLimits::LEAST_RATE), None);
        assert!(late(100).is_some_and(|second| second < 32));
        assert!(late(ServerLimits::LEAST_RATE / 2).is_some_and(|second| second < 62));
    }
}
