//! The wasmtime engine: compiles, describes and runs components.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use forge_journal::{Failure, PauseReason, Session};
use tokio::sync::Semaphore;
use wasmtime::component::{Instance, InstancePre, Linker};
use wasmtime::{Store, UpdateDeadline, component};

use super::bindings::schemas::{InputSchema, InputSchemas};
use super::bindings::{Workflow, WorkflowPre};
use super::cache::{Cache, CacheFolder, OpenError};
use super::compiler::blocking;
use super::execution::Execution;
use super::failure::classify;
use super::settings::{EPOCHS, SPARE_INSTANCES, new_engine, start_ticker};
use super::state::{InstanceState, settle};
use super::{
    Compiler, EngineLimits, Host, InstanceLimits, InvalidComponent, Stop, check_work, imports, inspect,
};

/// The maximum number of workflows in one component. A large application has some dozen.
const WORKFLOWS: usize = 1_000;

/// The maximum size of a workflow's name, in bytes: the width of the column in the spec.
const WORKFLOW_NAME: usize = 255;

/// The export with the schemas of inputs, which components need not have.
const INPUT_SCHEMAS: &str = "input-schemas";

/// How many times the limit on CPU time a registered component may take. Versions before had a limit of one minute.
const REGISTERED_FACTOR: u32 = 6;

/// The error of an engine that cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// This machine cannot run WebAssembly with these limits.
    #[error("cannot set up the WebAssembly engine: {0}")]
    Machine(String),
    /// The folder for compiled components is not safe to use, or belongs to something else.
    #[error("{0}")]
    Cache(String),
}

/// A compiled component, ready to be instantiated.
#[derive(Clone)]
pub struct Component(WorkflowPre<InstanceState>);

/// A workflow as the component's `describe` returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The workflow's name.
    pub name: String,
    /// The workflow's version.
    pub version: u32,
    /// The timeout of a run, in milliseconds of wall-clock time.
    pub timeout_ms: u64,
    /// Whether new runs take this version only if they ask for it.
    pub deprecated: bool,
    /// The JSON Schema of the input, unchecked; `None` if the component exports none.
    pub input_schema: Option<String>,
}

/// How an execution of a guest ended.
#[derive(Debug)]
pub enum End {
    /// The guest returned, and the session has recorded its result.
    Returned,
    /// The host stopped the guest.
    Stopped(Stop),
    /// The guest trapped: it panicked, or reached a limit.
    Trapped(Failure),
}

/// The wasmtime engine, with the compiler and the cache of compiled components.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<InstanceState>,
    limits: EngineLimits,
    cache: Option<Cache>,
    compiler: Compiler,
    /// Permits for the instances that execute `describe`.
    describing: Semaphore,
    /// Stops the thread that advances the epoch, when dropped.
    _ticker: SyncSender<()>,
}

impl Engine {
    /// Creates an engine that keeps compiled components in the folder `cache`. Without a folder it keeps none.
    ///
    /// # Errors
    /// [`EngineError`] if this machine cannot run WebAssembly with these limits, or if others could write to the cache.
    pub fn new(
        limits: EngineLimits,
        cache: Option<&CacheFolder>,
        compiler: Compiler,
    ) -> Result<Self, EngineError> {
        let error = |error: wasmtime::Error| EngineError::Machine(format!("{error:#}"));
        let engine = new_engine(&limits).map_err(error)?;
        let mut linker = Linker::new(&engine);
        imports::add_to_linker(&mut linker).map_err(error)?;
        let ticker = start_ticker(&engine).map_err(|error| EngineError::Machine(error.to_string()))?;
        let cache = match cache.map(|place| (place, Cache::open(place, &engine))) {
            None => None,
            Some((_, Ok(cache))) => Some(cache),
            Some((_, Err(OpenError::Refused(refused)))) => {
                return Err(EngineError::Cache(refused.to_string()));
            }
            Some((place, Err(OpenError::Io(error)))) => {
                tracing::warn!(folder = %place.folder.display(), %error, "compiled components cannot be kept there: every start compiles them again");
                None
            }
        };
        let describing = Semaphore::new(SPARE_INSTANCES as usize);
        Ok(Self { engine, linker, limits, cache, compiler, describing, _ticker: ticker })
    }

