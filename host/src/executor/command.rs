use tokio::sync::oneshot;

use super::{ExecutorError, WorkflowExecutor};
use crate::engine::{Command, Reply};
use crate::journal::RunId;

impl WorkflowExecutor {
    /// Rolls a run back: runs the compensations of its completed steps, the last first. Returns
    /// when it is durable that the run is rolled back, not when that is done. On a run whose
    /// compensations failed it tries those again.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn cancel(&self, run: RunId) -> Result<(), ExecutorError> {
        self.ask(run, Command::Cancel).await
    }

    /// Lets a paused run go on, and tries failed compensations again. Changes nothing on a run
    /// that is executing.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn resume(&self, run: RunId) -> Result<(), ExecutorError> {
        self.ask(run, Command::Resume).await
    }

    /// Stops a run until it is resumed. Returns when it has stopped.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn pause(&self, run: RunId) -> Result<(), ExecutorError> {
        self.ask(run, Command::Pause).await
    }

    async fn ask(&self, run: RunId, command: fn(Reply) -> Command) -> Result<(), ExecutorError> {
        if self.inner.shutdown.is_cancelled() {
            return Err(ExecutorError::ShuttingDown);
        }
        let (reply, answer) = oneshot::channel();
        self.drive(run, None, Some(command(reply)));
        // The task answers, unless the host stops.
        answer.await.unwrap_or(Err(ExecutorError::ShuttingDown))
    }
}
