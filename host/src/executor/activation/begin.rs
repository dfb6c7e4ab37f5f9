//! Beginning effects, and taking their outcomes.

use std::sync::Arc;

use forge_clock as clock;
use forge_journal::{Event, Journal, Operation, Row, RunId, Session, StepStatus, Timestamp};
use forge_sandbox::Stop;
use forge_store::StoreError;
use futures::future::{Aborted, BoxFuture};
use futures::{FutureExt as _, StreamExt as _};

use super::{Activation, Leave, UnderWay, wait};
use crate::executor::effects::{self, Beginning, Begun, Departure, Ended};

impl Activation {
    /// Begins the effects that the guest waits for, once the journal up to them is durable. Returns whether some of
    /// them have ended or gone on already.
    pub(super) async fn begin_effects(
        &mut self,
        session: &mut Session,
        wake_at: Option<Timestamp>,
    ) -> Result<bool, Stop> {
        // They end here: what the run changes with them is committed now.
        let _turns = self.context.db.turns();
        let mut beginning = Vec::new();
        let children = session.count_children();
        for due in session.effects_due()? {
            let journal = session.journal();
            let Some(row) = journal.row(due.seq) else { continue };
            if self.must_not_begin(journal, row, due) {
                continue;
            }
            let departure: Arc<Departure> = Arc::default();
            if due.may_have_begun {
                // It may have left before a crash, and is not withheld.
                departure.leave();
            }
            let effect = effects::begin(&Beginning {
                journal,
                row,
                tenant: &self.context.tenant,
                registry: &self.context.registry,
                db: &self.context.db,
                children,
                writer: &self.context.writer,
                departure: &departure,
                may_have_begun: due.may_have_begun,
                resend_in_doubt: self.context.resend_in_doubt,
            })?;
            match effect {
                Some(Begun::After(effect)) => beginning.push((due.seq, effect, departure)),
                Some(Begun::AtOnce(effect)) => {
                    let seq = due.seq;
                    self.run(seq, async move { (seq, effect.await) }.boxed(), departure);
                }
                Some(Begun::InCommit(operation)) => self.operations.push((due.seq, operation)),
                None => {}
            }
        }
        // What ends at once is part of the same commit.
        self.take_ended(session)?;
        let operations = self.take_operations(session.journal());
        let is_idle = operations.is_empty() && beginning.is_empty();
        if is_idle && self.running.is_empty() && session.waits_only_for(effects::may_leave_memory) {
            let (until, waits_for) = (wake_at.unwrap_or(Timestamp::MAX), wait::described(session));
            session.journal_mut().apply(Event::Waiting { until, waits_for }, clock::now())?;
        }
        if is_idle {
            self.save_changes(session).await?;
            return Ok(session.has_ready());
        }
        let changes = session.journal_mut().take_changes_with(operations, clock::now());
        let durable = self.context.writer.perform(changes).await;
        let performed = durable.map_err(|error| self.leave_with(Leave::Store(error)))?;
        for (seq, effect, departure) in beginning {
            let writer = self.context.writer.clone();
            let beginning = async move {
                let leased = writer.await_lease().await;
                (seq, if let Err(error) = leased { Err(error) } else { effect.await })
            };
            self.run(seq, beginning.boxed(), departure);
        }
        let has_performed = !performed.is_empty();
        for (seq, performed) in performed {
            session.performed(seq, performed, clock::now())?;
        }
        Ok(has_performed || session.has_ready())
    }

    /// Returns the operations for the next commit, in the order of their calls: a start may be prepared after a message to its
    /// run. A message to a run whose start is being prepared waits for the start.
    fn take_operations(&mut self, journal: &Journal) -> Vec<(u64, Operation)> {
        let is_starting = |run: RunId| {
            let rows = self.under_way.keys().filter_map(|seq| journal.row(*seq));
            rows.into_iter().any(|row| RunId::child_of(journal.run().id, row.seq, row.started_at) == run)
        };
        let waits = |operation: &Operation| match operation {
            Operation::Send(message) => is_starting(message.to),
            Operation::Start(_) | Operation::Transaction(_) => false,
        };
        let (later, mut now): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.operations).into_iter().partition(|(_, operation)| waits(operation));
        self.operations = later;
        now.sort_by_key(|(seq, _)| *seq);
        now
    }

    /// Runs what an effect does, as a part of this task.
    fn run(
        &mut self,
        seq: u64,
        effect: BoxFuture<'static, (u64, Result<Ended, StoreError>)>,
        departure: Arc<Departure>,
    ) {
        let (effect, handle) = futures::future::abortable(effect);
        self.running.push(effect);
        self.under_way.insert(seq, UnderWay { handle, departure });
    }

    /// Takes the outcome of an effect, unless it was aborted.
    pub(super) fn ended(
        &mut self,
        session: &mut Session,
        ended: Result<(u64, Result<Ended, StoreError>), Aborted>,
    ) -> Result<(), Stop> {
        let Ok((seq, outcome)) = ended else { return Ok(()) };
        self.under_way.remove(&seq);
        let outcome = match outcome {
            Ok(Ended::Outcome(outcome)) => outcome,
            Ok(Ended::InCommit(operation)) => {
                // Unless the guest has dropped the call, or the run is to be rolled back: a child that starts now would not be
                // cancelled.
                let journal = session.journal();
                let is_awaited = journal.row(seq).is_some_and(Row::is_open);
                if is_awaited && journal.run().requested_rollback().is_none() {
                    self.operations.push((seq, operation));
                }
                return Ok(());
            }
            // An effect that did not begin, because the tenant is suspended, or because the node has lost the run.
            Err(StoreError::Fenced) if self.context.tenant.is_suspended() => {
                return Err(self.suspend(session));
            }
            Err(error) => return Err(self.leave_with(Leave::Store(error))),
        };
        let journal = session.journal();
        match journal.row(seq).filter(|row| row.status == StepStatus::Skipped) {
            Some(row) => {
                let doubt = effects::in_doubt(journal, row, Some(&outcome));
                session.abandon(seq, doubt, outcome.unwrap_or_default(), clock::now())?;
            }
            None => session.arrive(seq, outcome, clock::now())?,
        }
        Ok(())
    }

    /// Takes the outcomes of the effects that have ended, without waiting for others.
    pub(super) fn take_ended(&mut self, session: &mut Session) -> Result<(), Stop> {
        while let Some(Some(ended)) = self.running.next().now_or_never() {
            self.ended(session, ended)?;
        }
        Ok(())
    }
}
