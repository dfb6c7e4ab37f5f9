//! Compiling components, and running them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Trap, UpdateDeadline,
};

use super::activation::{Activation, HostState, Stop};
use super::bindings::WorkflowPre;
use super::cache::Cache;
use super::{Compiler, InvalidComponent, host, inspect};
use crate::config::Limits;
use crate::journal::{Failure, PauseReason, kind};

/// How often a computing guest gives way to others.
const EPOCH: Duration = Duration::from_millis(10);

/// Epochs for which a guest may compute at first: one has begun already.
pub(super) const EPOCHS: u64 = 2;

/// Instances beyond those of runs, for `describe`.
const SPARE_INSTANCES: u32 = 16;

/// Bytes of a free place's memory that stay with the process: what an ordinary workflow touches.
const KEEP_RESIDENT: usize = 1 << 20;

/// The same of its tables: 8,000 function pointers, some times what an ordinary workflow has.
const KEEP_TABLES: usize = 64 << 10;

/// Core instances, memories and tables that a component may consist of: a Rust workflow has one
/// module, and the two that adapt its imports.
pub(super) const CORE_INSTANCES: u32 = 8;
pub(super) const MEMORIES: u32 = 2;
pub(super) const TABLES: u32 = 4;

/// The engine cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the WebAssembly engine: {0}")]
pub struct EngineError(String);

/// A compiled component, ready to be instantiated.
#[derive(Clone)]
pub struct Module(WorkflowPre<HostState>);

/// A workflow as a component's `describe` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// How long a run may take, in milliseconds.
    pub timeout_ms: u64,
    /// New runs do not take it unless they ask for it.
    pub deprecated: bool,
}

/// How an execution of a guest ended.
#[derive(Debug)]
pub enum End {
    /// The guest returned. What it returned is in the journal.
    Returned,
    /// The host ended it.
    Stopped(Stop),
    /// The guest trapped: it panicked, or reached a limit.
    Trapped(Failure),
}

/// The wasmtime engine with what it needs.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<HostState>,
    limits: Arc<Limits>,
    cache: Option<Cache>,
    compiler: Compiler,
    /// Ends the thread that advances the epoch, when dropped.
    _ticker: SyncSender<()>,
}

impl Engine {
    /// Sets up the engine. Compiled components are kept in the folder `cache`.
    ///
    /// # Errors
    /// [`EngineError`] if this machine cannot run it.
    pub fn new(limits: Arc<Limits>, cache: Option<&Path>, compiler: Compiler) -> Result<Self, EngineError> {
        let error = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let engine = new_engine(&limits).map_err(error)?;
        let mut linker = Linker::new(&engine);
        host::add_to_linker(&mut linker, &limits).map_err(error)?;
        let ticker = start_ticker(&engine).map_err(|error| EngineError(error.to_string()))?;
        let cache = cache.and_then(|folder| {
            let opened = Cache::open(folder, &engine);
            let unusable = |error: &std::io::Error| {
                tracing::warn!(folder = %folder.display(), %error, "compiled components cannot be kept there");
            };
            opened.inspect_err(unusable).ok()
        });
        Ok(Self { engine, linker, limits, cache, compiler, _ticker: ticker })
    }

