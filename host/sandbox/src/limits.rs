use std::time::Duration;

/// The limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Fuel from one wait of the guest to the next.
    pub fuel_per_activation: u64,
    /// Fuel of the run in all, replays apart.
    pub fuel_per_run: u64,
    /// Bytes of linear memory, summed over the memories of the instance.
    pub memory_bytes: u64,
    /// Elements of the instance's tables.
    pub table_elements: u64,
    /// Bytes of an input, an output, a step's result or a request.
    pub payload_bytes: u64,
    /// Bytes that the run may log while it is in memory.
    pub log_bytes_per_run: u64,
}

/// The limits of the engine.
#[derive(Debug, Clone)]
pub struct EngineLimits {
    /// Instances of runs in memory at once.
    pub live_instances: u32,
    /// The most that any instance may have.
    pub instance: InstanceLimits,
    /// Fuel for `describe` at upload.
    pub fuel_for_describe: u64,
    /// The time that compiling a component may take.
    pub compile_time: Duration,
    /// Bytes of memory that compiling a component may take.
    pub compile_memory: u64,
}

/// Returns a limit as a number of things in memory.
pub(crate) fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
