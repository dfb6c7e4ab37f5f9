//! Rolling back while effects are under way: what was sent is finished first, within a bound. What is still unknown then is in
//! doubt.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use forge_clock as clock;
use forge_journal::{DueEffect, Event, Failure, IllegalEvent, Journal, Row, Session, StepStatus, Timestamp};
use forge_sandbox::Stop;
use futures::StreamExt as _;

use super::Activation;
use crate::executor::effects;

/// A rollback that was requested, or that the guest has begun. It waits for the effects under way, so that a step that has
/// sent its request completes and is compensated. Meanwhile, only such steps begin effects.
pub(super) struct PendingRollback {
    /// The open steps that have had effects. Never iterated.
    steps: HashSet<u64>,
    /// When the effects that are still under way are abandoned.
    until: Instant,
}

impl Activation {
    /// Requests a rollback, unless one was requested or has begun.
    pub(super) fn request_rollback(&mut self, session: &mut Session, failure: Failure) -> Result<(), Stop> {
        if session.journal().run().failure.is_none() {
            session.journal_mut().apply(Event::RollbackRequested { failure }, clock::now())?;
            self.await_effects(session.journal(), |_| false);
        }
        Ok(())
    }

    /// Requests a rollback if the run has timed out.
    pub(super) fn check_deadline(&mut self, session: &mut Session) -> Result<(), Stop> {
        if deadline(session).is_some_and(|deadline| deadline <= clock::now()) {
            let failure = session.journal().run().timed_out();
            self.request_rollback(session, failure)?;
        }
        Ok(())
    }

    /// Returns whether an effect must not begin because a rollback waits for others.
    pub(super) fn must_not_begin(&self, journal: &Journal, row: &Row, due: DueEffect) -> bool {
        let Some(rollback) = self.rollback.as_ref().filter(|_| !self.rolls_back) else { return false };
        let goes_on = effects::steps_around(journal, row).any(|step| rollback.steps.contains(&step));
        !due.may_have_begun && !goes_on
    }

    /// Lets a rollback wait for the effects under way.
    pub(super) fn await_effects(&mut self, journal: &Journal, may_have_begun: impl Fn(&Row) -> bool) {
        if self.rollback.is_none() {
            let until = Instant::now() + self.context.limits.rollback_patience;
            let has_left =
                |seq: u64| self.under_way.get(&seq).is_some_and(|effect| effect.departure.has_left());
            let has_begun = |row: &Row| !row.is_open() || has_left(row.seq) || may_have_begun(row);
            let steps = effects::open_steps(journal, has_begun);
            // Effects that wait for their turn stay here, unless they complete a step.
            self.under_way.retain(|seq, effect| {
                let around =
                    journal.row(*seq).into_iter().flat_map(|row| effects::steps_around(journal, row));
                let goes_on = around.into_iter().any(|step| steps.contains(&step));
                let stays = !goes_on && effect.departure.withhold();
                if stays {
                    effect.handle.abort();
                }
                !stays
            });
            self.rollback = Some(PendingRollback { steps, until });
        }
    }

    /// Returns until when a rollback waits for the effects under way, if it does.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        let until = self.rollback.as_ref().filter(|_| !self.rolls_back)?.until;
        (!self.under_way.is_empty() && Instant::now() < until).then_some(until)
    }

    /// Tells the guest of a rollback that was requested and waits for no effect and no child. Returns whether it does.
    pub(super) fn tell_guest(&self, session: &mut Session) -> bool {
        let waits = self.waits_until().is_some() || session.journal().awaits_children();
        let requested = session.journal().run().requested_rollback().filter(|_| !waits);
        let Some(failure) = requested.cloned() else { return false };
        session.request_unwind(failure);
        true
    }

    /// Waits for the effects under way of a run that is rolled back, after its guest has ended.
    pub(in crate::executor) async fn drain(&mut self, session: &mut Session) -> Result<(), Stop> {
        self.await_effects(session.journal(), |_| false);
        if self.waits_until().is_some() {
            self.save_changes(session).await?;
        }
        let tenant = Arc::clone(&self.context.tenant);
        while let Some(until) = self.waits_until() {
            tokio::select! {
                Some(ended) = self.running.next() => self.ended(session, ended)?,
                () = tokio::time::sleep_until(until.into()) => {}
                () = self.context.shutdown.cancelled() => break,
                () = tenant.suspended() => return Err(self.suspend(session)),
            }
        }
        session.keep_arrived(clock::now())?;
        if session.is_unwinding() {
            self.abandon_effects(session)?;
        }
        Ok(())
    }

    /// Notes in the journal which open effects have not left the host, before the instance is gone.
    pub(in crate::executor) fn note_withheld(&mut self, session: &mut Session) -> Result<(), IllegalEvent> {
        let open = session.journal().rows().iter().filter(|row| row.is_open() && row.kind.effect().is_some());
        let effects = open.map(|row| row.seq).filter(|seq| !self.may_have_left(session, *seq)).collect();
        session.journal_mut().apply(Event::Withheld { effects }, clock::now())
    }

    /// Abandons an effect that the guest has dropped. One that may have happened goes on: its outcome is recorded if it comes
    /// in time.
    pub(super) fn abandon_effect(&mut self, session: &mut Session, seq: u64) -> Result<(), Stop> {
        let journal = session.journal();
        let dropped = journal.row(seq).filter(|row| row.status == StepStatus::Skipped);
        let doubt = dropped.and_then(|row| effects::in_doubt(journal, row, None));
        match doubt {
            Some(doubt) if self.may_have_left(session, seq) => {
                session.abandon(seq, Some(doubt), None, clock::now())?
            }
            _ => {
                if let Some(effect) = self.under_way.remove(&seq) {
                    effect.handle.abort();
                }
            }
        }
        Ok(())
    }

    /// Withholds an effect. Returns whether it may have left the host all the same: in this activation, or before it.
    fn may_have_left(&self, session: &Session, seq: u64) -> bool {
        match self.under_way.get(&seq) {
            Some(effect) => !effect.departure.withhold(),
            None => session.may_have_begun(seq),
        }
    }

    /// Abandons all effects under way: the handlers of a rollback begin theirs now.
    pub(super) fn abandon_effects(&mut self, session: &mut Session) -> Result<(), Stop> {
        if std::mem::replace(&mut self.rolls_back, true) {
            return Ok(());
        }
        // The effects that do not begin again in this activation may have left before it.
        let effects: BTreeSet<u64> = self.under_way.keys().chain(&self.open_before).copied().collect();
        for seq in effects {
            let journal = session.journal();
            let failure = journal.run().failure.as_ref();
            let is_interrupted =
                |row: &&Row| row.status == StepStatus::Skipped && row.failure.as_deref() == failure;
            let interrupted = journal.row(seq).filter(is_interrupted);
            let doubt = interrupted.and_then(|row| effects::in_doubt(journal, row, None));
            if doubt.is_some() && self.may_have_left(session, seq) {
                session.abandon(seq, doubt, None, clock::now())?;
            }
        }
        self.under_way.clear();
        self.running.clear();
        Ok(())
    }
}

/// When the run times out, unless it is rolled back or is to be.
pub(super) fn deadline(session: &Session) -> Option<Timestamp> {
    let run = session.journal().run();
    run.failure.is_none().then_some(run.deadline)
}
