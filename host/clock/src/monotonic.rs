use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The monotonic clock. On Linux it also goes on while the machine is suspended.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A point in time of the monotonic clock. It goes on while the process is stopped and, on Linux, while the machine is
/// suspended, so it tells how long a node was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// Returns the current time.
    pub fn now() -> Self {
        let now = clock_gettime(CLOCK);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0)))
    }

    /// Returns the milliseconds of the clock.
    pub(super) fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// Returns the time that has passed since.
    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes() {
        let before = Monotonic::now();
        std::thread::yield_now();
        assert!(Monotonic::now() >= before);
        assert!(before + Duration::from_secs(60) > Monotonic::now());
        assert!(before.elapsed() < Duration::from_secs(60));
    }
}
