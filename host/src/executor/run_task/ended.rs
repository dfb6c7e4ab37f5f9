use forge_clock as clock;
use forge_journal::{Event, Failure, Journal, Kind, Pause, PauseReason, Row, WorkflowStatus};
use forge_sandbox::{End, Stop};
use forge_store::{RemoteCommand, StoreError};

use super::{NextAction, RunTask, apply, corrupt};
use crate::executor::activation::Leave;
use crate::executor::command::{Command, Reply};
use crate::executor::{ExecutorError, effects};

impl RunTask {
    /// Acts on how an activation ended.
    pub(super) async fn ended(
        &mut self,
        mut journal: Box<Journal>,
        end: End,
        leave: Option<Leave>,
        compensating: bool,
    ) -> Result<NextAction, StoreError> {
        let mut next = NextAction::Continue;
        match end {
            End::Returned if journal.run().status == WorkflowStatus::Compensating => {
                // A guest that returned its failure without running its handlers gets one more instance for them.
                let handled = journal.uncompensated().all(|row| journal.compensation(row.seq).is_some());
                if handled || compensating {
                    apply(&mut journal, Event::RolledBack)?;
                }
            }
            End::Returned if journal.run().status.is_final() => {
                effects::name_in_doubt(&mut journal).map_err(|error| corrupt(&error))?;
            }
            End::Returned => {}
            End::Trapped(failure) => self.trapped(&mut journal, failure)?,
            End::Stopped(Stop::Failed(failure)) => self.trapped(&mut journal, failure)?,
            End::Stopped(Stop::Pause(reason, message)) => {
                // Changes that contradict the journal must not reach it, nor stay in memory.
                journal.discard_changes();
                self.pause(&mut journal, reason, message).await?;
                self.journal = None;
                return Ok(NextAction::Continue);
            }
            End::Stopped(Stop::ByHost) => match leave {
                Some(Leave::Command(command)) => self.command = Some(command),
                Some(Leave::Evicted(time)) => next = NextAction::Sleep(time),
                Some(Leave::Store(error)) => return Err(error),
                Some(Leave::Shutdown) if self.inner.shutdown.is_cancelled() => next = NextAction::Leave,
                // It waits for a permit until the tenant is resumed.
                Some(Leave::Suspended) => {}
                // Another node may have it by now.
                Some(Leave::Shutdown) | None => next = NextAction::Reload,
            },
        }
        self.writer.barrier(journal.take_changes()).await?;
        // A run that leaves memory leaves it completely.
        self.journal = matches!(next, NextAction::Continue).then_some(journal);
        Ok(next)
    }

    /// Rolls a run back whose guest trapped, or counts the trap as a failure of the compensation that was running.
    fn trapped(&self, journal: &mut Journal, failure: Failure) -> Result<(), StoreError> {
        if journal.run().status != WorkflowStatus::Compensating {
            if !journal.awaits_children() {
                return apply(journal, Event::Unwinding { failure });
            }
            // Its children end first.
            let is_requested = journal.run().requested_rollback().is_some();
            return if is_requested { Ok(()) } else { apply(journal, Event::RollbackRequested { failure }) };
        }
        let is_left = |row: &Row| journal.compensation(row.seq).is_none_or(Row::is_open);
        if !journal.uncompensated().any(is_left) {
            // Nothing is left to try, so it does not matter how the guest ended.
            return apply(journal, Event::RolledBack);
        }
        // The compensation that was running, if there is one; otherwise the one that the instance was made for.
        let open = |waits: bool| {
            let is_open = |row: &&Row| row.kind == Kind::Compensation && row.is_open();
            journal.rows().iter().rev().filter(is_open).find(|row| row.awaits_retry() == waits)
        };
        let found = open(false).or_else(|| open(true));
        let Some((seq, mut attempt, waits)) = found.map(|row| (row.seq, row.attempt, row.awaits_retry()))
        else {
            let message = PauseReason::trapped_before_rollback(&failure);
            return apply(
                journal,
                Event::Paused(Pause::of(journal.run(), PauseReason::Nondeterminism, message)),
            );
        };
        if waits {
            // The guest did not reach the attempt that the instance was made for. The attempt counts, or it would be made
            // again for ever.
            apply(journal, Event::AttemptStarted { seq })?;
            attempt += 1;
        }
        match self.inner.limits.compensation_retry.wait_after_in_rounds(attempt) {
            Some(wait) => {
                let retry_at = clock::now().plus(wait);
                apply(journal, Event::AttemptFailed { seq, failure, retry_at })
            }
            None => apply(journal, Event::Failed { seq, failure }),
        }
    }

    /// Answers the callers that cancelled a run whose guest ended before it was told. A run that is not rolled back by
    /// then still has to be.
    pub(super) fn acknowledge(&mut self, cancelled_by: Vec<Reply>, next: &Result<NextAction, StoreError>) {
        let status = self.journal.as_ref().map(|journal| journal.run().status);
        for reply in cancelled_by {
            let answer = match (next, status) {
                (Err(error), _) => Err(ExecutorError::Store(error.clone())),
                (Ok(NextAction::Leave), _) => Err(ExecutorError::ShuttingDown),
                (Ok(_), Some(status @ WorkflowStatus::Completed)) => {
                    Err(ExecutorError::Conflict { run: self.run, status, action: "cancelled" })
                }
                (
                    Ok(_),
                    Some(WorkflowStatus::Compensating | WorkflowStatus::Compensated | WorkflowStatus::Failed),
                ) => Ok(()),
                (Ok(_), _) => {
                    self.postponed.push_back(Command { request: RemoteCommand::Cancel, reply });
                    continue;
                }
            };
            // The caller may be gone.
            let _ = reply.send(answer);
        }
    }
}