    /// Logs the measures that confine the compiler process and that this machine lacks, if there are any.
    pub async fn log_missing_confinement(&self) {
        match self.compiler.missing_confinement().await {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => {
                let missing = missing.join(", ");
                tracing::warn!(missing, "the process that compiles components is not fully confined");
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Returns the compiled component with this digest from the cache.
    pub async fn load(self: &Arc<Self>, digest: &str) -> Option<Component> {
        let (engine, digest) = (Arc::clone(self), digest.to_owned());
        let found =
            blocking(move || Ok(engine.cache.as_ref().and_then(|cache| cache.get(&engine.engine, &digest))))
                .await
                .ok()??;
        self.link(&found).ok()
    }

    /// Checks an upload, before it is compiled: that it is a component for this host, and that compiling it is bounded.
    /// Components of the database were checked when they were uploaded, maybe by a version with other bounds.
    ///
    /// # Errors
    /// [`InvalidComponent`] that names the first problem.
    pub async fn check_upload(&self, bytes: Bytes) -> Result<(), InvalidComponent> {
        blocking(move || inspect(&bytes).and_then(|()| check_work(&bytes))).await
    }

    /// Compiles a component that is registered. A version with other bounds may have accepted it, so it may take more time than
    /// an upload: runs are pinned to it.
    ///
    /// # Errors
    /// As [`Engine::compile`].
    pub async fn recompile(&self, bytes: Bytes) -> Result<Component, InvalidComponent> {
        self.compile_within(bytes, REGISTERED_FACTOR).await
    }

    /// Compiles a component. Compiling does not add the component to the cache: [`Engine::keep`] does. A future that is
    /// dropped ends the compiling child.
    ///
    /// # Errors
    /// [`InvalidComponent`] if the bytes are no component that this host can run.
    pub async fn compile(&self, bytes: Bytes) -> Result<Component, InvalidComponent> {
        self.compile_within(bytes, 1).await
    }

    /// Compiles a component within a multiple of the time limit.
    async fn compile_within(&self, bytes: Bytes, factor: u32) -> Result<Component, InvalidComponent> {
        let inspected = bytes.clone();
        blocking(move || inspect(&inspected)).await?;
        let compiled = self.compiler.compile(&self.engine, bytes, factor).await?;
        self.link(&compiled)
    }

    /// Writes a compiled component to the cache, unless an authentic one is there. Only registered components should be kept:
    /// rejected uploads would fill the disk. This function blocks.
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

    /// Returns the workflows of a component, by calling its `describe` and, if it has this export, its `input-schemas`.
    ///
    /// # Errors
    /// [`InvalidComponent`] if one of them traps, runs out of fuel, or exceeds a limit, or if there is a schema of a workflow
    /// that the component does not have.
    pub async fn describe(&self, component: &Component) -> Result<Vec<Described>, InvalidComponent> {
        // The semaphore is never closed. Without a permit, uploads could use the instances that runs need.
        let _permit = self.describing.acquire().await;
        let mut store =
            self.store(InstanceState::without_run(&self.limits.instance), self.limits.fuel_for_describe);
        let called = async {
            let instance = component.0.instance_pre().instantiate_async(&mut store).await?;
            let infos = Workflow::new(&mut store, &instance)?.call_describe(&mut store).await?;
            Ok((instance, infos))
        };
        let (instance, infos) = match called.await {
            Ok(called) => called,
            Err(error) => return Err(self.failed("describe", &error, &mut store)),
        };
        if infos.len() > WORKFLOWS {
            return Err(InvalidComponent(format!(
                "the component has {} workflows; the most is {WORKFLOWS}: split it into several components",
                infos.len()
            )));
        }
        if let Some(info) = infos.iter().find(|info| info.name.len() > WORKFLOW_NAME) {
            return Err(InvalidComponent(format!(
                "the component has a workflow whose name has {} bytes; the most is {WORKFLOW_NAME}: shorten it",
                info.name.len()
            )));
        }
        let described = infos.into_iter().map(|info| Described {
            name: info.name,
            version: info.version,
            timeout_ms: info.timeout,
            deprecated: info.deprecated,
            input_schema: None,
        });
        let mut described: Vec<Described> = described.collect();
        let component = component.0.instance_pre().component();
        if component.get_export_index(None, INPUT_SCHEMAS).is_some() {
            self.add_input_schemas(&mut store, &instance, &mut described).await?;
        }
        Ok(described)
    }

    /// Calls `input-schemas` with fuel of its own, and adds the schemas to the workflows.
    async fn add_input_schemas(
        &self,
        store: &mut Store<InstanceState>,
        instance: &Instance,
        described: &mut [Described],
    ) -> Result<(), InvalidComponent> {
        let fuel = self.limits.fuel_for_describe;
        let called = async {
            store.set_fuel(fuel)?;
            store.data_mut().refuelled(fuel);
            InputSchemas::new(&mut *store, instance)?.call_input_schemas(&mut *store).await
        };
        let schemas = match called.await {
            Ok(schemas) => schemas,
            Err(error) => return Err(self.failed(INPUT_SCHEMAS, &error, store)),
        };
        for InputSchema { workflow, version, schema } in schemas {
            let known = described.iter_mut().find(|known| known.name == workflow && known.version == version);
            let Some(known) = known.filter(|known| known.input_schema.is_none()) else {
                let name = &workflow[..workflow.floor_char_boundary(WORKFLOW_NAME)];
                return Err(InvalidComponent(format!(
                    "the component's `{INPUT_SCHEMAS}` has version {version} of workflow `{name}`, which the component does not \
                     have, or has it twice: return one schema of each workflow of `describe` at most"
                )));
            };
            known.input_schema = Some(schema);
        }
        Ok(())
    }

    /// Returns the error of an export that failed at upload.
    fn failed(
        &self,
        export: &str,
        error: &wasmtime::Error,
        store: &mut Store<InstanceState>,
    ) -> InvalidComponent {
        let failure = classify(error, store.data_mut(), self.limits.fuel_for_describe);
        InvalidComponent(format!("the component's `{export}` failed: {failure}"))
    }

    /// Runs a guest until it returns, traps or is stopped, and returns how it ended with the session and the host.
    /// Returns `None` if a panic of the host has lost the session.
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
        let trapped = returned.as_ref().err().map(|error| classify(error, &mut state, limit));
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
            tracing::error!(%error, "cannot set fuel: the guest traps at once");
        }
        let most = store.data().most_passed;
        store.set_hostcall_fuel(most);
        // The deadline of a new store has already passed.
        store.set_epoch_deadline(EPOCHS);
        store.epoch_deadline_callback(|mut store| {
            settle(&mut store)?;
            let state = store.data_mut();
            state.poll()?;
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
}

/// Returns how an execution ends whose guest trapped. A guest that traps during replay was not trapped here before, so
/// the run is paused as nondeterministic.
fn trap(execution: &Execution, failure: Failure) -> End {
    if execution.is_past_replay() || execution.session.is_exhausted() {
        return End::Trapped(failure);
    }
    let message = format!(
        "the workflow trapped ({failure}) where the journal goes on. Nothing is lost: look for \
         what the workflow does differently each time; resume the run once that is fixed, cancel it, or terminate it"
    );
    End::Stopped(Stop::Pause(PauseReason::Nondeterminism, message))
}
