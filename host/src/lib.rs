//! The host of Forge: durable workflows in a WebAssembly sandbox.
//!
//! A workflow is a component against `wit/workflow.wit`. The host runs it in wasmtime with fuel and
//! memory limits, journals every call it makes, replays it after a crash, and rolls it back with
//! compensations.
//!
//! Where to find what:
//!
//! - [`journal`]: what happened in a run; the one state machine, and replay. No I/O.
//! - [`store`]: where journals, runs and components are kept; the group commit.
//! - [`sandbox`]: wasmtime, and one file per interface that a guest imports.
//! - [`executor`]: starting, driving and steering runs.
//! - [`registry`]: workflows by name and version.
//! - [`tenants`]: whose things are whose, limits, API keys, the audit log, usage.
//! - [`egress`]: HTTP out, and the secrets that go with it.
//! - [`api`]: HTTP in. [`cli`]: the commands of `forge`.
//!
//! To embed it:
//!
//! ```no_run
//! use forge_host::config::{Config, Database};
//! use forge_host::executor::WorkflowExecutor;
//!
//! # async fn embed(component: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let executor = WorkflowExecutor::open(Config::new(Database::Sqlite("forge.db".into()))).await?;
//! executor.registry().register(&component).await?;
//! let run = executor.start("user_onboarding", serde_json::json!({"user_id": "123"})).await?;
//! println!("{:?}", executor.status(run).await?.status);
//! # Ok(())
//! # }
//! ```

pub mod api;
pub mod cli;
pub mod config;
pub mod executor;
pub mod maintenance;
pub mod registry;
pub mod tenants;

pub use forge_clock as clock;
pub use forge_egress as egress;
pub use forge_journal as journal;
pub use forge_sandbox as sandbox;
pub use forge_store as store;
