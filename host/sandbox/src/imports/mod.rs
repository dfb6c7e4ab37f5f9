//! The interfaces that a guest imports, one file each.

mod calls;
mod compensate;
pub mod http;
mod run;
mod step;
pub mod time;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::forge::workflow as interfaces;
use super::state::InstanceState;
use forge_journal::Failure;

impl interfaces::types::Host for InstanceState {}

/// Makes the host's functions known to the linker.
pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    interfaces::types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    interfaces::run::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    interfaces::time::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    interfaces::step::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    interfaces::compensate::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    interfaces::http::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    calls::add_to_linker(linker)
}

/// Bytes of a failure's kind, which is a word.
const FAILURE_KIND: usize = 64;

/// Bytes of a failure's message, which is for a person.
const FAILURE_MESSAGE: usize = 16 << 10;

/// Bytes that passing a failure takes.
fn size(failure: &interfaces::types::Failure) -> usize {
    failure.kind.len().saturating_add(failure.message.len())
}

/// The text up to so many bytes.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// A failure that is too long is cut: refusing it would hide why the workflow failed.
impl From<interfaces::types::Failure> for Failure {
    fn from(failure: interfaces::types::Failure) -> Self {
        Self {
            kind: cut(failure.kind, FAILURE_KIND),
            message: cut(failure.message, FAILURE_MESSAGE),
            retryable: failure.retryable,
        }
    }
}

impl From<Failure> for interfaces::types::Failure {
    fn from(failure: Failure) -> Self {
        Self { kind: failure.kind, message: failure.message, retryable: failure.retryable }
    }
}
