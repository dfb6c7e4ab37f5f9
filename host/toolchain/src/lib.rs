//! From a workflow crate to a component, for `forge build`, `cargo xtask` and the end-to-end tests.
//!
//! 1. [`ensure`] returns a [`Toolchain`] that compiles for `wasm32-unknown-unknown`.
//! 2. [`build()`] compiles a workflow crate with it. It first refuses dependencies that cannot work in a component.
//! 3. [`componentize`], which `build` calls, turns the core module into a component. It refuses a module that
//!    the host would refuse at upload, while the author can still do something about it.
//!
//! Progress goes to a callback. Only the compiler's messages go to the standard error.

#![deny(missing_docs)]

mod build;
mod component;
mod dependencies;
pub mod environment;
mod error;
mod package;
mod process;
mod target;
mod toolchain;

pub use build::{BuiltComponent, Options, build};
pub use component::{ComponentError, componentize};
pub use dependencies::UnsuitableDependency;
pub use error::BuildError;
pub use process::CommandError;
pub use target::{SETTING, SetupError, ensure};
pub use toolchain::{TARGET, Toolchain};
