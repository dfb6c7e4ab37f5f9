//! Events: messages to a run, from other runs of the tenant and from clients of the API.
//!
//! A run keeps the events that it has not received, in the order in which they came, also those that came
//! before it waits for them. A run that waits for an event does not stay in memory.
//!
//! ```
//! use forge::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Approval {
//!     by: String,
//! }
//!
//! #[forge::workflow]
//! async fn order(ctx: &WorkflowContext, _sku: String) -> Result<String> {
//!     let approval: Approval = ctx.event("approval").timeout(Duration::from_secs(3 * 86_400)).recv().await?;
//!     Ok(approval.by)
//! }
//!
//! use forge::testing::{TestEvent, TestRun};
//!
//! let approval = TestEvent::new("approval", json!({ "by": "ada" })).after(Duration::from_secs(3_600));
//! let run = TestRun::new(OrderWorkflow).event(approval).run("chair");
//! assert_eq!(run.output(), "ada");
//!
//! let run = TestRun::new(OrderWorkflow).run("chair");
//! assert!(run.failure().is_timeout());
//! ```

mod receive;
mod send;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod testing;

/// The interface `events` of the host.
#[cfg(target_arch = "wasm32")]
use crate::bindings::forge::workflow::events as host;
#[cfg(not(target_arch = "wasm32"))]
use testing::host;

use serde::Serialize;
use uuid::Uuid;

pub use receive::EventReceiver;
pub use send::SendEvent;

/// Returns a receiver of events with this name. See [`WorkflowContext::event`](crate::WorkflowContext::event).
pub fn event(name: impl Into<String>) -> EventReceiver {
    EventReceiver::new(name.into())
}

/// Sends an event to a run of the same tenant. See
/// [`WorkflowContext::send_event`](crate::WorkflowContext::send_event).
pub fn send_event(run_id: Uuid, name: impl Into<String>, payload: impl Serialize) -> SendEvent {
    SendEvent::new(run_id, name.into(), &payload)
}
