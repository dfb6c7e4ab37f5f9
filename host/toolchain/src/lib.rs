//! From a workflow crate to a component: what `forge build`, `forge new`, `cargo xtask` and the
//! end-to-end tests share.
//!
//! Three steps, each usable alone:
//! 1. [`wasm_target::ensure`] makes `wasm32-unknown-unknown` available and names the [`Toolchain`];
//! 2. [`build::build`] compiles a crate with it, or says what is missing in the crate;
//! 3. [`componentize`] turns the core module into a component and refuses whatever the host would
//!    refuse at upload anyway, where the author can still do something about it.
//!
//! Nothing here runs a shell or reads the standard streams; progress goes to a callback, and only
//! the compiler's own messages go to the standard error.

#![deny(missing_docs)]

pub mod build;
pub mod component;
#[cfg(target_os = "linux")]
mod debian;
pub mod environment;
mod package;
pub mod process;
mod scratch;
mod toolchain;
pub mod wasm_target;

pub use build::{BuildError, BuiltComponent, Options, build};
pub use component::{ComponentError, componentize};
pub use process::CommandError;
pub use toolchain::{TARGET, Toolchain};
pub use wasm_target::{SetupError, ensure};
