use std::time::Duration;

use super::TenantLimits;
use forge_journal::RetryPolicy;
use forge_sandbox::EngineLimits;

/// What bounds guests, requests and the host. Every limit can be set; `forge serve`
/// has flags for those that operators want.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What bounds a tenant, unless it has limits of its own.
    pub tenant: TenantLimits,
    /// Fuel for `describe` at upload. Default 50 million: it only builds a list.
    pub fuel_for_describe: u64,
    /// How long a component may take to compile. Default 60 s: a Rust workflow takes one.
    pub compile_time: Duration,
    /// Memory that compiling a component may take, in bytes. Default 2 GiB. Where components are compiled in the
    /// host's own process, only their size bounds that.
    pub compile_memory: u64,
    /// Instances in memory at once. When all places are taken, the run that has waited for a timer
    /// for longest leaves memory; further runs wait for a place. Default 1,000: at about 60 KB for a
    /// parked instance that is some 60 MB.
    pub live_instances: u32,
    /// A run that waits for nothing but timers for longer than this leaves memory. Default 10 s.
    pub evict_after: Duration,
    /// How long a run that must leave memory waits for answers to its requests, so that they need
    /// not be sent again. Default 3 s: well below the 5 s within which the host stops.
    pub leave_patience: Duration,
    /// How failed compensations are retried. Default 5 attempts after 1, 2, 4 and 8 s.
    pub compensation_retry: RetryPolicy,
    /// Bytes of journal that may wait for the disk; when it is slower than the runs, the runs wait. One tenant may
    /// have half of it. Default 64 MiB: far more than one commit takes.
    pub write_queue_bytes: usize,
    /// How long the host waits before it tries again to work with a store that failed. Default 1 s.
    pub store_retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tenant: TenantLimits::default(),
            fuel_for_describe: 50_000_000,
            compile_time: Duration::from_secs(60),
            compile_memory: 2 << 30,
            live_instances: 1_000,
            evict_after: Duration::from_secs(10),
            leave_patience: Duration::from_secs(3),
            compensation_retry: RetryPolicy { max_attempts: 5, backoff_ms: 1_000, max_backoff_ms: 60_000 },
            write_queue_bytes: 64 << 20,
            store_retry: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// The limits of the sandbox's engine.
    pub fn engine(&self) -> EngineLimits {
        EngineLimits {
            live_instances: self.live_instances,
            instance: self.tenant.instance(),
            fuel_for_describe: self.fuel_for_describe,
            compile_time: self.compile_time,
            compile_memory: self.compile_memory,
        }
    }
}
