//! The interfaces that a guest imports, one file each.

mod calls;
pub mod children;
mod compensate;
pub mod db;
pub mod events;
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
use forge_journal::{
    CallId, Document, EffectKind, Failure, InvalidDocument, NewEffect, Outcome, Reach, Scope, Verdict, kind,
};

impl interfaces::types::Host for InstanceState {}

/// Adds all interfaces of the world to the linker.
pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    Workflow::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    calls::replace_next(linker)?;
    compensate::replace_unwind(linker)
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

/// The maximum size of a call's name in the journal, in bytes: the width of the column in the spec.
const NAME: usize = 255;

/// A call that the host refuses: what the journal keeps of its input, and its failure.
struct Refused {
    kept: String,
    failure: Failure,
}

/// Begins an effect, or finds it in the journal. A new one is refused if `check` finds a reason. A recorded one is not checked
/// again: what a replay sees does not depend on the limits of today.
fn submit(
    execution: &mut Execution,
    scope: u64,
    effect: NewEffect,
    check: impl FnOnce(&Execution) -> Option<Refused>,
) -> Result<CallId, Stop> {
    let scope = Scope::from_handle(scope);
    let is_recorded = execution.session.recorded(scope)?.is_some();
    let refused = if is_recorded { None } else { check(execution) };
    let now = clock::now();
    Ok(match refused {
        None => execution.session.submit(scope, effect, now)?,
        Some(Refused { kept, failure }) => execution.session.refuse(scope, effect, &kept, failure, now)?,
    })
}

impl InstanceState {
    /// Returns the outcome of a delivered effect of this kind, and charges the guest for its bytes.
    fn outcome_of(&mut self, call: CallId, kind: EffectKind) -> wasmtime::Result<Outcome> {
        let outcome = self.execution()?.session.outcome(call, kind).map_err(Stop::from);
        if let Ok(Ok(Some(result))) = &outcome {
            self.passed(result.len());
        }
        self.or_stop(outcome)
    }
}

/// Returns why a document that a guest passes is refused. `what` names the document.
fn check_document(execution: &Execution, text: &str, what: impl Fn() -> String) -> Option<Failure> {
    let (bytes, most) = (text.len() as u64, execution.limits.payload_bytes);
    if bytes > most {
        let message = format!(
            "{} has {bytes} bytes; the most is {most} (payload_bytes). Store large data elsewhere and pass a reference",
            what()
        );
        return Some(Failure::permanent(kind::LIMIT, message).with_reach(Reach::Nowhere));
    }
    match Document::parse(text).map(|document| document.check()) {
        Ok(Ok(())) => None,
        Ok(Err(why @ InvalidDocument::TooDeep)) => Some(
            Failure::permanent(kind::LIMIT, format!("{} is refused: {why}", what()))
                .with_reach(Reach::Nowhere),
        ),
        Ok(Err(why @ InvalidDocument::LoneSurrogate)) => {
            Some(invalid(format!("{} is refused: {why}", what())))
        }
        Err(why) => Some(invalid(format!("{} is not JSON: {why}", what()))),
    }
}

/// Returns the failure of a call with arguments that the host does not take. Nothing has happened.
fn invalid(message: String) -> Failure {
    Failure::permanent(kind::INVALID_INPUT, message).with_reach(Reach::Nowhere)
}

/// Returns a text as the journal and messages show it: short, and without characters that a database cannot store.
fn shown(text: &str) -> String {
    cut(text.replace(char::is_control, "\u{fffd}"), NAME)
}

/// Returns the number of bytes of some texts.
fn text_length<'t>(texts: impl IntoIterator<Item = &'t (impl AsRef<str> + ?Sized + 't)>) -> usize {
    texts.into_iter().fold(0, |sum, text| sum.saturating_add(text.as_ref().len()))
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
