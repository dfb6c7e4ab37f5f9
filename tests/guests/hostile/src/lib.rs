//! Workflows that attack their host. They use the bare interface, because the SDK prevents most of the attacks.
//! `tests/tests/hostile` has the expected outcome of each.

#![cfg(target_arch = "wasm32")]

mod abi;
mod computing;
mod contract;
mod floods;
mod messages;
mod notes;
mod rollback;
mod secrets;
mod sizes;
mod times;

/// The bindings that wit-bindgen generates from `wit/workflow.wit`.
#[allow(missing_docs, unsafe_code, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });
}

use bindings::forge::workflow::step::{self, Entry, Options, RetryPolicy};
use bindings::forge::workflow::types::Failure;
use bindings::{Guest, WorkflowInfo};

/// The outcome of a workflow that the host does not stop.
type Outcome = Result<String, Failure>;

/// A workflow. Its input is the content of a JSON string without escapes.
type Attack = fn(&str) -> Outcome;

/// The scope of the workflow's body.
const BODY: u64 = 0;

struct Component;

bindings::export!(Component with_types_in bindings);

impl Guest for Component {
    fn describe() -> Vec<WorkflowInfo> {
        let describe = |(name, _): &(&str, Attack)| WorkflowInfo {
            name: (*name).to_owned(),
            version: 1,
            timeout: 3_600_000,
            deprecated: false,
        };
        attacks().map(describe).collect()
    }

    fn run(workflow: String, _version: u32, input: String) -> Outcome {
        let attack = attacks().find(|(name, _)| *name == workflow).map(|(_, attack)| *attack);
        attack
            .map_or_else(|| Err(failure("there is no such attack")), |attack| attack(input.trim_matches('"')))
    }
}

fn attacks() -> impl Iterator<Item = &'static (&'static str, Attack)> {
    [
        computing::ATTACKS,
        notes::ATTACKS,
        sizes::ATTACKS,
        floods::ATTACKS,
        contract::ATTACKS,
        abi::ATTACKS,
        times::ATTACKS,
        rollback::ATTACKS,
        secrets::ATTACKS,
        messages::ATTACKS,
    ]
    .into_iter()
    .flatten()
}

/// The outcome of an attack that the host has not stopped.
fn done() -> Outcome {
    Ok("\"done\"".to_owned())
}

fn failure(message: &str) -> Failure {
    Failure { kind: "error".to_owned(), message: message.to_owned(), retryable: true }
}

fn options() -> Options {
    Options { compensable: false, optional: false, timeout: None, retry: None }
}

fn retrying(max_attempts: u32, backoff: u64) -> Options {
    Options { retry: Some(RetryPolicy { max_attempts, backoff, max_backoff: backoff }), ..options() }
}

/// Begins a step in a scope and returns the scope of its attempt.
fn begin(scope: u64, name: &str, options: Options) -> u64 {
    match step::begin(scope, name, options) {
        Entry::Execute(scope) => scope,
        other => panic!("the step `{name}` is {other:?}"),
    }
}
