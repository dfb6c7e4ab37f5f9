//! Runs that a run starts.
//!
//! A child is a run of its own: it has its own record, steps and timeout, and may execute on another node. It
//! is started once, whatever crashes. It belongs to the same tenant and has the same
//! [`auth`](crate::WorkflowContext::auth).
//!
//! An attached child ([`child`]) belongs to the run that started it: the run gets its output, and if the run
//! fails or ends, or drops the child's handle, the child is cancelled and rolled back. A detached one
//! ([`start_workflow`]) goes on whatever happens to the run that started it.
//!
//! ```
//! use forge::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Shipment {
//!     parcel: String,
//! }
//!
//! #[forge::workflow]
//! async fn order(ctx: &WorkflowContext, sku: String) -> Result<String> {
//!     let shipment: Shipment = ctx.child("ship_order", &sku).version(2).run().await?;
//!     ctx.start_workflow("audit", json!({ "sku": sku, "parcel": shipment.parcel })).await?;
//!     Ok(shipment.parcel)
//! }
//!
//! use forge::testing::{TestOutcome, TestRun};
//!
//! let run = TestRun::new(OrderWorkflow)
//!     .child("ship_order", |child| {
//!         let sku: String = child.input();
//!         TestOutcome::completed(json!({ "parcel": format!("{sku}-1") })).after(Duration::from_secs(60))
//!     })
//!     .run("chair");
//!
//! assert_eq!(run.output(), "chair-1");
//! assert_eq!(run.elapsed, Duration::from_secs(60));
//! assert_eq!(run.children[0].version, Some(2));
//! assert_eq!(run.children[1].workflow, "audit");
//! ```

mod failure;
mod handle;
mod start;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod testing;

/// The interface `children` of the host.
#[cfg(target_arch = "wasm32")]
use crate::bindings::forge::workflow::children as host;
#[cfg(not(target_arch = "wasm32"))]
use testing::host;

use serde::Serialize;
use uuid::Uuid;

pub use failure::ChildFailure;
pub use handle::Child;
pub use start::{ChildRunner, StartWorkflow};

use crate::call;
use crate::error::{Error, Failure, Result};

/// Returns a run of a workflow as an attached child. See
/// [`WorkflowContext::child`](crate::WorkflowContext::child).
pub fn child(workflow: impl Into<String>, input: impl Serialize) -> ChildRunner {
    ChildRunner::new(workflow.into(), &input)
}

/// Starts a run that goes on whatever happens to this one. See
/// [`WorkflowContext::start_workflow`](crate::WorkflowContext::start_workflow).
pub fn start_workflow(workflow: impl Into<String>, input: impl Serialize) -> StartWorkflow {
    StartWorkflow::new(workflow.into(), &input)
}

/// Cancels a run that this run started. See
/// [`WorkflowContext::cancel_run`](crate::WorkflowContext::cancel_run).
///
/// # Errors
/// Returns a [`Failure`] if this run has not started that one.
pub async fn cancel_run(run_id: Uuid) -> Result<()> {
    let run_id = run_id.to_string();
    let call = call::perform(|scope| host::cancel(scope, &run_id)).await;
    host::cancelled(call).map_err(|failure| Error::new(Failure::from(failure)))
}
