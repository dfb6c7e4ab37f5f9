use std::time::Duration;

use crate::journal::RetryPolicy;

/// What bounds guests, requests and the host. Every limit can be set; `forge serve`
/// has flags for those that operators want.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Fuel (about one unit per wasm instruction) from one wait of the guest to the next. Default
    /// 5 billion, some seconds of computing: far beyond what orchestration needs, and short enough
    /// that an endless loop ends while somebody watches.
    pub fuel_per_activation: u64,
    /// Fuel for `describe` at upload. Default 50 million: it only builds a list.
    pub fuel_for_describe: u64,
    /// Bytes of linear memory of one instance, summed over its memories. Default 64 MiB.
    pub memory_bytes: usize,
    /// Elements of one instance's tables. Default 100,000: function pointers of a large module.
    pub table_elements: usize,
    /// Bytes of a component at upload. Default 16 MiB: a Rust workflow has about a tenth of one.
    pub module_bytes: usize,
    /// Bytes of an input, an output or a step's result. Default 1 MiB: the journal is no blob store.
    pub payload_bytes: usize,
    /// Bytes of an answer to a guest's HTTP request. Default 4 MiB.
    pub response_bytes: usize,
    /// How long a guest's HTTP request may take if it does not say. Default 60 s.
    pub http_timeout: Duration,
    /// HTTP requests of guests that may be under way at once; further ones wait, within their time. Default 1,000:
    /// as many as there are instances.
    pub http_requests: usize,
    /// Calls that one run may make, compensations apart. Default 100,000;
    /// [`Limits::MOST_CALLS_PER_RUN`] at most.
    pub calls_per_run: u64,
    /// Calls that one run may have under way at once. Default 1,000.
    pub calls_outstanding: usize,
    /// How long a component may take to compile. Default 60 s: a Rust workflow takes one.
    pub compile_time: Duration,
    /// Memory that compiling a component may take, in bytes. Default 2 GiB. Where components are compiled in the
    /// host's own process, only their size bounds that.
    pub compile_memory: u64,
    /// What one run may log while it is in memory, in bytes; further lines are dropped, and that is said once.
    /// Default 1 MiB.
    pub log_bytes_per_run: u64,
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
    /// Starts that may wait at once, to become durable or for a place in memory; further ones are
    /// refused (429). Default 10,000: some seconds of work, after which a caller would give up.
    pub start_queue: usize,
    /// Bytes of journal that may wait for the disk; when it is slower than the runs, the runs wait.
    /// Default 64 MiB: far more than one commit takes.
    pub write_queue_bytes: usize,
    /// How long the host waits before it tries again to work with a store that failed. Default 1 s.
    pub store_retry: Duration,
}

impl Limits {
    /// More calls than this no run may make: a store has room for twice as many, for as many
    /// compensations.
    pub const MOST_CALLS_PER_RUN: u64 = (1 << 23) - 1;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_per_activation: 5_000_000_000,
            fuel_for_describe: 50_000_000,
            memory_bytes: 64 << 20,
            table_elements: 100_000,
            module_bytes: 16 << 20,
            payload_bytes: 1 << 20,
            response_bytes: 4 << 20,
            http_timeout: Duration::from_secs(60),
            http_requests: 1_000,
            calls_per_run: 100_000,
            calls_outstanding: 1_000,
            compile_time: Duration::from_secs(60),
            compile_memory: 2 << 30,
            log_bytes_per_run: 1 << 20,
            live_instances: 1_000,
            evict_after: Duration::from_secs(10),
            leave_patience: Duration::from_secs(3),
            compensation_retry: RetryPolicy { max_attempts: 5, backoff_ms: 1_000, max_backoff_ms: 60_000 },
            start_queue: 10_000,
            write_queue_bytes: 64 << 20,
            store_retry: Duration::from_secs(1),
        }
    }
}
