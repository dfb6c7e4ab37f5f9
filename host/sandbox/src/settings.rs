//! The settings of wasmtime.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::size;
use super::{EngineLimits, fuel};

/// Epochs from the start or a wait of a guest until it must yield. The first of them has already begun.
pub(super) const EPOCHS: u64 = 2;

/// The interval at which a computing guest yields.
const EPOCH: Duration = Duration::from_millis(10);

/// The instances beside those of runs, for `describe`.
pub(super) const SPARE_INSTANCES: u32 = 16;

/// The bytes of memory that a free slot of the pool keeps resident: what an ordinary workflow touches.
const KEEP_RESIDENT: usize = 1 << 20;

/// The bytes of tables that a free slot keeps resident: 8,000 function pointers, several times what an ordinary
/// workflow has.
const KEEP_TABLES: usize = 64 << 10;

/// The maximum number of core instances in a component: a Rust workflow has one core module and the two that adapt its
/// imports.
pub(super) const CORE_INSTANCES: u32 = 8;

/// The maximum number of memories in a component.
pub(super) const MEMORIES: u32 = 2;

/// The maximum number of tables in a component.
pub(super) const TABLES: u32 = 4;

/// Returns the settings that decide how components are compiled and run.
pub(super) fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(allocation)
        // Compiling takes one core and leaves the others to the runs.
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

/// Returns an engine with the fastest way to allocate instances that this machine allows.
pub(super) fn new_engine(limits: &EngineLimits) -> wasmtime::Result<wasmtime::Engine> {
    // A slot's memory is reset by writing to the pages that its last instance has changed, if the kernel can name them
    // (Linux 6.7): unmapping pages interrupts every core.
    let mut scanning = pool(limits);
    scanning.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEEP_RESIDENT);
    let with = |pool| wasmtime::Engine::new(&config(InstanceAllocationStrategy::Pooling(pool)));
    with(scanning).or_else(|_| with(pool(limits))).or_else(|pooling| {
        // Pooled instances are created in microseconds, but the pool reserves its address space at once, which a
        // container may deny.
        tracing::warn!(error = %pooling, "cannot reserve address space for the pool of instances: allocating on demand");
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

/// Starts the thread that advances the epoch until the returned sender is dropped. It is a thread of its own because
/// guests may occupy all threads of the runtime.
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
