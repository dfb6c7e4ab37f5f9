//! The host's functions, as `wit/workflow.wit` declares them: one module per interface.
//!
//! In a component they are the imports that wit-bindgen generates. In a native build they are functions
//! with the same signatures that use the `TestHost` of the current thread, so that `cargo test` can run a
//! workflow.
//!
//! # How an effect is exposed
//!
//! The interfaces `run`, `step`, `compensate` and `calls` are selected below. The interface of an effect
//! is used in one place, the effect's own file: `time.rs` for timers, the folder `http/` for requests. To
//! add an effect `echo` to the SDK, write `src/echo.rs` and declare the module in `lib.rs`:
//!
//! ```text
//! #[cfg(target_arch = "wasm32")]
//! use crate::bindings::forge::workflow::echo as host;
//!
//! /// The function for authors: submits the effect, waits for its completion, fetches its outcome.
//! pub async fn echo(text: &str) -> Result<String> {
//!     let call = call::perform(|scope| host::send(scope, text)).await;
//!     host::take(call).map_err(|failure| Error::new(Failure::from(failure)))
//! }
//!
//! /// The interface in tests: `submit` gives a call the time after which it completes and its outcome.
//! #[cfg(not(target_arch = "wasm32"))]
//! mod host {
//!     use crate::test_host::with;
//!
//!     pub(super) fn send(_scope: u64, text: &str) -> u64 {
//!         with(|host| host.submit(0, text.to_owned()))
//!     }
//!
//!     pub(super) fn take(call: u64) -> Result<String, crate::bindings::Failure> {
//!         Ok(with(|host| host.take(call)))
//!     }
//! }
//! ```
//!
//! [`call::perform`](crate::call::perform) takes care of replays, rollbacks and dropped futures. An effect
//! that tests can configure has a state of its own type, `host.effect::<Echo>()`, and a method of `TestRun` that
//! sets it, as `http/testing.rs` has.

pub(crate) use crate::bindings::forge::workflow::types::Flow;

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::forge::workflow::{calls, compensate, run, step};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::test_host::{calls, compensate, run, step};
