//! Compiling components, and running them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use tokio::sync::Semaphore;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Store, Trap, UpdateDeadline};

use super::activation::{Activation, Stop};
use super::bindings::WorkflowPre;
use super::cache::Cache;
use super::settings::{SPARE_INSTANCES, new_engine, start_ticker};
use super::state::HostState;
use super::turns::{Turns, measured};
use super::{Compiler, InvalidComponent, fuel, host, inspect};
use crate::config::{Limits, TenantLimits, size};
use crate::journal::{Failure, PauseReason, kind};

/// Epochs for which a guest may compute at first: one has begun already.
pub(super) const EPOCHS: u64 = 2;

/// What wasmtime says of a call that passes more than it may; its error has no name of its own.
const PASSED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";

/// How much more than its longest text a call may pass: a request has headers, and text may be escaped.
const PASSED_FACTOR: usize = 4;

/// Bytes that a call may pass whatever the limits: the names of a large component's workflows.
const LEAST_PASSED: usize = 1 << 20;

/// Workflows of one component: a large application has some dozen.
const WORKFLOWS: usize = 1_000;

/// Bytes of a workflow's name: what the spec's column holds.
const WORKFLOW_NAME: usize = 255;

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
    /// The instances that may be there for `describe`.
    describing: Semaphore,
    turns: Arc<Turns>,
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
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Turns::new(threads);
        host::add_to_linker(&mut linker, &turns).map_err(error)?;
        let ticker = start_ticker(&engine).map_err(|error| EngineError(error.to_string()))?;
        let cache = cache.and_then(|folder| {
            let opened = Cache::open(folder, &engine);
            let unusable = |error: &std::io::Error| {
                tracing::warn!(folder = %folder.display(), %error, "compiled components cannot be kept there");
            };
            opened.inspect_err(unusable).ok()
        });
        let describing = Semaphore::new(SPARE_INSTANCES as usize);
        Ok(Self { engine, linker, limits, cache, compiler, describing, turns, _ticker: ticker })
    }

    /// Checks and compiles the component with this digest, or takes it from the cache. It is not in the cache
    /// afterwards unless it is [kept](Self::keep). Takes long: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`InvalidComponent`] if it is none that runs here.
    pub fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Module, InvalidComponent> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, digest)) {
            return self.link(&component);
        }
        inspect(bytes)?;
        let component = self.compiler.compile(&self.engine, bytes)?;
        self.link(&component)
    }

    /// Keeps what was compiled on disk, unless it is there. Only what is registered, or uploads that are refused would
    /// fill the disk. Call it where blocking is allowed.
    pub fn keep(&self, digest: &str, module: &Module) {
        if let Some(cache) = self.cache.as_ref().filter(|cache| !cache.has(digest)) {
            cache.put(digest, module.0.instance_pre().component());
        }
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
        // It is never closed. Without a turn an upload would take the place of a run.
        let _turn = self.describing.acquire().await;
        let mut store =
            self.store(HostState::without_run(&self.limits.tenant), self.limits.fuel_for_describe);
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
        if infos.len() > WORKFLOWS {
            return Err(InvalidComponent(format!(
                "the component has {} workflows; the most is {WORKFLOWS}: split it into several",
                infos.len()
            )));
        }
        if let Some(info) = infos.iter().find(|info| info.name.len() > WORKFLOW_NAME) {
            return Err(InvalidComponent(format!(
                "the component has a workflow whose name has {} bytes; the most is {WORKFLOW_NAME}",
                info.name.len()
            )));
        }
        let described = infos.into_iter().map(|info| Described {
            name: info.name,
            version: info.version,
            timeout_ms: info.timeout,
            deprecated: info.deprecated,
        });
        Ok(described.collect())
    }

    /// Runs the guest of an activation until it returns, traps or is stopped.
    pub async fn run(&self, module: &Module, activation: Box<Activation>) -> Option<(End, Box<Activation>)> {
        let fuel = activation.fuel();
        let (workflow, version, input) = activation.arguments();
        let tenant = Arc::clone(activation.tenant());
        let began = Instant::now();
        let mut store = self.store(HostState::new(activation), fuel);
        store.data().take_turn(&self.turns).await;
        let called = async {
            let instance = module.0.instantiate_async(&mut store).await?;
            instance.call_run(&mut store, &workflow, version, &input).await
        };
        let returned = measured(&tenant.account, called).await;
        tenant.account.stayed(began.elapsed());
        let left = store.get_fuel().unwrap_or_default();
        let mut state = store.into_data();
        state.account(left);
        let limit = tenant.limits.fuel_per_activation;
        let trapped = returned.as_ref().err().map(|error| self.classify(error, &mut state, limit));
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

    fn store(&self, mut state: HostState, fuel: u64) -> Store<HostState> {
        state.refuelled(fuel);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| state.limiter());
        if let Err(error) = store.set_fuel(fuel) {
            tracing::error!(%error, "fuel is not enabled: the guest will trap at once");
        }
        let most = store.data().most_passed;
        store.set_hostcall_fuel(most);
        // A new store's deadline has passed.
        store.set_epoch_deadline(EPOCHS);
        let turns = Arc::clone(&self.turns);
        store.epoch_deadline_callback(move |mut store| {
            fuel::settle(&mut store)?;
            let state = store.data_mut();
            state.give_way();
            let (saving, turn) = (state.take_unsaved(), state.take_turn(&turns));
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async {
                    match saving {
                        Some(saving) => saving.await,
                        None => tokio::task::yield_now().await,
                    }
                    turn.await;
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
                    "out of fuel: the workflow computed for {fuel} units of fuel (fuel_per_activation) without waiting \
                     for anything; \
                     look for an endless loop, or move heavy computing out of the workflow"
                ),
            ),
            Some(Trap::StackOverflow) => {
                Failure::permanent(kind::TRAP, "stack overflow: look for a recursion without end")
            }
            Some(trap) => Failure::permanent(kind::TRAP, format!("the workflow trapped: {trap}")),
            None if format!("{error:#}").contains(PASSED_TOO_MUCH) => {
                let most = state.most_passed;
                let what = "the workflow passed more than";
                Failure::permanent(
                    kind::LIMIT,
                    format!("{what} {most} bytes to the host in one call, the most allowed (payload_bytes)"),
                )
            }
            None => Failure::permanent(kind::TRAP, format!("the workflow trapped: {error:#}")),
        }
    }
}

/// Bytes that a guest may pass to the host in one call. What is somewhat larger than it may be is refused with an
/// error that names it; what is much larger is not even copied.
pub(super) fn most_passed(limits: &TenantLimits) -> usize {
    size(limits.payload_bytes).saturating_mul(PASSED_FACTOR).max(LEAST_PASSED)
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
