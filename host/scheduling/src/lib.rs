//! Fair queues, permits and rate limits.
//!
//! The tenants of a host share its resources. This crate has one structure for each:
//!
//! | resource | structure | used by |
//! |---|---|---|
//! | instances in memory | [`InstancePermits`] | the executor, before it instantiates a run |
//! | CPU time | [`CpuPermits`], [`CpuMeter`] | the executor, for each poll of a guest |
//! | the writer | [`FairQueue`] | the store's writer, for its backlog; both kinds of permits, for waiting runs |
//! | reads of callers; compilations; threads that search responses | [`TurnPermits`] | the executor, before it reads for a caller; the registry; egress |
//! | compile time in each hour | [`HourlyAllowance`] | a tenant's account |
//! | starts, lines of logs each second | [`RateLimiter`] | a tenant's account |
//! | bytes in memory | [`ByteBudget`] | egress, for responses; the API, for answers |
//! | requests under way | [`ResizablePermits`] | egress, before it sends a request |
//! | what a tenant may do now | [`Present`] | the directory of tenants, egress |
//! | a server that may hang | [`Attempts`] | the directory of tenants; the PostgreSQL store |
//!
//! A tenant is a key of any type: the crate depends on no other crate of the host.

mod attempts;
mod byte_budget;
mod cpu_permits;
mod fair_queue;
mod hourly_allowance;
mod instance_permits;
mod present;
mod rate_limiter;
mod resizable_permits;
mod turn_permits;

pub use attempts::Attempts;
pub use byte_budget::{ByteBudget, ReservedBytes};
pub use cpu_permits::{CpuMeter, CpuPermit, CpuPermits};
pub use fair_queue::FairQueue;
pub use hourly_allowance::HourlyAllowance;
pub use instance_permits::{Evictable, InstancePermit, InstancePermits};
pub use present::Present;
pub use rate_limiter::RateLimiter;
pub use resizable_permits::{ResizablePermit, ResizablePermits};
pub use turn_permits::{TurnPermit, TurnPermits};
