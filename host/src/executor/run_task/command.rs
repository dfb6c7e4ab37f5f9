//! Commands for a run that has no instance.

use forge_journal::{Event, Journal, Pause, PauseReason, Run, WorkflowStatus};
use forge_store::{Refusal, RemoteCommand, StoreError};

use super::{NextAction, RunTask, apply};
use crate::executor::activation::Reply;
use crate::executor::command::Command;
use crate::executor::{ExecutorError, command};

impl RunTask {
    /// Applies the pending command to a run that has no instance.
    pub(super) async fn apply_command(&mut self) -> Result<NextAction, StoreError> {
        let Some(mut journal) = self.load().await? else { return Ok(NextAction::Leave) };
        let Some(command) = self.command.take() else { return Ok(NextAction::Continue) };
        let is_cancel = command.request == RemoteCommand::Cancel;
        let events = match command::events(&command.request, &journal) {
            Ok(events) => events,
            Err(refused) => {
                command.answer(Err(refused));
                self.journal = Some(journal);
                return Ok(NextAction::Continue);
            }
        };
        if command.request == RemoteCommand::Delete {
            self.command = Some(command);
            return self.delete(&journal).await;
        }
        if is_cancel && events.is_empty() && !self.cancelled_by.is_empty() {
            // The first cancel has no answer yet.
            self.cancelled_by.push(command.reply);
            self.journal = Some(journal);
            return Ok(NextAction::Continue);
        }
        let in_doubt = |pause: &Pause| pause.reason == PauseReason::InDoubt;
        let resumed = events.contains(&Event::Resumed);
        self.resend_in_doubt |= resumed && journal.run().pause.as_ref().is_some_and(in_doubt);
        tracing::info!(run = %self.run, "the run is {}", command.request.participle());
        // From here on, an error of the store answers it.
        self.command = Some(command);
        let changes = !events.is_empty();
        for event in events {
            apply(&mut journal, event)?;
        }
        if is_cancel && changes && self.needs_its_handlers(&journal).await? {
            self.cancelled_by.extend(self.command.take().map(|command| command.reply));
            self.journal = Some(journal);
            return Ok(NextAction::Continue);
        }
        self.writer.barrier(journal.take_changes()).await?;
        self.answer(Ok(()));
        let status = journal.run().status;
        let cancelled = match status {
            status if status.is_final() => {
                Err(ExecutorError::Conflict { run: self.run, status, action: "cancelled" })
            }
            _ => Ok(()),
        };
        self.answer_cancel(&cancelled);
        self.journal = Some(journal);
        Ok(NextAction::Continue)
    }

    /// Deletes the run, which is final. No other command is applied to it meanwhile, here or on another node.
    async fn delete(&mut self, journal: &Journal) -> Result<NextAction, StoreError> {
        let deleted = self.inner.store.delete(&[self.run]).await?;
        // The tenant has more room at once. If this fails, the job `usage` does it within seconds.
        if let Err(error) = self.inner.tenants.read_stored().await {
            tracing::debug!(%error, "the stored bytes of tenants were not read");
        }
        let status = journal.run().status;
        self.answer(match deleted.as_slice() {
            // Another node has reopened it: this one has lost its lease.
            [] => Err(ExecutorError::Conflict { run: self.run, status, action: "deleted" }),
            _ => Ok(()),
        });
        Ok(NextAction::Leave)
    }

    /// Returns whether the run can be rolled back only by its own code, which may be unable to: its component is gone, or
    /// it does something else than the journal says. A suspended tenant's runs get no instance to find out.
    async fn needs_its_handlers(&self, journal: &Journal) -> Result<bool, StoreError> {
        let run = journal.run();
        let rolls_back =
            run.status == WorkflowStatus::Compensating && journal.uncompensated().next().is_some();
        let needs_its_code = rolls_back || run.requested_rollback().is_some();
        Ok(needs_its_code && self.tenant().await?.check_active().is_ok())
    }

    /// Returns the run without its journal, which cannot be read, for a command that needs none of it. Refuses other
    /// commands.
    pub(super) fn without_rows(&mut self, journal: Journal, error: &StoreError) -> Option<Box<Journal>> {
        let request = self.command.as_ref().map(|command| &command.request);
        if matches!(request, Some(RemoteCommand::Terminate | RemoteCommand::Delete)) {
            return Some(Box::new(journal));
        }
        let refusal = Refusal::CorruptJournal { run: self.run, why: error.to_string() };
        self.answer(Err(refusal.into()));
        None
    }

    /// The run cannot be rolled back. It stays as it was before the cancel, and is paused with the reason. One that was to
    /// complete its requests first may still be rolled back without that: the cancel is applied again.
    pub(super) async fn refuse_cancel(
        &mut self,
        cancelled_by: Vec<Reply>,
        was_requested: bool,
        reason: PauseReason,
        why: String,
    ) -> Result<NextAction, StoreError> {
        self.cancelled_by = cancelled_by;
        self.journal = None;
        let Some(mut journal) = self.load().await? else { return Ok(NextAction::Leave) };
        if journal.run().pause.is_some() {
            apply(&mut journal, Event::Resumed)?;
        }
        if !journal.run().status.is_final() {
            self.pause(&mut journal, reason, why.clone()).await?;
        }
        if was_requested {
            let again =
                self.cancelled_by.drain(..).map(|reply| Command { request: RemoteCommand::Cancel, reply });
            self.postponed.extend(again);
        } else {
            self.answer_cancel(&Err(Refusal::CannotRollBack { run: self.run, reason, why }.into()));
        }
        self.journal = Some(journal);
        Ok(NextAction::Continue)
    }

    /// Answers the callers of a cancel whose activation ended before the guest waited.
    pub(super) fn answer_trial(&mut self, next: &Result<NextAction, StoreError>) {
        let run = self.journal.as_ref().map(|journal| journal.run());
        let answer = match (next, run) {
            (Err(error), _) => Err(ExecutorError::Store(error.clone())),
            (Ok(NextAction::Leave), _) => Err(ExecutorError::ShuttingDown),
            // The run is loaded again, and the cancel is applied again.
            (Ok(NextAction::Reload), _) => return,
            (Ok(_), Some(Run { pause: Some(pause), .. })) => {
                let why = pause.message.clone();
                Err(Refusal::CannotRollBack { run: self.run, reason: pause.reason, why }.into())
            }
            (Ok(_), _) => Ok(()),
        };
        self.answer_cancel(&answer);
    }

    /// Applies a cancel again to a run that was loaded again.
    pub(super) fn cancel_again(&mut self, journal: &mut Journal) -> Result<(), StoreError> {
        match command::events(&RemoteCommand::Cancel, journal) {
            Ok(events) if events.is_empty() => self.answer_cancel(&Ok(())),
            Ok(events) => {
                for event in events {
                    apply(journal, event)?;
                }
            }
            Err(refused) => self.answer_cancel(&Err(refused)),
        }
        Ok(())
    }

    /// Answers the pending command.
    pub(super) fn answer(&mut self, answer: Result<(), ExecutorError>) {
        if let Some(command) = self.command.take() {
            command.answer(answer);
        }
    }

    /// Answers the callers of a cancel that was applied in memory only.
    pub(super) fn answer_cancel(&mut self, answer: &Result<(), ExecutorError>) {
        for reply in self.cancelled_by.drain(..) {
            // The caller may be gone.
            let _ = reply.send(answer.clone());
        }
    }
}
