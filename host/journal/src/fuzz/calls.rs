//! Calls of a guest, and of the host for it.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::{LIMITS, NOW, failure, name, number, scope, step_options};
use crate::tests::{HTTP, SLEEP, TIMEOUT};
use crate::*;

/// What a guest, or the host for it, does.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Begin(Scope, Arc<str>, StepOptions),
    Enter(Scope, Arc<str>),
    Lookup(Arc<str>),
    Complete(Scope, &'static str),
    CompleteCompensation(Scope),
    Fail(Scope, Failure),
    Abandon(Scope),
    Submit(Scope, EffectKind, u64),
    Deadline(Scope, u64),
    Time(Scope),
    Tag(&'static str, &'static str),
    Compensate(u64),
    Resume(CallId),
    Take(CallId),
    Cancel(CallId),
    Next,
    Arrive(u64),
    Fire(i64),
    Send,
    Leave,
    Unwind(Failure),
    AskToUnwind(Failure),
    Finish(&'static str),
    Log(Scope, &'static str),
    Publish(Scope, Arc<str>),
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let id = || number(1..8);
    prop_oneof![
        6 => (scope(), name(), step_options()).prop_map(|(scope, name, options)| Call::Begin(scope, name, options)),
        2 => (scope(), name()).prop_map(|(scope, name)| Call::Enter(scope, name)),
        1 => name().prop_map(Call::Lookup),
        6 => (scope(), select(&["1", "{"][..])).prop_map(|(scope, result)| Call::Complete(scope, result)),
        2 => scope().prop_map(Call::CompleteCompensation),
        4 => (scope(), failure()).prop_map(|(scope, failure)| Call::Fail(scope, failure)),
        1 => scope().prop_map(Call::Abandon),
        4 => (scope(), select(&[HTTP, SLEEP][..]), number(0..5))
            .prop_map(|(scope, kind, wait)| Call::Submit(scope, kind, wait)),
        1 => (scope(), number(0..5)).prop_map(|(scope, wait)| Call::Deadline(scope, wait)),
        1 => scope().prop_map(Call::Time),
        1 => (select(&["a", "b", ""][..]), select(&["1", "\0"][..])).prop_map(|(name, value)| Call::Tag(name, value)),
        3 => number(0..6).prop_map(Call::Compensate),
        3 => id().prop_map(Call::Resume),
        2 => id().prop_map(Call::Take),
        2 => id().prop_map(Call::Cancel),
        6 => Just(Call::Next),
        3 => number(1..8).prop_map(Call::Arrive),
        2 => any::<i64>().prop_map(Call::Fire),
        2 => Just(Call::Send),
        1 => Just(Call::Leave),
        1 => failure().prop_map(Call::Unwind),
        1 => failure().prop_map(Call::AskToUnwind),
        1 => select(&["1", "{"][..]).prop_map(Call::Finish),
        2 => (scope(), select(&["", "a line"][..])).prop_map(|(scope, line)| Call::Log(scope, line)),
        1 => (scope(), name()).prop_map(|(scope, name)| Call::Publish(scope, name)),
    ]
}

/// Makes a call and gives the scope that it opens. What else it answers does not matter here, only that it does. A
/// guest mostly names scopes that it has.
fn make(session: &mut Session, call: Call, scopes: &[Scope]) -> Result<Option<Scope>, SessionError> {
    let own = |scope: Scope| match usize::try_from(scope.step) {
        Ok(step) if step < 6 => scopes.iter().rev().cycle().nth(step).copied().unwrap_or(scope),
        _ => scope,
    };
    let opened = |entry| match entry {
        Entry::Execute(scope) => Some(scope),
        _ => None,
    };
    let effect = |kind, wait: u64| NewEffect {
        kind,
        name: "GET x".to_owned(),
        input: String::new(),
        wake_at: (kind != HTTP).then(|| NOW.plus(wait)),
        awaits: None,
    };
    match call {
        Call::Begin(scope, name, options) => {
            return session.begin_step(own(scope), &name, options, NOW).map(opened);
        }
        Call::Enter(scope, name) => return session.enter_step(own(scope), &name, NOW).map(Some),
        Call::Lookup(name) => {
            session.lookup_step(&name);
            Ok(())
        }
        Call::Complete(scope, result) => session.complete_step(own(scope), Some(result), NOW).map(drop),
        Call::CompleteCompensation(scope) => session.complete_step(own(scope), None, NOW).map(drop),
        Call::Fail(scope, failure) => session.fail_step(own(scope), failure, |_| None, NOW).map(drop),
        Call::Abandon(scope) => session.abandon_step(own(scope), NOW),
        Call::Submit(scope, kind, wait) => session.submit(own(scope), effect(kind, wait), NOW).map(drop),
        Call::Deadline(scope, wait) => {
            session.submit_for_scope(own(scope), effect(TIMEOUT, wait), NOW).map(drop)
        }
        Call::Time(scope) => session.workflow_time(own(scope), NOW).map(drop),
        Call::Tag(name, value) => session.tag(name, value, NOW).map(drop),
        Call::Compensate(step) => return session.begin_compensation(step, NOW).map(opened),
        Call::Resume(id) => return session.resume_step(id).map(opened),
        Call::Take(id) => session.outcome(id, HTTP).map(drop),
        Call::Cancel(id) => session.cancel(id, NOW).map(drop),
        Call::Next => session.next(NOW).map(drop),
        Call::Arrive(seq) => session.arrive(seq, Ok(Some("1".into())), NOW),
        Call::Fire(now) => {
            session.fire(Timestamp(now));
            session.next_timer();
            session.waits_only_for(|kind| kind != HTTP);
            Ok(())
        }
        Call::Send => session.effects_due().map(drop),
        Call::Leave => session.keep_arrived(NOW),
        Call::Unwind(failure) => session.unwind(failure, NOW),
        Call::AskToUnwind(failure) => {
            session.request_unwind(failure);
            Ok(())
        }
        Call::Finish(output) => session.finish(output, NOW),
        // A guest can name any scope.
        Call::Log(scope, line) => match session.note(scope) {
            Some(note) => session.log(note, LogLevel::Info, line, NOW),
            None => Ok(()),
        },
        Call::Publish(scope, name) => match session.note(scope) {
            Some(note) => session.publish(note, &name, Document::default(), NOW).map(drop),
            None => Ok(()),
        },
    }
    .map(|()| None)
}

/// Makes calls until one is refused, as the host does.
pub(super) fn execute(journal: Journal, calls: Vec<Call>) -> Journal {
    let mut session = Session::new(journal, LIMITS);
    let mut scopes = vec![Scope::BODY];
    for call in calls {
        match make(&mut session, call, &scopes) {
            Ok(opened) => scopes.extend(opened),
            Err(_) => break,
        }
        session.is_past_records();
        session.journal_mut().take_changes();
    }
    for row in session.journal().rows() {
        session.journal().idempotency_key(row);
    }
    *session.into_journal()
}
