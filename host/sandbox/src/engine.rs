//! Compiling components, and running them.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use forge_journal::{Failure, PauseReason, Session, kind};
use tokio::sync::Semaphore;
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Store, Trap, UpdateDeadline, component};

use super::bindings::WorkflowPre;
use super::cache::Cache;
use super::execution::Execution;
use super::settings::{SPARE_INSTANCES, new_engine, start_ticker};
use super::state::InstanceState;
use super::{Compiler, EngineLimits, Host, InstanceLimits, InvalidComponent, Stop, fuel, imports, inspect};

/// Epochs for which a guest may compute at first: one has begun already.
pub(super) const EPOCHS: u64 = 2;

/// What wasmtime says of a call that passes more than it may. The type of this error is private to wasmtime.
const PASSED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";

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
pub struct Component(WorkflowPre<InstanceState>);

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
    linker: Linker<InstanceState>,
    limits: EngineLimits,
    cache: Option<Cache>,
    compiler: Compiler,
    /// The instances that may be there for `describe`.
    describing: Semaphore,
    /// Ends the thread that advances the epoch, when dropped.
    _ticker: SyncSender<()>,
}

impl Engine {
    /// Sets up the engine. Compiled components are kept in the folder `cache`.
    ///
    /// # Errors
    /// [`EngineError`] if this machine cannot run it.
    pub fn new(limits: EngineLimits, cache: Option<&Path>, compiler: Compiler) -> Result<Self, EngineError> {
        let error = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let engine = new_engine(&limits).map_err(error)?;
        let mut linker = Linker::new(&engine);
        imports::add_to_linker(&mut linker).map_err(error)?;
        let ticker = start_ticker(&engine).map_err(|error| EngineError(error.to_string()))?;
        let cache = cache.and_then(|folder| {
            let opened = Cache::open(folder, &engine);
            let unusable = |error: &std::io::Error| {
                tracing::warn!(folder = %folder.display(), %error, "compiled components cannot be kept there");
            };
            opened.inspect_err(unusable).ok()
        });
        let describing = Semaphore::new(SPARE_INSTANCES as usize);
        Ok(Self { engine, linker, limits, cache, compiler, describing, _ticker: ticker })
    }

    /// Checks and compiles the component with this digest, or takes it from the cache. It is not in the cache
    /// afterwards unless it is [kept](Self::keep). Takes long: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`InvalidComponent`] if it is none that runs here.
    pub fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Component, InvalidComponent> {
        if let Some(compiled) = self.cache.as_ref().and_then(|cache| cache.get(&self.engine, digest)) {
            return self.link(&compiled);
        }
        inspect(bytes)?;
        let compiled = self.compiler.compile(&self.engine, bytes)?;
        self.link(&compiled)
    }

    /// Keeps what was compiled on disk, unless it is there. Only what is registered, or uploads that are refused would
    /// fill the disk. Call it where blocking is allowed.
    pub fn keep(&self, digest: &str, component: &Component) {
        if let Some(cache) = self.cache.as_ref().filter(|cache| !cache.has(digest)) {
            cache.put(digest, component.0.instance_pre().component());
        }
    }

    fn link(&self, compiled: &component::Component) -> Result<Component, InvalidComponent> {
        let mismatch = |error: wasmtime::Error| {
            InvalidComponent(format!(
                "the component does not fit the world forge:workflow/workflow@0.1.0 ({error:#}): build it with the \
                 SDK of this host's version, and name its workflows in `forge::export!`"
            ))
        };
        let pre: InstancePre<InstanceState> = self.linker.instantiate_pre(compiled).map_err(mismatch)?;
        Ok(Component(WorkflowPre::new(pre).map_err(mismatch)?))
    }

    /// Asks a component for its workflows.
    ///
    /// # Errors
    /// [`InvalidComponent`] if it traps, computes for too long, or describes nothing usable.
    pub async fn describe(&self, component: &Component) -> Result<Vec<Described>, InvalidComponent> {
        // It is never closed. Without a turn an upload would take the place of a run.
        let _turn = self.describing.acquire().await;
        let mut store =
            self.store(InstanceState::without_run(&self.limits.instance), self.limits.fuel_for_describe);
        let called = async {
            let instance = component.0.instantiate_async(&mut store).await?;
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

    /// Runs a guest until it returns, traps or is stopped, and gives back the session and the host. `None`: a panic of
    /// the host lost them.
    pub async fn run<H: Host>(
        &self,
        component: &Component,
        session: Session,
        limits: Arc<InstanceLimits>,
        host: Box<H>,
    ) -> Option<(End, Session, Box<H>)> {
        let limit = limits.fuel_per_activation;
        let execution = Execution::new(session, limits, host);
        let fuel = execution.fuel();
        let (workflow, version, input) = execution.arguments();
        let mut store = self.store(InstanceState::new(execution), fuel);
        store.data_mut().acquire_cpu().await;
        let called = async {
            let instance = component.0.instantiate_async(&mut store).await?;
            instance.call_run(&mut store, &workflow, version, &input).await
        };
        let returned = called.await;
        let left = store.get_fuel().unwrap_or_default();
        let mut state = store.into_data();
        state.account(left);
        state.release_cpu();
        let trapped = returned.as_ref().err().map(|error| self.classify(error, &mut state, limit));
        let (execution, stop) = state.into_parts();
        let mut execution = execution?;
        let end = match (stop, returned, trapped) {
            (Some(Stop::Failed(failure)), ..) | (None, _, Some(failure)) => trap(&execution, failure),
            (Some(stop), ..) => End::Stopped(stop),
            (None, returned, None) => {
                match returned.map(|returned| execution.returned(returned.map_err(Failure::from))) {
                    Ok(Err(Stop::Failed(failure))) => trap(&execution, failure),
                    Ok(Err(stop)) => End::Stopped(stop),
                    Ok(Ok(())) | Err(_) => End::Returned,
                }
            }
        };
        let host: Box<dyn Any> = execution.host;
        Some((end, execution.session, host.downcast().ok()?))
    }

    fn store(&self, mut state: InstanceState, fuel: u64) -> Store<InstanceState> {
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
        store.epoch_deadline_callback(|mut store| {
            fuel::settle(&mut store)?;
            let state = store.data_mut();
            state.release_cpu();
            let (saving, permit) = (state.save(), state.acquire_cpu());
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async {
                    match saving {
                        Some(saving) => saving.await,
                        None => tokio::task::yield_now().await,
                    }
                    permit.await;
                }),
            ))
        });
        store
    }

    /// What an error from wasmtime means to the author of the workflow.
    fn classify(&self, error: &wasmtime::Error, state: &mut InstanceState, fuel: u64) -> Failure {
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

/// The first time, the guest went on from here: then it is not the workflow that failed.
fn trap(execution: &Execution, failure: Failure) -> End {
    if execution.is_past_replay() {
        return End::Trapped(failure);
    }
    let message = format!(
        "nondeterminism: the workflow trapped ({failure}) where the journal goes on. Nothing is lost: look for \
         what the workflow does differently each time; resume the run once that is mended, or cancel it"
    );
    End::Stopped(Stop::Pause(PauseReason::Nondeterminism, message))
}
