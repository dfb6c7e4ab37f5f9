use tempfile::TempDir;

use crate::{HostBuilder, skewed_clock};

/// A wall clock that the test steps while hosts use it.
pub struct SteppedClock(TempDir);

impl Default for SteppedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SteppedClock {
    /// Returns a clock that is right.
    pub fn new() -> Self {
        let clock = Self(TempDir::new().expect("a temporary folder can be made"));
        clock.step(0);
        clock
    }

    /// Puts the clock this many seconds ahead.
    pub fn step(&self, seconds: i64) {
        let (file, next) = (self.0.path().join("skew"), self.0.path().join("next"));
        std::fs::write(&next, seconds.to_string()).expect("the file can be written");
        std::fs::rename(next, file).expect("the file can be replaced");
    }

    /// Gives a host this clock.
    pub fn applied_to(&self, host: HostBuilder) -> HostBuilder {
        let file = self.0.path().join("skew").display().to_string();
        host.variable("CLOCK_SKEW_FILE", file).variable("LD_PRELOAD", skewed_clock().display().to_string())
    }
}
