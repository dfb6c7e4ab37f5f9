//! The sandbox: wasmtime, its configuration and limits, and one file per host interface.

mod activation;
mod bindings;
mod cache;
mod component;
mod host;
mod limits;
mod sandbox;
mod turns;

pub use activation::{Activation, ActivationContext, Command, Reply, Stop};
pub use component::{InvalidComponent, inspect};
pub use sandbox::{Described, End, Engine, EngineError, Module};
pub use turns::{Load, Turns};
