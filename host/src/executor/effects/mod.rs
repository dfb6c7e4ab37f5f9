//! Effects: calls of a guest whose outcome comes from outside.
//!
//! Each is one file here and one line in [`EFFECTS`]; its side of the guest is a file in the sandbox's `imports/`. Nothing
//! else in the executor, the sandbox or the session knows one effect from another.
//!
//! An effect is journaled when the guest begins it. What it does to the world begins once that row is durable, and is a
//! future of the run's task: it is dropped when the guest drops the call, when the run is rolled back, and when the run
//! leaves memory.

mod http;
mod timer;

use std::sync::Arc;

use forge_journal::{EffectKind, Journal, Outcome, PauseReason, Row};
use forge_sandbox::Stop;
use futures::future::BoxFuture;

use crate::tenants::Tenant;

/// The table of effects.
const EFFECTS: [&dyn Effect; 3] = [&http::Http, &timer::Timer::SLEEP, &timer::Timer::TIMEOUT];

/// One kind of effect.
pub(super) trait Effect: Sync {
    /// The word of its rows.
    fn kind(&self) -> EffectKind;

    /// Whether the run may leave memory while it waits for this effect.
    fn may_leave_memory(&self) -> bool;

    /// Returns what begins once the row is durable, and completes with the outcome. `None`: nothing does, and the outcome
    /// comes from elsewhere.
    ///
    /// # Errors
    /// [`Stop`] if the effect must not begin.
    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<BoxFuture<'static, Outcome>>, Stop>;

    /// Checks a result that a person gives, a JSON document.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check_result(&self, result: &str) -> Result<(), String> {
        let _ = result;
        Ok(())
    }
}

/// What an effect may look at before it begins.
pub(super) struct Beginning<'b> {
    pub(super) journal: &'b Journal,
    /// The row of the effect.
    pub(super) row: &'b Row,
    pub(super) tenant: &'b Arc<Tenant>,
    /// It may have begun before a crash or a rollback.
    pub(super) may_have_begun: bool,
    /// A person decided that effects in doubt begin again.
    pub(super) resend_in_doubt: bool,
}

/// Prepares the effect of a row.
pub(super) fn begin(beginning: &Beginning<'_>) -> Result<Option<BoxFuture<'static, Outcome>>, Stop> {
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

/// Checks a result that a person gives to a call: of an effect, or of a step.
pub(super) fn check_result(kind: Option<EffectKind>, result: &str) -> Result<(), String> {
    effect(kind).map_or(Ok(()), |effect| effect.check_result(result))
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
