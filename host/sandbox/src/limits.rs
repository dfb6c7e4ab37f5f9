//! The limits of instances and of the engine.

use std::time::Duration;

/// The limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceLimits {
    /// The fuel from one wait of the guest to the next.
    pub fuel_per_activation: u64,
    /// The fuel of the run in total, without replays.
    pub fuel_per_run: u64,
    /// The bytes of linear memory, summed over the memories of the instance.
    pub memory_bytes: u64,
    /// The elements of tables, summed over the tables of the instance.
    pub table_elements: u64,
    /// The bytes of an input, an output, a step's result or a request.
    pub payload_bytes: u64,
    /// The bytes that the run may log while it is in memory.
    pub log_bytes_per_run: u64,
    /// The limits of the tenant's store.
    pub db: forge_journal::db::Limits,
}

/// The limits of the engine.
#[derive(Debug, Clone)]
pub struct EngineLimits {
    /// The maximum number of runs' instances in memory.
    pub live_instances: u32,
    /// The upper bound of every instance's limits.
    pub instance: InstanceLimits,
    /// The fuel for `describe` at upload.
    pub fuel_for_describe: u64,
    /// The limit on the CPU time for compiling a component.
    pub compile_time: Duration,
    /// The memory limit for compiling a component, in bytes.
    pub compile_memory: u64,
}

/// Converts a limit to a size in memory. Larger limits become the largest size.
pub(crate) fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
