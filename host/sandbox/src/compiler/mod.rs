//! Compiling untrusted components: what is small on disk may be slow or hungry to compile, so it is done in a
//! process that can be ended.

mod child;
mod parent;

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Engine, InstanceAllocationStrategy};

use super::InvalidComponent;
use super::settings::config;

pub use child::{ChildFailed, compile_as_child};

/// The command of `forge` that compiles what it reads.
pub const COMMAND: &str = "compile-component";

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// In this process: for embedders that trust their components.
    InProcess,
    /// In a process for each component.
    Child {
        /// A `forge` of this version.
        program: PathBuf,
        /// How long it may take.
        time: Duration,
        /// Bytes of address space that it may have.
        memory: u64,
    },
}

impl Compiler {
    /// Compiles a component that [`inspect`](super::inspect) has passed.
    ///
    /// # Errors
    /// [`InvalidComponent`] if it is not valid, or takes more than it may.
    pub(super) fn compile(&self, engine: &Engine, bytes: &[u8]) -> Result<Component, InvalidComponent> {
        match self {
            Self::InProcess => Component::from_binary(engine, bytes).map_err(|error| invalid(&error)),
            Self::Child { program, time, memory } => {
                let code = parent::compile(program, *time, *memory, bytes)?;
                #[expect(unsafe_code, reason = "the bytes are what our own child has compiled, unchanged")]
                let component = unsafe { Component::deserialize(engine, code) };
                // The sizes of its memories and tables are looked at only here.
                component.map_err(|error| {
                    InvalidComponent(format!("the component does not fit this host: {error:#}"))
                })
            }
        }
    }
}

/// An engine that compiles what [`Engine`]s of this host can run. It never runs anything, so it takes no address
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
        };
        crate::EngineLimits {
            live_instances: 10,
            instance,
            fuel_for_describe: 1,
            compile_time: Duration::from_secs(1),
            compile_memory: 1,
        }
    }

    /// Both are compiled for the same processor with the same settings, or nothing could be deserialised.
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
