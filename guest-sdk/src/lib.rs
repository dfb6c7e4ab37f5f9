//! Durable workflows in Rust.
//!
//! A workflow is an async function whose steps are recorded. It survives crashes, restarts and
//! deploys of its host: what was recorded is not done again, and what was not goes on where it
//! stopped. If it fails, the steps that completed are rolled back in reverse order.
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
//! // And this is its test, in `cargo test`: see `forge::testing`.
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
//! A component has no world but the host's functions (`wit/workflow.wit`), and the host keeps a
//! journal of every answer it gave. To bring a run back after a restart it calls the workflow from
//! its beginning and answers from the journal as far as that goes. The function runs again; its
//! effects do not.
//!
//! # Determinism
//!
//! So the same answers must lead to the same calls in the same order. The sandbox takes care of
//! most of it: there is no clock, no file, no socket and no thread, randomness is derived from the
//! run's seed, and a difference pauses the run and names the call, losing nothing. What is left to
//! you:
//!
//! - **`HashMap`** iterates in an order that depends on its random keys, and these may differ between
//!   the first execution and a replay. Where the order reaches a call, use `BTreeMap`, sort, or give
//!   the map a fixed hasher.
//! - **`select!`**: use the one from the prelude (`futures::select!`), which tries its branches in
//!   order of appearance. The original shuffles them.
//! - **Time** is [`WorkflowContext::workflow_time`], waiting is [`sleep`]. `std::time` panics here,
//!   and chrono's `Utc::now` does not exist unless a dependency switches on its `clock` feature.
//! - **Changing a workflow** while runs of it are under way: raise `#[version]`. Runs finish with
//!   the module that they started with.
//! - **Statics** start afresh in each execution. Do not carry state between runs in them.
//! - **Results of steps** go through JSON: a step's type must come back as it was.
//!
//! # Errors
//!
//! Workflows, steps and handlers return [`Result`], with `anyhow` errors: `?` takes anything. The
//! journal keeps of an error its messages and, of a [`Failure`], its kind.

// The macros write `::forge::`, also in this crate's own tests.
extern crate self as forge;

mod attempt;
mod auth;
mod call;
mod context;
mod db;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod entropy;
mod error;
mod executor;
mod export;
#[cfg(all(feature = "heap", target_arch = "wasm32", target_os = "unknown"))]
mod heap;
mod host;
pub mod http;
pub mod log;
mod manual;
pub mod prelude;
pub mod random;
mod retry;
mod runtime;
mod saga;
mod scope;
mod step;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;
mod workflow;

pub use auth::AuthContext;
pub use context::WorkflowContext;
pub use db::Db;
pub use error::{Error, Failure, Result};
pub use retry::RetryPolicy;
pub use step::{Mode, Optional, Required, StepRunner};
pub use time::sleep;
pub use workflow::{ForgeWorkflow, WorkflowInfo};

/// Makes a workflow of an async function.
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
/// This generates `UserOnboardingWorkflow`, which implements [`ForgeWorkflow`]; the function stays
/// what it is and can be called by others. A name that ends in `_workflow` does not get another
/// one: `payment_workflow` makes `PaymentWorkflow`.
///
/// These attributes may follow:
///
/// | Attribute | Default | Meaning |
/// |---|---|---|
/// | `#[version = 1]` | `1` | The version, at least 1. |
/// | `#[timeout = "24h"]` | `"24h"` | How long a run may take, in wall-clock time: `"500ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"7d"`. |
/// | `#[deprecated]` | | New runs do not take this version unless they ask for it. |
/// | `#[name = "user_onboarding"]` | the function's name | The name under which it is started. Lets two versions of a workflow live in one crate. |
///
/// The input must be `Deserialize`, the output `Serialize`. The error may be anything that `?`
/// turns into an [`Error`].
pub use forge_macros::workflow;

/// What the macros expand to refers to these. No part of the API.
#[doc(hidden)]
pub mod __private {
    pub use std::boxed::Box;
    pub use std::time::Duration;

    pub use futures::future::LocalBoxFuture;

    pub use crate::export::*;
    pub use crate::host::bindings;
    pub use crate::workflow::WorkflowResult;
}
