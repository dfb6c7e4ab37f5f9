//! Compiles untrusted components in a child process, which can be ended: a small component may take long or much memory
//! to compile.

mod child;
mod confinement;
mod parent;
mod user;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::Component;
use wasmtime::{Engine, InstanceAllocationStrategy};

use super::InvalidComponent;
use super::settings::config;

pub use child::{ChildFailed, check_as_child, compile_as_child};
pub use user::CompilerUser;

/// The command of `forge` that compiles the component on its standard input.
pub const COMMAND: &str = "compile-component";

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// In this process, without limits: for embedders that trust their components.
    InProcess,
    /// In one child process for each component.
    Child(Child),
}

/// How child processes compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// A `forge` program of this version.
    pub program: PathBuf,
    /// The limit on CPU time, in whole seconds.
    pub time: Duration,
    /// The limit on address space, in bytes.
    pub memory: u64,
    /// The user as which the child runs. `None`: as this process.
    pub user: Option<CompilerUser>,
}

impl Compiler {
    /// Compiles a component that [`inspect`](super::inspect) has accepted, within `factor` times the time limit.
    ///
    /// # Errors
    /// [`InvalidComponent`] if the component is not valid, or a limit was reached.
    pub(super) async fn compile(
        &self,
        engine: &Engine,
        bytes: Bytes,
        factor: u32,
    ) -> Result<Component, InvalidComponent> {
        let engine = engine.clone();
        match self {
            Self::InProcess => {
                blocking(move || Component::from_binary(&engine, &bytes).map_err(|error| invalid(&error)))
                    .await
            }
            Self::Child(child) => {
                let time = child.time.saturating_mul(factor);
                let code = parent::compile(&Child { time, ..child.clone() }, &bytes).await?;
                blocking(move || {
                    #[expect(
                        unsafe_code,
                        reason = "the authentication code shows that this program's own child wrote the bytes"
                    )]
                    let component = unsafe { Component::deserialize(&engine, code) };
                    // wasmtime compares the sizes of memories and tables with the pool only here.
                    component.map_err(|error| {
                        InvalidComponent(format!("the component does not fit this host: {error:#}"))
                    })
                })
                .await
            }
        }
    }

    /// Returns the measures that confine the child and that this machine lacks.
    ///
    /// # Errors
    /// The reason why the child cannot be started.
    pub(super) async fn missing_confinement(&self) -> Result<Vec<String>, InvalidComponent> {
        match self {
            Self::InProcess => Ok(Vec::new()),
            Self::Child(child) => parent::check(child).await,
        }
    }
}

/// Does work that takes milliseconds or more on a thread for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InvalidComponent> + Send + 'static,
) -> Result<T, InvalidComponent> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(InvalidComponent(format!("compiling the component failed: {error}"))))
}

/// Returns an engine whose code the [`Engine`]s of this host can run. It never runs anything, so it reserves no address
/// space for instances.
fn compiling_engine() -> wasmtime::Result<Engine> {
    Engine::new(&config(InstanceAllocationStrategy::OnDemand))
}

fn invalid(error: &wasmtime::Error) -> InvalidComponent {
    InvalidComponent(format!("the component is not valid ({error:#}): build and upload it again"))
}

#[cfg(test)]
mod tests {
    use super::super::settings::new_engine;
    use super::*;

    fn limits() -> crate::EngineLimits {
        let instance = crate::InstanceLimits {
            fuel_per_activation: 1,
            fuel_per_run: 1,
            memory_bytes: 64 << 20,
            table_elements: 100_000,
            payload_bytes: 1 << 20,
            log_bytes_per_run: 1,
            db: forge_journal::db::Limits {
                key_bytes: 1,
                value_bytes: 1,
                operations: 1,
                entries: 1,
                bytes: 1,
            },
        };
        crate::EngineLimits {
            live_instances: 10,
            instance,
            fuel_for_describe: 1,
            compile_time: Duration::from_secs(1),
            compile_memory: 1,
        }
    }

    /// Both compile for the same processor with the same settings; otherwise the host could not load the code.
    #[test]
    fn what_the_child_compiles_is_what_the_host_runs() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&compiling_engine().unwrap()), hash(&new_engine(&limits()).unwrap()));
    }
}
