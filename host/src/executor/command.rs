use tokio::sync::oneshot;

use super::activation::{Command, Reply};
use super::{ExecutorError, WorkflowExecutor, effects};
use forge_journal::{Event, Failure, Journal, Pause, PauseReason, RunId, TenantId, WorkflowStatus, kind};
use forge_store::RemoteCommand;

impl WorkflowExecutor {
    /// Cancels a run: runs the compensations of its completed steps, the last first. Returns when the cancellation is
    /// durable, before the compensations end. Failed compensations of a failed run are tried again.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn cancel(&self, run: RunId) -> Result<(), ExecutorError> {
        self.command(run, RemoteCommand::Cancel).await
    }

    /// Resumes a paused run, and tries failed compensations again. Does nothing to a run that is executing.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn resume(&self, run: RunId) -> Result<(), ExecutorError> {
        self.command(run, RemoteCommand::Resume).await
    }

    /// Pauses a run. Returns when it has stopped.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn pause(&self, run: RunId) -> Result<(), ExecutorError> {
        self.command(run, RemoteCommand::Pause).await
    }

    /// Sends a command to one of this tenant's runs.
    pub(crate) async fn command(&self, run: RunId, command: RemoteCommand) -> Result<(), ExecutorError> {
        self.check(run).await?;
        self.send_command(run, &self.tenant, command).await
    }

    /// Checks that this tenant has such a run.
    ///
    /// # Errors
    /// [`ExecutorError::UnknownRun`].
    pub async fn check(&self, run: RunId) -> Result<(), ExecutorError> {
        if self.tenant_of(run).await? == self.tenant { Ok(()) } else { Err(ExecutorError::UnknownRun(run)) }
    }

    /// The tenant of a run.
    pub(super) async fn tenant_of(&self, run: RunId) -> Result<TenantId, ExecutorError> {
        Ok(self.inner.store.run(run).await?.ok_or(ExecutorError::UnknownRun(run))?.tenant)
    }

    /// Sends a command to the run's task, if the run is executed here.
    ///
    /// # Errors
    /// [`ExecutorError::Elsewhere`] if it is not.
    pub(super) async fn command_here(
        &self,
        run: RunId,
        tenant: &TenantId,
        command: RemoteCommand,
    ) -> Result<(), ExecutorError> {
        if self.inner.shutdown.is_cancelled() {
            return Err(ExecutorError::ShuttingDown);
        }
        let (reply, answer) = oneshot::channel();
        self.spawn(run, tenant, None, Some(Command::new(command, reply)));
        // The task always answers, unless the host stops.
        answer.await.unwrap_or(Err(ExecutorError::ShuttingDown))
    }
}

impl Command {
    fn new(command: RemoteCommand, reply: Reply) -> Self {
        match command {
            RemoteCommand::Cancel => Self::Cancel(reply),
            RemoteCommand::Pause => Self::Pause(reply),
            RemoteCommand::Resume => Self::Resume(reply),
        }
    }

    /// What was asked, as a participle.
    pub(super) fn participle(&self) -> &'static str {
        match self {
            Self::Cancel(_) => RemoteCommand::Cancel,
            Self::Pause(_) => RemoteCommand::Pause,
            Self::Resume(_) => RemoteCommand::Resume,
        }
        .participle()
    }

    /// Returns the events that it causes on a run without an instance.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over.
    pub(super) fn event(&self, journal: &Journal) -> Result<Vec<Event>, ExecutorError> {
        let run = journal.run();
        let is_stuck = run.status == WorkflowStatus::Failed && journal.uncompensated().next().is_some();
        let rolls_back = run.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating);
        Ok(match (self, run.status) {
            (Self::Cancel(_) | Self::Resume(_), _) if is_stuck => vec![Event::Reopened],
            (_, status) if status.is_final() => {
                return Err(ExecutorError::Conflict { run: run.id, status, action: self.participle() });
            }
            (Self::Cancel(_), WorkflowStatus::Compensating) => vec![],
            (Self::Cancel(_), WorkflowStatus::Paused) if rolls_back => vec![Event::Resumed],
            (Self::Cancel(_), status) => cancelled(journal, status == WorkflowStatus::Paused),
            (Self::Resume(_), WorkflowStatus::Paused) => vec![Event::Resumed],
            (Self::Resume(_), _) | (Self::Pause(_), WorkflowStatus::Paused) => vec![],
            (Self::Pause(_), _) => {
                let message = "paused by an operator: `forge runs resume` lets it go on".to_owned();
                vec![Event::Paused(Pause::of(run, PauseReason::Operator, message))]
            }
        })
    }
}

/// Returns the events that cancel a run without an instance. If it can go on and has requests under way, their steps
/// complete first.
fn cancelled(journal: &Journal, is_paused: bool) -> Vec<Event> {
    let run = journal.run();
    let failure = Failure::permanent(kind::CANCELLED, "the run was cancelled");
    let can_go_on = run.pause.as_ref().is_none_or(|pause| pause.reason == PauseReason::Operator);
    if !can_go_on || effects::sent(journal).next().is_none() {
        return vec![Event::Unwinding { failure }];
    }
    let requested = run.requested_rollback().is_none().then_some(Event::RollbackRequested { failure });
    requested.into_iter().chain(is_paused.then_some(Event::Resumed)).collect()
}
