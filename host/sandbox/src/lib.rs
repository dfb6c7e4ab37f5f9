//! The sandbox: wasmtime with its settings and limits, the compiler and its cache, and one file for each interface that
//! a guest imports.
//!
//! It runs a component against a [`Session`](forge_journal::Session) and a [`Host`], which acts on behalf of the guest.
//! It knows no store, no tenants and no executor.
//!
//! To add an interface that guests import: declare it in `wit/workflow.wit`, implement its `Host` trait for
//! `InstanceState` in a new file in `imports/`, and declare that module with one line in `imports/mod.rs`. The linker
//! takes it from the world.

mod bindings;
mod cache;
mod compiler;
mod component;
mod engine;
mod execution;
mod failure;
mod fuel;
mod host;
pub mod imports;
mod limits;
mod log;
mod mac;
mod memory;
mod settings;
mod state;

pub use cache::CacheFolder;
pub use compiler::{COMMAND, Child, ChildFailed, Compiler, CompilerUser, check_as_child, compile_as_child};
pub use component::{InvalidComponent, check_work, inspect};
pub use engine::{Component, Described, End, Engine, EngineError};
pub use host::{Detached, Host, Stop};

pub use limits::{EngineLimits, InstanceLimits};
