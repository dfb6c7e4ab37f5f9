use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The minimum time between two refills, so that frequent calls do not lose fractions of a token.
const REFILL: Duration = Duration::from_millis(1);

/// A token bucket that holds the tokens of one second at most. Each tenant has several: for starts, for lines of the audit
/// log, for what its workflows log.
#[derive(Debug)]
pub struct RateLimiter(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    refilled: Instant,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self(Mutex::new(Bucket { tokens: f64::MAX, refilled: Instant::now() }))
    }
}

impl RateLimiter {
    /// Takes a token. Returns `false` if there is none, because the rate is exceeded.
    pub fn try_take(&self, per_second: u64) -> bool {
        self.try_take_many(1, per_second)
    }

    /// Takes this number of tokens, or those of a second if there can never be as many. Returns `false` if there are less.
    pub fn try_take_many(&self, tokens: u64, per_second: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let (rate, tokens) = (per_second as f64, tokens.min(per_second) as f64);
        let mut bucket = self.0.lock();
        let now = Instant::now();
        let passed = now.saturating_duration_since(bucket.refilled);
        if passed > REFILL {
            bucket.tokens += passed.as_secs_f64() * rate;
            bucket.refilled = now;
        }
        bucket.tokens = bucket.tokens.min(rate);
        let has_tokens = bucket.tokens >= tokens;
        if has_tokens {
            bucket.tokens -= tokens;
        }
        has_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_of_tokens_can_be_taken_at_once_and_no_more() {
        let limiter = RateLimiter::default();
        let taken = (0..1_000).filter(|_| limiter.try_take(10)).count();
        assert!((10..=12).contains(&taken), "{taken}");
    }

    #[test]
    fn more_tokens_than_a_second_has_are_taken_once_a_second() {
        let limiter = RateLimiter::default();
        assert!(limiter.try_take_many(1_000, 10) && !limiter.try_take_many(1_000, 10));
    }
}
