//! Durable workflows in Rust.
//!
//! A workflow is an async function whose steps are recorded in a journal. It survives crashes, restarts and
//! deploys of its host: recorded steps are not executed again, and execution continues after them. If the
//! workflow fails, its completed steps are compensated in reverse order.
//!
//! ```
//! use forge::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Order {
//!     sku: String,
//!     card: String,
//! }
//!
//! #[forge::workflow]
//! #[version = 1]
//! #[timeout = "24h"]
//! pub async fn place_order(ctx: &WorkflowContext, order: Order) -> Result<String> {
//!     ctx.step("reserve", || async { reserve(&order.sku).await })
//!         .compensate(|id| async move { release(&id).await })
//!         .run()
//!         .await?;
//!
//!     ctx.step("charge", || async { charge(&order.card).await })
//!         .timeout(Duration::from_secs(30))
//!         .retry(RetryPolicy::attempts(3))
//!         .run()
//!         .await
//! }
//!
//! forge::export!(PlaceOrderWorkflow);
//!
//! async fn reserve(sku: &str) -> Result<String> {
//!     let url = format!("https://stock.example/{sku}");
//!     forge::http::post(url).send().await?.error_for_status()?.json()
//! }
//!
//! async fn release(id: &str) -> Result<()> {
//!     let url = format!("https://stock.example/reservations/{id}");
//!     forge::http::delete(url).send().await?.error_for_status()?;
//!     Ok(())
//! }
//!
//! async fn charge(card: &str) -> Result<String> {
//!     let request = forge::http::post("https://payments.example").json(&json!({ "card": card }));
//!     request.send().await?.error_for_status()?.json()
//! }
//!
//! // A test of the workflow for `cargo test`: see `forge::testing`.
//! use forge::testing::{TestResponse, TestRun};
//!
//! let run = TestRun::new(PlaceOrderWorkflow)
//!     .http(|_| TestResponse::json(200, "id-1"))
//!     .fail_step("charge", "card declined")
//!     .run(Order { sku: "chair".into(), card: "4242".into() });
//!
//! assert_eq!(run.failure().message, "card declined");
//! assert_eq!(run.compensations, ["reserve"]);
//! ```
//!
//! `forge build` compiles the crate to a WebAssembly component, `forge deploy` uploads it.
//!
//! # How it works
//!
//! A component can call only the host's functions (`wit/workflow.wit`), and the host journals what each call
//! returns. To continue a run after a restart, the host calls the workflow from its beginning and answers
//! its calls from the journal. The function runs again; its effects do not.
//!
//! # Determinism
//!
//! A replay therefore requires that the same answers lead to the same calls in the same order. The sandbox
//! has no clock, no files, no sockets and no threads, and randomness is derived from the run's seed. If a
//! replay differs nevertheless, the run is paused with an error that names the call, and no data is lost.
//! Authors must take care of the following:
//!
//! - **`HashMap`**: its order of iteration may differ between the first execution and a replay. Where the
//!   order determines calls, use `BTreeMap`, sort, or use a fixed hasher.
//! - **`select!`**: use [`select!`] of the prelude, which polls its branches in order of appearance.
//!   `futures::select!` polls them in random order.
//! - **Time**: use [`WorkflowContext::workflow_time`] and [`sleep`]. `std::time` panics in a component, and
//!   chrono's `Utc::now` needs chrono's feature `clock`, which the SDK leaves off.
//! - **Changes of a workflow**: raise `#[version]`. A run stays with the component that it started with.
//! - **Statics**: each execution begins with their initial values. They do not keep state between runs.
//! - **Results of steps**: serialising a result to JSON and deserialising it must give an equal value. The SDK
//!   does so with each result, and fails the step if it notices a difference.
//!
//! # Errors
//!
//! Workflows, steps and handlers return [`Result`] with an `anyhow` error, so `?` converts any error. The
//! journal keeps the messages of an error and, if it is a [`Failure`], its kind.
//!
//! # Features
//!
//! - `schema` (on): exports the JSON Schemas of inputs that derive [`JsonSchema`](schemars::JsonSchema). Turn it off to
//!   compile without the crate `schemars`.
//! - `heap` (on): sets the crate `dlmalloc` as the component's global allocator. Turn it off to set another
//!   `#[global_allocator]`.

