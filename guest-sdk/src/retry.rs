//! The retry policy of steps.

use std::time::Duration;

use crate::host::step;
use crate::timestamp::millis;

/// The number of attempts of a step and the waits between them. The wait doubles each time.
///
/// Only failures that are [`retryable`](crate::Failure::retryable) are retried. The waits are durable: a
/// restart does not begin a wait again.
///
/// ```
/// use forge::prelude::*;
///
/// // Waits of 1, 2, 4, 5, 5, ... seconds.
/// let policy = RetryPolicy::attempts(8).backoff(Duration::from_secs(1)).max_backoff(Duration::from_secs(5));
/// # let _ = policy;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: u32,
    backoff: Duration,
    max_backoff: Duration,
}

impl RetryPolicy {
    /// Returns a policy of this many attempts, including the first; zero counts as one. The wait before the
    /// second attempt is one second, and no wait is longer than one minute.
    pub fn attempts(max_attempts: u32) -> Self {
        RetryPolicy {
            max_attempts: max_attempts.max(1),
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
        }
    }

    /// Sets the wait before the second attempt.
    pub fn backoff(self, backoff: Duration) -> Self {
        RetryPolicy { backoff, ..self }
    }

    /// Sets the longest wait.
    pub fn max_backoff(self, max_backoff: Duration) -> Self {
        RetryPolicy { max_backoff, ..self }
    }
}

impl From<RetryPolicy> for step::RetryPolicy {
    fn from(policy: RetryPolicy) -> Self {
        step::RetryPolicy {
            max_attempts: policy.max_attempts,
            backoff: millis(policy.backoff),
            max_backoff: millis(policy.max_backoff),
        }
    }
}