    /// Checks and compiles the component with this digest, or takes it from the cache. Takes long:
    /// call it where blocking is allowed.
    ///
    /// # Errors
    /// [`InvalidComponent`] if it is none that runs here.
    pub fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Module, InvalidComponent> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, digest)) {
            return self.link(&component);
        }
        inspect(bytes)?;
        let component = self.compiler.compile(&self.engine, bytes)?;
        let module = self.link(&component)?;
        if let Some(cache) = &self.cache {
            cache.put(digest, &component);
        }
        Ok(module)
    }

    fn link(&self, component: &Component) -> Result<Module, InvalidComponent> {
        let mismatch = |error: wasmtime::Error| {
            InvalidComponent(format!(
                "the component does not fit the world forge:workflow/workflow@0.1.0 ({error:#}): build it with the \
                 SDK of this host's version, and name its workflows in `forge::export!`"
            ))
        };
        let pre: InstancePre<HostState> = self.linker.instantiate_pre(component).map_err(mismatch)?;
        Ok(Module(WorkflowPre::new(pre).map_err(mismatch)?))
    }

    /// Asks a component for its workflows.
    ///
    /// # Errors
    /// [`InvalidComponent`] if it traps, computes for too long, or describes nothing usable.
    pub async fn describe(&self, module: &Module) -> Result<Vec<Described>, InvalidComponent> {
        let mut store = self.store(HostState::without_run(&self.limits), self.limits.fuel_for_describe);
        let called = async {
            let instance = module.0.instantiate_async(&mut store).await?;
            instance.call_describe(&mut store).await
        };
        let infos = match called.await {
            Ok(infos) => infos,
            Err(error) => {
                let failure = self.classify(&error, store.data_mut(), self.limits.fuel_for_describe);
                return Err(InvalidComponent(format!("the component's `describe` failed: {failure}")));
            }
        };
        let described = infos.into_iter().map(|info| Described {
            name: info.name,
            version: info.version,
            timeout_ms: info.timeout,
            deprecated: info.deprecated,
        });
        Ok(described.collect())
    }

    /// Runs the guest of an activation until it returns, traps or is stopped.
    pub async fn run(&self, module: &Module, activation: Activation) -> Option<(End, Activation)> {
        let fuel = activation.limits().fuel_per_activation;
        let (workflow, version, input) = activation.arguments();
        let mut store = self.store(HostState::new(activation, &self.limits), fuel);
        let called = async {
            let instance = module.0.instantiate_async(&mut store).await?;
            instance.call_run(&mut store, &workflow, version, &input).await
        };
        let returned = called.await;
        let mut state = store.into_data();
        let trapped = returned.as_ref().err().map(|error| self.classify(error, &mut state, fuel));
        let (activation, stop) = state.into_parts();
        let mut activation = activation?;
        let end = match (stop, returned, trapped) {
            (Some(Stop::Failed(failure)), ..) | (None, _, Some(failure)) => trap(&activation, failure),
            (Some(stop), ..) => End::Stopped(stop),
            (None, returned, None) => {
                match returned.map(|returned| activation.returned(returned.map_err(Failure::from))) {
                    Ok(Err(Stop::Failed(failure))) => trap(&activation, failure),
                    Ok(Err(stop)) => End::Stopped(stop),
                    Ok(Ok(())) | Err(_) => End::Returned,
                }
            }
        };
        Some((end, activation))
    }

    fn store(&self, state: HostState, fuel: u64) -> Store<HostState> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| state.limiter());
        if let Err(error) = store.set_fuel(fuel) {
            tracing::error!(%error, "fuel is not enabled: the guest will trap at once");
        }
        // A new store's deadline has passed.
        store.set_epoch_deadline(EPOCHS);
        store.epoch_deadline_callback(|mut store| {
            let saving = store.data_mut().take_unsaved();
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async {
                    match saving {
                        Some(saving) => saving.await,
                        None => tokio::task::yield_now().await,
                    }
                }),
            ))
        });
        store
    }

    /// What an error from wasmtime means to the author of the workflow.
    fn classify(&self, error: &wasmtime::Error, state: &mut HostState, fuel: u64) -> Failure {
        if let Some(failure) = state.take_failure() {
            return failure;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Failure::permanent(
                kind::OUT_OF_FUEL,
                format!(
                    "out of fuel: the workflow computed for {fuel} units of fuel without waiting for anything; \
                     look for an endless loop, or move heavy computing out of the workflow"
                ),
            ),
            Some(Trap::StackOverflow) => {
                Failure::permanent(kind::TRAP, "stack overflow: look for a recursion without end")
            }
            Some(trap) => Failure::permanent(kind::TRAP, format!("the workflow trapped: {trap}")),
            None => Failure::permanent(kind::TRAP, format!("the workflow trapped: {error:#}")),
        }
    }
}

/// The first time, the guest went on from here: then it is not the workflow that failed.
fn trap(activation: &Activation, failure: Failure) -> End {
    if activation.is_past_replay() {
        return End::Trapped(failure);
    }
    let message = format!(
        "nondeterminism: the workflow trapped ({failure}) where the journal goes on. Nothing is lost: look for \
         what the workflow does differently each time; resume the run once that is mended, or cancel it"
    );
    End::Stopped(Stop::Pause(PauseReason::Nondeterminism, message))
}

pub(super) fn config(allocation: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(allocation)
        // One core is left to the runs while another compiles.
        .parallel_compilation(false)
        .memory_init_cow(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_component_model(true);
    config
}

/// The engine with the best way to allocate instances that this machine allows.
pub(super) fn new_engine(limits: &Limits) -> wasmtime::Result<wasmtime::Engine> {
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

fn pool(limits: &Limits) -> PoolingAllocationConfig {
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
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements)
        .table_keep_resident(KEEP_TABLES);
    pool
}

/// Advances the epoch from a thread of its own: the runtime's threads may all be computing.
fn start_ticker(engine: &wasmtime::Engine) -> std::io::Result<SyncSender<()>> {
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
