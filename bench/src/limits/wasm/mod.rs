//! wasmtime alone: an instance and a call of the same component, with imports that record nothing.

mod bindings;
mod imports;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use self::bindings::{Workflow, WorkflowPre};
use self::imports::Imports;

/// What the host gives a run by default.
const FUEL: u64 = 5_000_000_000;

/// One instance is there at a time; a pool reuses its place.
const PLACES: u32 = 8;

/// Instances between two looks at the clock.
const BATCH: u32 = 32;

/// Whether guests pay for instructions, as in the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fuel {
    /// They do.
    On,
    /// They do not.
    Off,
}

/// The component, compiled.
pub(crate) struct Bare {
    engine: Engine,
    component: WorkflowPre<Imports>,
    fuel: Fuel,
}

impl Bare {
    /// Compiles the component with the host's settings, apart from fuel.
    pub(crate) fn new(component: &[u8], fuel: Fuel) -> Result<Self> {
        let engine = engine(fuel)?;
        let component = Component::from_binary(&engine, component)?;
        let mut linker = Linker::new(&engine);
        Workflow::add_to_linker::<_, HasSelf<_>>(&mut linker, |imports| imports)?;
        let pre: InstancePre<Imports> = linker.instantiate_pre(&component)?;
        Ok(Self { engine, component: WorkflowPre::new(pre)?, fuel })
    }

    /// Microseconds for one instance and one call, on average over this time.
    pub(crate) async fn measure(&self, workflow: &str, input: &Value, time: Duration) -> Result<f64> {
        let input = input.to_string();
        let began = Instant::now();
        let mut calls = 0_u32;
        while began.elapsed() < time {
            for _ in 0..BATCH {
                self.call(workflow, &input).await?;
            }
            calls += BATCH;
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
    }

    async fn call(&self, workflow: &str, input: &String) -> Result<()> {
        let mut store = Store::new(&self.engine, Imports::default());
        if self.fuel == Fuel::On {
            store.set_fuel(FUEL)?;
        }
        store.epoch_deadline_async_yield_and_update(1);
        let instance = self.component.instantiate_async(&mut store).await?;
        let returned = instance.call_run(&mut store, workflow, 1, input).await?;
        let failure = returned.err().map(|failure| failure.message);
        ensure!(failure.is_none(), "the workflow failed without a host: {}", failure.unwrap_or_default());
        Ok(())
    }
}

/// As in `host/src/engine/sandbox.rs`: with a kernel that says which pages an instance has changed, if
/// there is one.
fn engine(fuel: Fuel) -> Result<Engine> {
    let mut scanning = pool();
    scanning.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(1 << 20);
    Ok(Engine::new(&config(fuel, scanning)).or_else(|_| Engine::new(&config(fuel, pool())))?)
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(PLACES)
        .total_core_instances(PLACES * 8)
        .total_memories(PLACES * 2)
        .total_tables(PLACES * 4)
        .total_stacks(PLACES)
        .max_core_instances_per_component(8)
        .max_memories_per_component(2)
        .max_tables_per_component(4)
        .max_memory_size(64 << 20)
        .table_elements(100_000);
    pool
}

fn config(fuel: Fuel, pool: PoolingAllocationConfig) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .consume_fuel(fuel == Fuel::On)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_component_model(true);
    config
}