// The macros write `::forge::`, also in this crate's own tests.
extern crate self as forge;

mod attempt;
mod auth;
#[doc(hidden)]
pub mod bindings;
mod call;
mod child;
mod compensation;
mod context;
pub mod db;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod entropy;
mod error;
mod event;
mod executor;
mod export;
mod host;
pub mod http;
mod input_schema;
pub mod log;
mod low_level;
pub mod prelude;
mod publish;
pub mod random;
mod retry;
mod round_trip;
mod runtime;
mod saga;
mod scope;
mod select;
mod step;
mod streams;
#[cfg(not(target_arch = "wasm32"))]
mod test_host;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;
mod timestamp;
pub mod tokio;
mod workflow;
mod workflow_info;

/// The standard library's allocator in a version that first uses the initial heap of an instance, for which
/// `forge build` reserves 256 KiB. The version in Rust 1.95 grows the memory instead: instantiation and
/// `describe` of `examples/payment` take 95 µs with it and 60 µs with this one, on two cores.
#[cfg(all(feature = "heap", target_arch = "wasm32", target_os = "unknown"))]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

pub use ::{futures, serde_json, tracing, uuid};
#[cfg(feature = "schema")]
pub use ::schemars;

pub use auth::AuthContext;
pub use child::{Child, ChildFailure, ChildRunner, StartWorkflow, cancel_run, child, start_workflow};
pub use context::WorkflowContext;
pub use db::Db;
pub use error::{Error, Failure, Result};
pub use event::{EventReceiver, SendEvent, event, send_event};
pub use publish::publish;
pub use retry::RetryPolicy;
pub use step::{Mode, Optional, Required, StepRunner};
pub use time::sleep;
pub use workflow::ForgeWorkflow;
pub use workflow_info::WorkflowInfo;

/// Turns an async function into a workflow.
///
/// ```
/// use forge::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// pub struct OnboardingInput {
///     pub email: String,
/// }
///
/// #[derive(Serialize)]
/// pub struct OnboardingOutput {
///     pub token: String,
/// }
///
/// #[forge::workflow]
/// #[version = 2]
/// #[timeout = "7d"]
/// pub async fn user_onboarding(
///     ctx: &WorkflowContext,
///     input: OnboardingInput,
/// ) -> Result<OnboardingOutput> {
///     let token = ctx.step("token", || async { Ok(ctx.uuid().to_string()) }).run().await?;
///     Ok(OnboardingOutput { token })
/// }
///
/// assert_eq!(UserOnboardingWorkflow::INFO.version, 2);
/// ```
///
/// This generates `UserOnboardingWorkflow`, which implements [`ForgeWorkflow`]. The function itself can be called from
/// other workflows. In its body, `tokio` is [`forge::tokio`](crate::tokio). `Workflow` is not appended twice: `payment_workflow`
/// generates `PaymentWorkflow`.
///
/// Further attributes:
///
/// | Attribute | Default | Meaning |
/// |---|---|---|
/// | `#[version = 1]` | `1` | The version, at least 1. |
/// | `#[timeout = "24h"]` | `"24h"` | The longest duration of a run, in wall-clock time: `"500ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"7d"`. |
/// | `#[deprecated]` | | This version is used only by runs that are started with its number. |
/// | `#[name = "user_onboarding"]` | the function's name | The name under which the workflow is started. With it, one crate can contain several versions of a workflow. |
///
/// The input must be `Deserialize`, the output `Serialize`. The error can be of any type that converts to
/// [`Error`].
///
/// If the type of the input also derives `JsonSchema`, which is in the prelude, the component exports the schema, and the
/// host refuses a start whose input does not fit.
pub use forge_macros::workflow;

/// Items that expanded macros refer to. Not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use std::boxed::Box;
    pub use std::time::Duration;

    pub use futures::future::LocalBoxFuture;
    pub use futures::select_biased;

    pub use crate::bindings;
    pub use crate::export::*;
    pub use crate::input_schema::{Derived, Input, Underived};
    pub use crate::select::fused;
    pub use crate::workflow::WorkflowResult;
}
