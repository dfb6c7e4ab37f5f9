//! The low-level step API: the workflow itself reports the start and the end of its steps.
//!
//! These functions are synchronous and cannot stop the workflow. If the host asks to unwind, the
//! workflow stops at its next `.await` that waits.

use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::host;
use crate::host::step::{self, Status};
use crate::streams::Stream;
use crate::{runtime, scope};

pub(crate) fn is_completed(name: &str) -> bool {
    step::lookup(name).is_some_and(|state| state.status == Status::Completed)
}

pub(crate) fn result<T: DeserializeOwned>(name: &str) -> Option<T> {
    let state = step::lookup(name)?;
    serde_json::from_str(&state.result?).ok()
}

pub(crate) fn start(name: &str) {
    let scope = step::enter(scope::current(), name);
    // The stream of a step starts anew each time the step is entered.
    runtime::end_stream(Stream::Scope(scope));
    scope::push_low_level(name, scope);
}

pub(crate) fn complete(name: &str, result: &serde_json::Value) {
    let receipt = step::complete(end(name), &result.to_string());
    runtime::apply(receipt.flow);
}

pub(crate) fn fail(name: &str, message: &str) {
    let failure = Failure::new(Failure::ERROR, message);
    // The workflow retries such steps itself, so it does not wait for a retry of the host.
    if let step::Verdict::Retry(call) = step::fail(end(name), &failure.into()) {
        host::calls::cancel(call);
    }
}

/// Ends the step and returns its scope. A step that was not started is started here; its start time is
/// that of its end then.
fn end(name: &str) -> u64 {
    let scope = scope::pop_low_level(name).unwrap_or_else(|| step::enter(scope::current(), name));
    runtime::end_stream(Stream::Scope(scope));
    scope
}
