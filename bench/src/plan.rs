//! How much is measured.

use std::time::Duration;

/// Runs in flight at which throughput is measured.
pub(crate) const IN_FLIGHT: [u32; 4] = [1, 16, 64, 256];

/// Steps of a run where nothing else is said.
pub(crate) const STEPS: u32 = 10;

/// Steps of a run whose requests leave all at once.
pub(crate) const PARALLEL_STEPS: u32 = 20;

/// Rows in a commit of SQLite alone. With 64 runs of 10 rows in flight the host has some hundreds.
pub(crate) const BATCHES: [usize; 3] = [64, 256, 1_024];

/// Counts and times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Each round measures everything that is short once, so that what disturbs the machine for a
    /// while disturbs a figure and its limit. The figure is the median of the rounds.
    pub(crate) rounds: u32,
    /// How long a load lasts.
    pub(crate) load: Duration,
    /// How long a load lasts before one that is measured.
    pub(crate) warm_up: Duration,
    /// How long a limit is measured.
    pub(crate) limit: Duration,
    /// Runs during which syncs are counted.
    pub(crate) counted_runs: u64,
}

impl Plan {
    /// What takes about ten minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        load: Duration::from_secs(3),
        warm_up: Duration::from_millis(500),
        limit: Duration::from_millis(700),
        counted_runs: 200,
    };

    /// What takes about two minutes.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        load: Duration::from_secs(1),
        warm_up: Duration::from_millis(300),
        limit: Duration::from_millis(300),
        counted_runs: 50,
    };
}
