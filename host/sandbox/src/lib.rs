//! The sandbox: wasmtime with its settings and limits, the compiler and its cache, and one file for each interface that
//! a guest imports.
//!
//! It runs a component against a [`Session`](forge_journal::Session) and a [`Host`], which does what a guest needs of
//! the world. It knows neither stores nor tenants nor executors.

mod bindings;
mod cache;
mod compiler;
mod component;
mod engine;
mod execution;
mod fuel;
mod host;
mod imports;
mod limits;
mod log;
mod memory;
mod settings;
mod state;

pub use compiler::{COMMAND, ChildFailed, Compiler, compile_as_child};
pub use component::{InvalidComponent, inspect};
pub use engine::{Component, Described, End, Engine, EngineError};
pub use host::{Detached, Host, Stop};
pub use imports::{http, time};
pub use limits::{EngineLimits, InstanceLimits};
