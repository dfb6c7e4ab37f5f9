use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The period of an allowance.
const HOUR: Duration = Duration::from_secs(3_600);

/// Time of a resource that a tenant may use in each hour. What was used is forgiven at the rate of the allowance, so a tenant
/// that has used all of it may continue a little later, and need not wait for the hour to end.
#[derive(Debug)]
pub struct HourlyAllowance(Mutex<Level>);

#[derive(Debug)]
struct Level {
    used: Duration,
    at: Instant,
}

impl Default for HourlyAllowance {
    fn default() -> Self {
        Self(Mutex::new(Level { used: Duration::ZERO, at: Instant::now() }))
    }
}

impl HourlyAllowance {
    /// Checks that some of the allowance is left. How much a piece of work takes is known at its end, so it may exceed the
    /// allowance by that.
    ///
    /// # Errors
    /// The time after which some of it is left.
    pub fn check(&self, per_hour: Duration) -> Result<(), Duration> {
        let level = self.0.lock();
        let used = level.after(level.at.elapsed(), per_hour);
        if used < per_hour {
            return Ok(());
        }
        let excess = used.saturating_sub(per_hour).as_secs_f64();
        let wait = excess * HOUR.as_secs_f64() / per_hour.as_secs_f64();
        Err(Duration::try_from_secs_f64(wait).unwrap_or(HOUR).max(Duration::from_secs(1)))
    }

    /// Adds time that was used.
    pub fn spend(&self, time: Duration, per_hour: Duration) {
        let mut level = self.0.lock();
        let now = Instant::now();
        level.used = level.after(now.saturating_duration_since(level.at), per_hour).saturating_add(time);
        level.at = now;
    }
}

impl Level {
    /// Returns what counts as used when this time has passed.
    fn after(&self, passed: Duration, per_hour: Duration) -> Duration {
        let forgiven = passed.as_secs_f64() * per_hour.as_secs_f64() / HOUR.as_secs_f64();
        self.used.saturating_sub(Duration::try_from_secs_f64(forgiven).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_HOUR: Duration = Duration::from_secs(60);

    #[test]
    fn an_allowance_that_is_used_up_names_the_time_to_wait_and_comes_back() {
        let allowance = HourlyAllowance::default();
        allowance.spend(Duration::from_secs(59), PER_HOUR);
        allowance.check(PER_HOUR).unwrap();
        allowance.spend(Duration::from_secs(11), PER_HOUR);
        let wait = allowance.check(PER_HOUR).unwrap_err();
        assert!((590..=600).contains(&wait.as_secs()), "10 s more than 60 s are 600 s of an hour: {wait:?}");
        allowance.0.lock().at -= Duration::from_secs(601);
        allowance.check(PER_HOUR).unwrap();
        allowance.0.lock().at -= 2 * HOUR;
        allowance.spend(Duration::from_secs(59), PER_HOUR);
        allowance.check(PER_HOUR).unwrap();
    }
}
