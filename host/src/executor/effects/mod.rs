//! Effects: calls of a guest whose outcome comes from outside.
//!
//! Each is one file here and one line in [`EFFECTS`]; its side of the guest is a file in the sandbox's `imports/`. Nothing
//! else in the executor, the sandbox or the session knows one effect from another.
//!
//! An effect is journaled when the guest begins it. What it does to the world begins once that row is durable, and is a
//! future of the run's task. It is dropped when the run leaves memory, and when the guest drops the call and nothing can have
//! happened. A rollback waits for it, within a bound.
//!
//! Nothing leaves the host unless this node certainly has its lease at that moment, because another node may execute the
//! run otherwise. The activation begins an effect only then; an effect that takes a while before anything leaves asks
//! [`Beginning::writer`] again.

mod child;
mod db;
mod departure;
mod event;
mod http;
mod response;
mod timer;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use forge_clock as clock;
use forge_journal::{
    EffectKind, Event, Failure, IllegalEvent, Journal, Operation, Outcome, PauseReason, Row, StepStatus, kind,
};
use forge_sandbox::Stop;
use forge_store::{RunWriter, StoreError};
use futures::future::BoxFuture;

pub(super) use self::child::started_by;
pub(super) use self::departure::Departure;
use crate::executor::db::DbReader;
use crate::registry::WorkflowRegistry;
use crate::tenants::Tenant;

/// The table of effects.
const EFFECTS: [&dyn Effect; 11] = [
    &http::Http,
    &timer::Timer::SLEEP,
    &timer::Timer::TIMEOUT,
    &event::Receive,
    &event::Send,
    &child::Child,
    &child::Start,
    &child::Cancel,
    &db::Get,
    &db::Entries,
    &db::Commit,
];

/// The most effects that a run names as in doubt. A person reads them, and each answer about the run has them.
const MOST_NAMED: usize = 100;

/// One kind of effect.
pub(super) trait Effect: Sync {
    /// The word of its rows.
    fn kind(&self) -> EffectKind;

    /// Whether the run may leave memory while it waits for this effect.
    fn may_leave_memory(&self) -> bool;

    /// Returns what may have happened when the guest does not learn the outcome of an effect that has begun, and nothing
    /// undoes it; `late` is an outcome that came too late. `None`: nothing that matters.
    fn in_doubt(&self, row: &Row, late: Option<&Outcome>) -> Option<String> {
        let _ = (row, late);
        None
    }

    /// Returns what may stand of an effect that has ended in a step that did not complete. `None`: nothing that matters.
    /// `was_interrupted`: the code of the step has not seen how it ended.
    fn unsettled(&self, row: &Row, was_interrupted: bool) -> Option<Doubt> {
        let _ = (row, was_interrupted);
        None
    }

    /// Returns the idempotency key that the workflow gave to an effect, if it gave one.
    fn own_key(&self, row: &Row) -> Option<String> {
        let _ = row;
        None
    }

    /// Returns whether the result of an effect tells what became of earlier attempts at it.
    fn is_conclusive(&self, row: &Row) -> bool {
        let _ = row;
        true
    }

    /// Returns what the effect does. `None`: nothing, and the outcome comes from elsewhere.
    ///
    /// # Errors
    /// [`Stop`] if the effect must not begin.
    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop>;

    /// Returns a result that a person gives, a JSON document, as the journal keeps it.
    ///
    /// # Errors
    /// What is wrong with it, and with which field.
    fn result(&self, given: &str) -> Result<String, String> {
        Ok(given.to_owned())
    }
}

/// What may stand of an effect.
pub(super) struct Doubt {
    /// What may stand, for a person.
    pub(super) what: String,
    /// It counts only if there was an earlier attempt at the effect.
    pub(super) if_sent_before: bool,
}

/// What an effect does.
pub(super) enum Begun {
    /// It acts on the world, once the row is durable.
    After(EffectFuture),
    /// It acts on nothing, so it need not wait for the row. It may end with an operation.
    AtOnce(EffectFuture),
    /// The store performs an operation in the commit that makes the row durable.
    InCommit(Operation),
}

/// How what an effect does ends.
pub(super) enum Ended {
    /// With the outcome.
    Outcome(Outcome),
    /// With an operation, which is performed in the next commit of the run.
    InCommit(Operation),
}

/// What an effect does, and how it ends. [`StoreError::Fenced`]: the node lost its lease before anything left, and must drop
/// the run, or the tenant was suspended.
pub(super) type EffectFuture = BoxFuture<'static, Result<Ended, StoreError>>;

