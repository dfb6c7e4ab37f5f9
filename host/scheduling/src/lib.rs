//! Fair queues, permits and rate limits.
//!
//! Tenants share instances in memory, CPU time and the write queue. Wherever several wait, [`FairQueue`] gives them
//! their turn. The crate knows no tenants: a key of any type stands for one.

mod cpu_permits;
mod fair_queue;
mod instance_permits;
mod rate_limiter;

pub use cpu_permits::{CpuMeter, CpuPermit, CpuPermits};
pub use fair_queue::FairQueue;
pub use instance_permits::{Evictable, InstancePermit, InstancePermits};
pub use rate_limiter::RateLimiter;
