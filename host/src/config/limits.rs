use std::time::Duration;

use super::{LiveLimits, TenantLimits};
use forge_journal::{LogLevel, RetryPolicy};
use forge_sandbox::EngineLimits;
use forge_store::LogLimits;

/// The limits of guests, requests and the host. `forge serve` has flags for most of them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The limits of a tenant that sets none.
    pub tenant: TenantLimits,
    /// The fuel for `describe` at upload. Default 50 million: it only builds a list.
    pub fuel_for_describe: u64,
    /// The CPU time to compile a component, in whole seconds. Default 10 s: a Rust workflow takes one second, and other uploads
    /// wait meanwhile. By the clock it is six times that, and also for a component that is registered already.
    pub compile_time: Duration,
    /// The memory to compile a component in a child process, in bytes. Default 2 GiB. In the host's own process, only the
    /// component's size bounds it.
    pub compile_memory: u64,
    /// The bytes of uploads' bodies in memory at once; further uploads wait before their bodies are read. Default 64 MiB: four
    /// of the largest components.
    pub upload_memory: u64,
    /// The time for the body of an upload to arrive. Default 60 s: 16 MiB at 2 Mbit/s.
    pub upload_time: Duration,
    /// The number of instance permits: instances in memory at once. If all are taken, the run that has waited for a timer
    /// for the longest time is evicted, and further runs wait for a permit. Default 1,000: about 60 MB of parked instances.
    pub live_instances: u32,
    /// A run that waits only for timers, and for longer than this, is evicted at once; one that waits for an event or a child,
    /// after this time. Default 10 s.
    pub evict_after: Duration,
    /// The time that a run that must leave memory waits for responses to its requests, so that they are not sent again.
    /// Default 3 s: less than the 5 s within which the host stops.
    pub leave_patience: Duration,
    /// The time that a rollback waits for responses to requests under way, so that their steps complete and are compensated,
    /// or their effects are known. Default 30 s: longer than services take that work.
    pub rollback_patience: Duration,
    /// The retry policy of compensations. Default: 5 attempts, after 1, 2, 4 and 8 s.
    pub compensation_retry: RetryPolicy,
    /// The longest time that a response may ask a run to wait, with the header `Retry-After`, before the next attempt of a
    /// step or compensation. Default 1 h: a server that asks for more, by mistake or not, is asked again.
    pub max_retry_after: Duration,
    /// The bytes of journal that may wait for a commit; beyond that, runs wait. One tenant may use half of it. Default
    /// 64 MiB: far more than one commit.
    pub write_queue_bytes: usize,
    /// The bytes of response bodies that the runs of all tenants receive at once; see the tenant's limit
    /// `response_bytes_in_flight`. Default 1 GiB: four tenants at their limit.
    pub response_bytes_in_flight: u64,
    /// The bytes of answers of the API that wait for their clients to read them. One tenant may use a quarter of it. Default
    /// 256 MiB: 37 of the largest answers.
    pub api_answers: u64,
    /// The limits of subscriptions.
    pub live: LiveLimits,
    /// The time until a session of a browser ends, and its user logs in again. Default 12 h: a working day.
    pub session_time: Duration,
    /// The longest time for which a run token may be valid. Default 24 h: a token is in the hands of a browser, and its page can
    /// ask for another one.
    pub run_token_time: Duration,
    /// The level of the lines that are kept with their runs, and of more severe ones; `None`: no line is kept. Default info:
    /// more is for the one who works on a workflow.
    pub kept_log_level: Option<LogLevel>,
    /// The limits of SQLite's write-ahead log.
    pub log: LogLimits,
    /// The time of a read for a caller, such as a list of runs, with the wait for its turn. Default 10 s: clients give up
    /// after about this time.
    pub read_time: Duration,
    /// The time before a failed store is tried again. Default 1 s.
    pub store_retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tenant: TenantLimits::default(),
            fuel_for_describe: 50_000_000,
            compile_time: Duration::from_secs(10),
            compile_memory: 2 << 30,
            upload_memory: 64 << 20,
            upload_time: Duration::from_secs(60),
            live_instances: 1_000,
            evict_after: Duration::from_secs(10),
            leave_patience: Duration::from_secs(3),
            rollback_patience: Duration::from_secs(30),
            compensation_retry: RetryPolicy { max_attempts: 5, backoff_ms: 1_000, max_backoff_ms: 60_000 },
            max_retry_after: Duration::from_secs(3_600),
            write_queue_bytes: 64 << 20,
            response_bytes_in_flight: 1 << 30,
            api_answers: 256 << 20,
            live: LiveLimits::default(),
            session_time: Duration::from_secs(12 * 3_600),
            run_token_time: Duration::from_secs(24 * 3_600),
            kept_log_level: Some(LogLevel::Info),
            log: LogLimits::default(),
            read_time: Duration::from_secs(10),
            store_retry: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// Returns the limits of the WebAssembly engine.
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