/// What an effect may look at before it begins.
pub(super) struct Beginning<'b> {
    pub(super) journal: &'b Journal,
    /// The row of the effect.
    pub(super) row: &'b Row,
    pub(super) tenant: &'b Arc<Tenant>,
    /// The workflows of the tenant.
    pub(super) registry: &'b WorkflowRegistry,
    /// The store of the tenant.
    pub(super) db: &'b DbReader,
    /// The number of children that the run waits for, this one included.
    pub(super) children: usize,
    /// The writer of the run, which knows whether the node has its lease.
    pub(super) writer: &'b RunWriter,
    /// Asked before anything leaves the host.
    pub(super) departure: &'b Arc<Departure>,
    /// It may have begun before a crash or a rollback.
    pub(super) may_have_begun: bool,
    /// A person decided that effects in doubt begin again.
    pub(super) resend_in_doubt: bool,
}

/// Prepares the effect of a row.
pub(super) fn begin(beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
    let Beginning { row, .. } = beginning;
    match effect(row.kind.effect()) {
        Some(effect) => effect.begin(beginning),
        None => Err(Stop::Pause(
            PauseReason::CorruptJournal,
            format!(
                "call {} is a `{}`, which this version of Forge does not know: use a newer one",
                row.seq, row.kind
            ),
        )),
    }
}

/// Whether a run may leave memory while it waits for an effect of this kind.
pub(super) fn may_leave_memory(kind: EffectKind) -> bool {
    effect(Some(kind)).is_some_and(Effect::may_leave_memory)
}

/// Returns what may have happened by an effect that has begun and whose outcome the guest does not learn. See
/// [`Effect::in_doubt`].
pub(super) fn in_doubt(journal: &Journal, row: &Row, late: Option<&Outcome>) -> Option<Failure> {
    let doubt = effect(row.kind.effect())?.in_doubt(row, late)?;
    Some(Failure::permanent(kind::IN_DOUBT, named(journal, row, &doubt)))
}

/// Names the step of an effect. A run has one effect in each line.
fn named(journal: &Journal, row: &Row, doubt: &str) -> String {
    let message = match journal.row(row.scope.step) {
        Some(step) => format!("`{}`: {doubt}", step.name),
        None => doubt.to_owned(),
    };
    message.replace(['\r', '\n'], " ")
}

/// Returns the effects of a final run that may stand although nothing undoes them, with what may stand, and that no person
/// has settled. One that was tried more than once is named once, as its last attempt left it.
pub(super) fn unsettled(journal: &Journal) -> Vec<(&Row, Doubt)> {
    let found = journal.rows().iter().filter_map(|row| Some((row, remains(journal, row)?)));
    let mut in_doubt: Vec<(&Row, Doubt)> = found.collect();
    if !in_doubt.is_empty() {
        let attempts = attempts(journal);
        let by_person: HashSet<u64> = journal.run().settled.iter().map(|settled| settled.seq).collect();
        let mut named = HashSet::new();
        in_doubt.reverse();
        in_doubt.retain(|(row, doubt)| {
            let is_unsettled = !by_person.contains(&row.seq);
            let identity = identity(journal, row);
            let Some(attempts) = attempts.get(&identity) else { return is_unsettled };
            let is_open = attempts.settled <= row.seq && (!doubt.if_sent_before || attempts.first < row.seq);
            is_open && named.insert(identity) && is_unsettled
        });
        in_doubt.reverse();
    }
    in_doubt
}

/// Records which effects of a final run may stand although nothing undoes them.
pub(super) fn name_in_doubt(journal: &mut Journal) -> Result<(), IllegalEvent> {
    let in_doubt = unsettled(journal);
    let more = in_doubt.len().saturating_sub(MOST_NAMED);
    let mut effects: Vec<String> =
        in_doubt.into_iter().take(MOST_NAMED).map(|(_, doubt)| doubt.what).collect();
    if more > 0 {
        effects.push(format!("{more} more: the run's steps show them"));
    }
    journal.apply(Event::InDoubt { effects }, clock::now())
}

/// What the attempts at one effect have in common: the key and the input, or the key that the workflow gave it and the name.
type Identity<'j> = (Cow<'j, str>, Option<&'j str>);

fn identity<'j>(journal: &Journal, row: &'j Row) -> Identity<'j> {
    match effect(row.kind.effect()).and_then(|effect| effect.own_key(row)) {
        Some(key) => (key.into(), Some(&row.name)),
        None => (journal.idempotency_key(row).into(), row.input.as_deref()),
    }
}

/// The attempts at one effect.
struct Attempts {
    /// The first.
    first: u64,
    /// The last whose result tells what the earlier ones have done; 0 if there is none.
    settled: u64,
}

