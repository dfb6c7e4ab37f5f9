//! When a failed step is tried again.

use std::time::Duration;

use crate::host::step;
use crate::time::millis;

/// When and how often a failed attempt of a step is tried again. The wait doubles each time.
///
/// Only failures that are [`retryable`](crate::Failure::retryable) are tried again. The waits are
/// durable: a restart in the middle does not begin them anew.
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
    /// This many attempts in all, the first included, with a wait of one second before the second,
    /// and of no more than a minute before any. Zero is taken as one.
    pub fn attempts(max_attempts: u32) -> Self {
        RetryPolicy {
            max_attempts: max_attempts.max(1),
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
        }
    }

    /// The wait before the second attempt.
    pub fn backoff(self, backoff: Duration) -> Self {
        RetryPolicy { backoff, ..self }
    }

    /// The longest wait.
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
