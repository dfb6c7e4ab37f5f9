//! How wasmtime is set up.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::size;
use super::{EngineLimits, fuel};

/// How often a computing guest gives way to others.
const EPOCH: Duration = Duration::from_millis(10);

/// Instances beyond those of runs, for `describe`.
pub(super) const SPARE_INSTANCES: u32 = 16;

/// Bytes of a free place's memory that stay with the process: what an ordinary workflow touches.
const KEEP_RESIDENT: usize = 1 << 20;

/// The same of its tables: 8,000 function pointers, some times what an ordinary workflow has.
const KEEP_TABLES: usize = 64 << 10;

/// Core instances, memories and tables that a component may consist of: a Rust workflow has one
/// module, and the two that adapt its imports.
pub(super) const CORE_INSTANCES: u32 = 8;
pub(super) const MEMORIES: u32 = 2;
pub(super) const TABLES: u32 = 4;

/// What is compiled and how it runs.
pub(super) fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(allocation)
        // One core is left to the runs while another compiles.
        .parallel_compilation(false)
        .memory_init_cow(true)
        .consume_fuel(true)
        .operator_cost(fuel::instructions())
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_component_model(true);
    config
}

/// The engine with the best way to allocate instances that this machine allows.
pub(super) fn new_engine(limits: &EngineLimits) -> wasmtime::Result<wasmtime::Engine> {
    // A place's memory is reset by writing to the pages that its last instance has changed, if the
    // kernel can tell which they are (Linux 6.7): unmapping them interrupts every core.
    let mut scanning = pool(limits);
    scanning.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEEP_RESIDENT);
    let with = |pool| wasmtime::Engine::new(&config(InstanceAllocationStrategy::Pooling(pool)));
    with(scanning).or_else(|_| with(pool(limits))).or_else(|pooling| {
        // Pooled instances are made in microseconds, but reserve address space for all of them at
        // once, which a container may deny.
        tracing::warn!(error = %pooling, "no address space for pooled instances: allocating each on demand");
        wasmtime::Engine::new(&config(InstanceAllocationStrategy::OnDemand))
    })
}

fn pool(limits: &EngineLimits) -> PoolingAllocationConfig {
    let instances = limits.live_instances.saturating_add(SPARE_INSTANCES);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_memories(instances.saturating_mul(MEMORIES))
        .total_tables(instances.saturating_mul(TABLES))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(size(limits.instance.memory_bytes))
        .table_elements(size(limits.instance.table_elements))
        .table_keep_resident(KEEP_TABLES);
    pool
}

/// Advances the epoch from a thread of its own: the runtime's threads may all be computing.
pub(super) fn start_ticker(engine: &wasmtime::Engine) -> std::io::Result<SyncSender<()>> {
    let (ticker, stopped) = sync_channel::<()>(0);
    let engine = engine.weak();
    std::thread::Builder::new().name("forge-epoch".to_owned()).spawn(move || {
        while stopped.recv_timeout(EPOCH) == Err(RecvTimeoutError::Timeout) {
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => break,
            }
        }
    })?;
    Ok(ticker)
}