/// Returns the attempts at each effect.
fn attempts(journal: &Journal) -> HashMap<Identity<'_>, Attempts> {
    let mut found = HashMap::new();
    for row in journal.rows() {
        let Some(effect) = effect(row.kind.effect()) else { continue };
        let attempts = found.entry(identity(journal, row)).or_insert(Attempts { first: row.seq, settled: 0 });
        if row.status == StepStatus::Completed && effect.is_conclusive(row) {
            attempts.settled = row.seq;
        }
    }
    found
}

/// Returns what may stand of an effect of a final run.
fn remains(journal: &Journal, row: &Row) -> Option<Doubt> {
    let effect = effect(row.kind.effect())?;
    let step = journal.row(row.scope.step);
    match row.status {
        // What was given up.
        StepStatus::Skipped => {
            let doubt = row.failure.as_deref().filter(|failure| failure.kind == kind::IN_DOUBT)?;
            Some(Doubt { what: doubt.message.clone(), if_sent_before: false })
        }
        // The step has no handler that could undo it.
        StepStatus::Completed | StepStatus::Failed if !step.is_some_and(has_completed) => {
            let doubt = effect.unsettled(row, step.is_some_and(was_interrupted))?;
            Some(Doubt { what: named(journal, row, &doubt.what), ..doubt })
        }
        _ => None,
    }
}

fn has_completed(step: &Row) -> bool {
    matches!(step.status, StepStatus::Completed | StepStatus::Compensated)
}

/// Whether a step ended without its own code: by a rollback, a termination, or because it was dropped.
fn was_interrupted(step: &Row) -> bool {
    step.status == StepStatus::Skipped || (step.status == StepStatus::Failed && step.order.is_none())
}

/// Returns whether a run that can go on has steps with effects that should complete before it is rolled back.
pub(super) fn has_open_steps(journal: &Journal) -> bool {
    sent(journal).next().is_some() || !open_steps(journal, |_| true).is_empty()
}

/// Returns the steps and compensations that contain a call, the innermost first.
pub(super) fn steps_around<'j>(journal: &'j Journal, row: &Row) -> impl Iterator<Item = u64> + 'j {
    std::iter::successors(journal.row(row.scope.step), |step| journal.row(step.scope.step))
        .map(|step| step.seq)
}

/// Returns the open steps that contain an effect of which something may remain, if it `has_begun`.
pub(super) fn open_steps(journal: &Journal, has_begun: impl Fn(&Row) -> bool) -> HashSet<u64> {
    let is_open = |step: u64| journal.row(step).is_some_and(Row::is_open);
    let effects = journal.rows().iter().filter(|row| row.status != StepStatus::Skipped && has_begun(row));
    // Reading the requests of a large journal takes long, so steps that have ended are left out first.
    let effects = effects.filter(|row| steps_around(journal, row).any(is_open));
    let remaining = effects.filter(|row| in_doubt(journal, row, None).is_some());
    let steps = remaining.flat_map(|row| steps_around(journal, row));
    steps.filter(|seq| is_open(*seq)).collect()
}

/// Begins the rollback of a run that has no instance. Its effects that may have begun are in doubt.
pub(super) fn unwind(journal: &mut Journal, failure: Failure) -> Result<(), IllegalEvent> {
    let now = clock::now();
    let in_doubt: Vec<(u64, Failure)> = sent(journal).collect();
    journal.apply(Event::Unwinding { failure }, now)?;
    for (seq, doubt) in in_doubt {
        // A compensation that the workflow itself began goes on, and so does its effect.
        if journal.row(seq).is_some_and(|row| !row.is_open()) {
            journal.apply(Event::Abandoned { seq, doubt: Some(doubt), result: None }, now)?;
        }
    }
    Ok(())
}

/// Returns the effects of a run without an instance that may have left the host, with what may have happened.
pub(super) fn sent(journal: &Journal) -> impl Iterator<Item = (u64, Failure)> {
    let open = journal.rows().iter().filter(|row| row.is_open());
    let open = open.filter(|row| !journal.is_withheld(row.seq));
    open.filter_map(|row| Some((row.seq, in_doubt(journal, row, None)?)))
}

/// Returns a result that a person gives to a call, of an effect or of a step, as the journal keeps it.
pub(super) fn result(kind: Option<EffectKind>, given: &str) -> Result<String, String> {
    effect(kind).map_or_else(|| Ok(given.to_owned()), |effect| effect.result(given))
}

fn effect(kind: Option<EffectKind>) -> Option<&'static dyn Effect> {
    EFFECTS.into_iter().find(|effect| Some(effect.kind()) == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_effect_is_found_by_its_kind() {
        for (index, one) in EFFECTS.iter().enumerate() {
            assert!(effect(Some(one.kind())).is_some());
            assert!(
                EFFECTS[..index].iter().all(|other| other.kind() != one.kind()),
                "{:?} twice",
                one.kind()
            );
        }
        assert!(effect(Some(EffectKind::new("unheard_of"))).is_none());
    }
}
