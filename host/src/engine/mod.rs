//! The sandbox: wasmtime, its configuration and limits, and one file per host interface.

mod activation;
mod bindings;
mod cache;
mod compiler;
mod component;
mod fuel;
mod host;
mod limits;
mod log;
mod sandbox;
mod settings;
mod state;
mod turns;

pub use activation::{Activation, ActivationContext, Command, Remains, Reply, Stop};
pub use compiler::{COMMAND, ChildFailed, Compiler, compile_as_child};
pub use component::{InvalidComponent, inspect};
pub use sandbox::{Described, End, Engine, EngineError, Module};
pub use turns::{Load, Turns};
