//! The host of Forge: durable workflows in a WebAssembly sandbox.
//!
//! A workflow is a component that implements `wit/workflow.wit`. The host runs it in wasmtime with fuel and memory limits,
//! journals every call it makes, replays it after a crash, and rolls it back with compensations.
//!
//! The modules and crates:
//!
//! - [`journal`]: the history of a run: its state machine and replay. No I/O.
//! - [`store`]: the databases of runs, journals and components; the group commit.
//! - [`sandbox`]: wasmtime, and the interfaces that a guest imports.
//! - [`egress`]: outgoing HTTP requests, and secrets in them.
//! - [`registry`]: workflows by name and version.
//! - [`tenants`]: settings, limits, API keys, secrets, the audit log, usage.
//! - [`maintenance`]: recurring jobs.
//! - [`executor`]: starts runs, executes them, and sends commands to them.
//! - [`api`]: the HTTP API. [`dashboard`]: the pages for browsers. [`cli`]: the commands of `forge`.
//!
//! To embed it:
//!
//! ```no_run
//! use forge_host::config::{Config, Database};
//! use forge_host::executor::WorkflowExecutor;
//!
//! # async fn embed(component: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let executor = WorkflowExecutor::open(Config::new(Database::Sqlite("forge.db".into()))).await?;
//! executor.registry().register(component).await?;
//! let run = executor.start("user_onboarding", serde_json::json!({"user_id": "123"})).await?;
//! println!("{:?}", executor.status(run).await?.status);
//! # Ok(())
//! # }
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod cli;
pub mod config;
pub mod dashboard;
mod encoding;
pub mod executor;
pub mod maintenance;
mod moments;
mod printable;
pub mod registry;
pub mod tenants;

pub use forge_clock as clock;
pub use forge_egress as egress;
pub use forge_journal as journal;
pub use forge_sandbox as sandbox;
pub use forge_store as store;
