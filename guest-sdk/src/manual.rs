//! The low-level step API: steps whose beginning and end the workflow says itself.
//!
//! These functions are synchronous, so they cannot stop the workflow. If the host answers `unwind`
//! here, that takes effect at the next `.await` that waits.

use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::host::step::{self, Status};
use crate::host::{self, Flow};
use crate::runtime::{self, Phase};
use crate::scope;

pub(crate) fn is_completed(name: &str) -> bool {
    step::lookup(name).is_some_and(|state| state.status == Status::Completed)
}

pub(crate) fn result<T: DeserializeOwned>(name: &str) -> Option<T> {
    let state = step::lookup(name)?;
    serde_json::from_str(&state.result?).ok()
}

pub(crate) fn start(name: &str) {
    let scope = step::enter(scope::current(), name);
    // If it is entered again, its randomness begins again, too.
    runtime::end_stream(scope);
    scope::push_manual(name, scope);
}

pub(crate) fn complete(name: &str, result: &serde_json::Value) {
    let scope = end(name);
    let receipt = step::complete(scope, &result.to_string());
    if receipt.flow == Flow::Unwind {
        runtime::set_phase(Phase::Unwinding);
    }
}

pub(crate) fn fail(name: &str, message: &str) {
    let scope = end(name);
    let failure = Failure::new(Failure::ERROR, message);
    // The workflow retries such steps itself, so the host does not; nobody would wait for it.
    if let step::Verdict::Retry(call) = step::fail(scope, &failure.into()) {
        host::calls::cancel(call);
    }
}

/// The scope of the step, which ends here. A step that was not started is: forgetting that costs
/// its start time and nothing else.
fn end(name: &str) -> u64 {
    let scope = scope::pop_manual(name).unwrap_or_else(|| step::enter(scope::current(), name));
    runtime::end_stream(scope);
    scope
}
