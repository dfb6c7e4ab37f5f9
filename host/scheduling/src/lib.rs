//! Fair queues, permits and rate limits.
//!
//! The tenants of a host share its resources. This crate has one structure for each:
//!
//! | resource | structure | used by |
//! |---|---|---|
//! | instances in memory | [`InstancePermits`] | the executor, before it instantiates a run |
//! | CPU time | [`CpuPermits`], [`CpuMeter`] | the executor, for each poll of a guest |
//! | the writer | [`FairQueue`] | the store's writer, for its backlog; both kinds of permits, for waiting runs |
//! | reads of callers, threads that search answers | [`SharedPermits`] | the executor, before it reads for a caller; egress |
//! | starts each second | [`RateLimiter`] | a tenant's account |
//! | a server that may hang | [`Attempts`] | the directory of tenants; the PostgreSQL store |
//!
//! A tenant is a key of any type: the crate depends on no other crate of the host.

mod attempts;
mod cpu_permits;
mod fair_queue;
mod instance_permits;
mod rate_limiter;
mod shared_permits;

pub use attempts::Attempts;
pub use cpu_permits::{CpuMeter, CpuPermit, CpuPermits};
pub use fair_queue::FairQueue;
pub use instance_permits::{Evictable, InstancePermit, InstancePermits};
pub use rate_limiter::RateLimiter;
pub use shared_permits::{SharedPermit, SharedPermits};
