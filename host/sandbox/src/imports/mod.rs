//! The interfaces that a guest imports, one file each.

mod calls;
mod compensate;
pub mod db;
pub mod http;
mod run;
mod step;
pub mod time;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::Workflow;
use super::bindings::forge::workflow as interfaces;
use super::state::InstanceState;
use crate::Stop;
use crate::execution::Execution;
use forge_clock as clock;
use forge_journal::{Failure, Scope, Verdict};

impl interfaces::types::Host for InstanceState {}

/// Adds all interfaces of the world to the linker.
pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    Workflow::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    calls::replace_next(linker)
}

/// The maximum size of a failure's kind, in bytes. A kind is one word.
const FAILURE_KIND: usize = 64;

/// The maximum size of a failure's message, in bytes.
const FAILURE_MESSAGE: usize = 16 << 10;

/// Records that an attempt of a step or compensation failed.
fn fail(execution: &mut Execution, scope: Scope, failure: Failure) -> Result<Verdict, Stop> {
    let not_before = |journal: &_| http::not_before(journal, scope);
    Ok(execution.session.fail_step(scope, failure, not_before, clock::now())?)
}

/// Returns the number of bytes that the guest passes with a failure.
fn size(failure: &interfaces::types::Failure) -> usize {
    failure.kind.len().saturating_add(failure.message.len())
}

/// Returns the first `most` bytes of a text, rounded down to a whole character.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// Cuts a failure that is too long: rejecting it would hide why the workflow failed.
impl From<interfaces::types::Failure> for Failure {
    fn from(failure: interfaces::types::Failure) -> Self {
        let kind = cut(failure.kind, FAILURE_KIND);
        let message = cut(failure.message, FAILURE_MESSAGE);
        Self { retryable: failure.retryable, ..Self::new(&kind, message) }
    }
}

impl From<Failure> for interfaces::types::Failure {
    fn from(failure: Failure) -> Self {
        Self { kind: failure.kind, message: failure.message, retryable: failure.retryable }
    }
}
