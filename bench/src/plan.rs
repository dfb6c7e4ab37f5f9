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
    /// How often in a round workloads and their limits take turns.
    pub(crate) turns: u32,
    /// Runs during which syncs or statements are counted. The log is merged some five times meanwhile.
    pub(crate) counted_runs: u64,
    /// W4: runs that are unfinished when the host is killed.
    pub(crate) unfinished_runs: u64,
    /// W5: runs that sleep.
    pub(crate) sleepers: u64,
    /// W5: over how long a time they wake up.
    pub(crate) waking: Duration,
    /// W5: runs that sleep and stay in memory.
    pub(crate) parked_runs: u64,
    /// W6: replays of each length.
    pub(crate) replays: u32,
    /// Finished runs in a database that has aged.
    pub(crate) aged_runs: u64,
    /// How often an aged database is compared with a fresh one.
    pub(crate) comparisons: u32,
}

impl Plan {
    /// What takes about ten minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        load: Duration::from_secs(3),
        warm_up: Duration::from_millis(500),
        limit: Duration::from_millis(700),
        turns: 8,
        counted_runs: 1_000,
        unfinished_runs: 10_000,
        sleepers: 100_000,
        waking: Duration::from_secs(60),
        parked_runs: 2_000,
        replays: 7,
        aged_runs: 100_000,
        comparisons: 3,
    };

    /// What takes about two minutes.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        load: Duration::from_secs(1),
        warm_up: Duration::from_millis(300),
        limit: Duration::from_millis(300),
        turns: 6,
        counted_runs: 100,
        unfinished_runs: 1_000,
        sleepers: 5_000,
        waking: Duration::from_secs(8),
        parked_runs: 500,
        replays: 2,
        aged_runs: 10_000,
        comparisons: 1,
    };
}
