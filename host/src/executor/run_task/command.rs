//! Commands for a run that has no instance.

use forge_journal::{Event, Journal, Pause, PauseReason, Run, WorkflowStatus};
use forge_store::{Refusal, RemoteCommand, StoreError};

use super::children::awaits_only_children;
use super::{NextAction, RunTask, apply};
use crate::executor::command::{Command, Trial};
use crate::executor::{ExecutorError, command, unreadable};

impl RunTask {
    /// Applies the pending command to a run that has no instance.
    pub(super) async fn apply_command(&mut self) -> Result<NextAction, StoreError> {
        let is_loaded_again = self.journal.is_none();
        let Some(mut journal) = self.load().await? else { return Ok(NextAction::Leave) };
        if is_loaded_again {
            self.try_again(&mut journal)?;
        }
        let Some(command) = self.command.take() else { return Ok(NextAction::Continue) };
        let is_tried = matches!(command.request, RemoteCommand::Cancel | RemoteCommand::Resume);
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
        if is_tried
            && events.is_empty()
            && let Some(trial) = &mut self.trial
        {
            // What is tried has no answer yet.
            trial.callers.push(command.reply);
            self.journal = Some(journal);
            return Ok(NextAction::Continue);
        }
        let resends = resends(&journal, &events);
        tracing::info!(run = %self.run, "the run is {}", command.request.participle());
        // From here on, an error of the store answers it.
        self.command = Some(command);
        let changes = !events.is_empty();
        for event in events {
            apply(&mut journal, event)?;
        }
        if is_tried && changes && self.needs_its_code(&journal).await? {
            self.begin_trial(resends);
            self.journal = Some(journal);
            return Ok(NextAction::Continue);
        }
        self.resend_in_doubt |= resends;
        self.writer.barrier(journal.take_changes()).await?;
        self.answer(Ok(()));
        let status = journal.run().status;
        if let Some(trial) = self.trial.take() {
            let action = trial.request.participle();
            let conflict = || Err(ExecutorError::Conflict { run: self.run, status, action });
            trial.answer(&if status.is_final() { conflict() } else { Ok(()) });
        }
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

    /// Makes the pending command the trial. Callers of an earlier one get the same answer.
    fn begin_trial(&mut self, resend_in_doubt: bool) {
        let Some(Command { request, reply }) = self.command.take() else { return };
        let earlier = self.trial.take();
        let resend_in_doubt =
            resend_in_doubt || earlier.as_ref().is_some_and(|earlier| earlier.resend_in_doubt);
        let mut callers = earlier.map(|earlier| earlier.callers).unwrap_or_default();
        callers.push(reply);
        self.trial = Some(Trial { request, callers, resend_in_doubt });
    }

    /// Returns whether the run goes on only by its own code, which may be unable to: its component is gone, or it does
    /// something else than the journal says. A suspended tenant's runs get no instance to find out.
    async fn needs_its_code(&self, journal: &Journal) -> Result<bool, StoreError> {
        let needs_its_code = match journal.run().status {
            status if status.is_at_rest() => false,
            WorkflowStatus::Compensating => journal.uncompensated().next().is_some(),
            _ if awaits_only_children(journal) => false,
            _ => true,
        };
        Ok(needs_its_code && self.tenant().await?.check_active().is_ok())
    }

    /// Returns the run without its journal, which cannot be read, for a command that needs none of it. Refuses other
    /// commands.
    pub(super) fn without_rows(&mut self, journal: Journal, error: &StoreError) -> Option<Box<Journal>> {
        let request = self.command.as_ref().map(|command| &command.request);
        if matches!(request, Some(RemoteCommand::Terminate | RemoteCommand::Delete)) {
            return Some(Box::new(journal));
        }
        let refusal = ExecutorError::from(Refusal::CorruptJournal { run: self.run, why: error.to_string() });
        self.answer_trial(&Err(refusal.clone()));
        self.answer(Err(refusal));
        None
    }

    /// Returns what can be read of the run, whose own row cannot be read, for a command that needs no more.
    pub(super) async fn unreadable(
        &mut self,
        error: &StoreError,
    ) -> Result<Option<Box<Journal>>, StoreError> {
        let Some(found) = self.inner.store.readable(self.run).await? else {
            self.answer(Err(ExecutorError::UnknownRun(self.run)));
            return Ok(None);
        };
        let journal = unreadable::journal(&*self.inner.store, found).await?;
        Ok(self.without_rows(journal, error))
    }

    /// What was tried is not possible. The run stays as it was before, and is paused with the reason. One that was to complete
    /// its requests before it is rolled back may still be rolled back without that: the cancel is applied again.
    pub(super) async fn refuse(
        &mut self,
        trial: Trial,
        was_requested: bool,
        reason: PauseReason,
        why: String,
    ) -> Result<NextAction, StoreError> {
        self.trial = Some(trial);
        self.journal = None;
        let Some(mut journal) = self.load().await? else { return Ok(NextAction::Leave) };
        if journal.run().pause.is_some() {
            apply(&mut journal, Event::Resumed)?;
        }
        if !journal.run().status.is_final() {
            self.pause(&mut journal, reason, why.clone()).await?;
        }
        if let Some(trial) = self.trial.take() {
            if was_requested && trial.request == RemoteCommand::Cancel {
                let again =
                    trial.callers.into_iter().map(|reply| Command { request: RemoteCommand::Cancel, reply });
                self.postponed.extend(again);
            } else {
                let refusal = trial.refusal(self.run, reason, why);
                trial.answer(&Err(refusal));
            }
        }
        self.journal = Some(journal);
        Ok(NextAction::Continue)
    }

    /// Answers the callers of what was tried in an activation that ended before the guest waited.
    pub(super) fn end_trial(&mut self, next: &Result<NextAction, StoreError>) {
        let Some(trial) = self.trial.take() else { return };
        let run = self.journal.as_ref().map(|journal| journal.run());
        let answer = match (next, run) {
            // The database has the run as it was, and does not take what the run does next.
            (Err(error @ StoreError::Rejected(_)), _) => {
                Err(trial.refusal(self.run, PauseReason::RejectedWrite, PauseReason::rejected_write(error)))
            }
            (Err(error), _) => Err(ExecutorError::Store(error.clone())),
            (Ok(NextAction::Leave), _) => Err(ExecutorError::ShuttingDown),
            // The run is loaded again, and what is tried is applied again.
            (Ok(NextAction::Reload), _) => {
                self.trial = Some(trial);
                return;
            }
            (Ok(_), Some(Run { pause: Some(pause), .. })) => {
                Err(trial.refusal(self.run, pause.reason, pause.message.clone()))
            }
            (Ok(_), _) => Ok(()),
        };
        trial.answer(&answer);
    }

    /// Applies a cancel or a resume that was applied in memory only once more, to the run as it is stored.
    pub(super) fn try_later(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        let request = trial.request;
        self.postponed
            .extend(trial.callers.into_iter().map(|reply| Command { request: request.clone(), reply }));
    }

    /// Applies what is tried again to a run that was loaded again.
    pub(super) fn try_again(&mut self, journal: &mut Journal) -> Result<(), StoreError> {
        let Some(trial) = &mut self.trial else { return Ok(()) };
        match command::events(&trial.request, journal) {
            Ok(events) if events.is_empty() => self.answer_trial(&Ok(())),
            Ok(events) => {
                trial.resend_in_doubt |= resends(journal, &events);
                for event in events {
                    apply(journal, event)?;
                }
            }
            Err(refused) => self.answer_trial(&Err(refused)),
        }
        Ok(())
    }

    /// Answers the pending command.
    pub(super) fn answer(&mut self, answer: Result<(), ExecutorError>) {
        if let Some(command) = self.command.take() {
            command.answer(answer);
        }
    }

    /// Answers the callers of what is tried.
    pub(super) fn answer_trial(&mut self, answer: &Result<(), ExecutorError>) {
        if let Some(trial) = self.trial.take() {
            trial.answer(answer);
        }
    }
}

/// Returns whether the events resume a run that is paused for a request in doubt, which is sent again then.
fn resends(journal: &Journal, events: &[Event]) -> bool {
    let in_doubt = |pause: &Pause| pause.reason == PauseReason::InDoubt;
    events.contains(&Event::Resumed) && journal.run().pause.as_ref().is_some_and(in_doubt)
}
