use forge_clock as clock;
use tokio::sync::oneshot;

use super::{ExecutorError, WorkflowExecutor, effects};
use forge_journal::{
    Event, Failure, Journal, Outcome, Pause, PauseReason, Row, RunId, Settled, TenantId, Unresolvable,
    WorkflowStatus, kind,
};
use forge_store::{Refusal, RemoteCommand, Resolution};

/// Where the answer to a [`Command`] goes.
pub(super) type Reply = oneshot::Sender<Result<(), ExecutorError>>;
/// A cancel or a resume that is applied in memory only, until the guest has shown that it can go on: its component was
/// loaded, and its calls are those of the journal.
#[derive(Debug)]
pub(super) struct Trial {
    /// What is tried: [`RemoteCommand::Cancel`] or [`RemoteCommand::Resume`].
    pub(super) request: RemoteCommand,
    /// The callers, who are answered when it is durable, or when it turns out to be impossible.
    pub(super) callers: Vec<Reply>,
    /// A person decided that effects in doubt begin again.
    pub(super) resend_in_doubt: bool,
}

impl Trial {
    /// Answers the callers.
    pub(super) fn answer(self, answer: &Result<(), ExecutorError>) {
        for caller in self.callers {
            // The caller may be gone.
            let _ = caller.send(answer.clone());
        }
    }

    /// Returns the answer if the run is paused again instead.
    pub(super) fn refusal(&self, run: RunId, reason: PauseReason, why: String) -> ExecutorError {
        let refusal = match self.request {
            RemoteCommand::Resume => Refusal::CannotResume { run, reason, why },
            _ => Refusal::CannotRollBack { run, reason, why },
        };
        refusal.into()
    }
}

/// A request to steer a run.
#[derive(Debug)]
pub(super) struct Command {
    /// What is asked.
    pub(super) request: RemoteCommand,
    /// Where the answer goes.
    pub(super) reply: Reply,
}

impl WorkflowExecutor {
    /// Cancels a run: runs the compensations of its completed steps, the last first. Returns when the cancellation is
    /// durable, before the compensations end. Failed compensations of a failed run are tried again.
    ///
    /// The cancellation of a run that is not in memory is durable when the run was loaded and its code has reached its
    /// handlers. A run whose code cannot reach them stays as it is, or is paused.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::Refused`] if it cannot be rolled back;
    /// [`ExecutorError::UnknownRun`].
    pub async fn cancel(&self, run: RunId) -> Result<(), ExecutorError> {
        self.command(run, RemoteCommand::Cancel).await
    }

    /// Resumes a paused run, and tries failed compensations again. Does nothing to a run that is executing. Returns when that
    /// is durable, which is when the run was loaded and its code has made the calls of the journal again. A run that would be
    /// paused again before it has done anything new stays as it is.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::Refused`] if it would be paused again at once;
    /// [`ExecutorError::UnknownRun`].
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

    /// Ends a run as `failed` without executing its code, whatever its state. Returns when that is durable. The record lists
    /// the steps that are not compensated. Does nothing to a run that was terminated before.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is over; [`ExecutorError::UnknownRun`].
    pub async fn terminate(&self, run: RunId) -> Result<(), ExecutorError> {
        self.command(run, RemoteCommand::Terminate).await
    }

    /// Gives the outcome of a call in doubt, or of a compensation that has not succeeded. `step` is the name of the step or
    /// call, or its position; `by` is who found the outcome. Returns when that is durable. A run that was paused for the call
    /// in doubt continues. A final run no longer names the call as in doubt.
    ///
    /// # Errors
    /// [`ExecutorError::Refused`] if there is no such step, or its outcome is not in doubt; [`ExecutorError::UnknownRun`].
    pub async fn resolve(
        &self,
        run: RunId,
        step: &str,
        resolution: Resolution,
        by: &str,
    ) -> Result<(), ExecutorError> {
        let (step, by) = (step.to_owned(), by.to_owned());
        self.command(run, RemoteCommand::Resolve { step, resolution, by }).await
    }

    /// Deletes a final run with its journal. Returns when that is durable. A key that started it is free again.
    ///
    /// # Errors
    /// [`ExecutorError::Conflict`] if the run is not final; [`ExecutorError::UnknownRun`].
    pub async fn delete(&self, run: RunId) -> Result<(), ExecutorError> {
        self.command(run, RemoteCommand::Delete).await
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
        let found = self.inner.store.readable(run).await?;
        Ok(found.ok_or(ExecutorError::UnknownRun(run))?.run.tenant)
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
        self.spawn(run, tenant, None, Some(Command { request: command, reply }));
        // The task always answers, unless the host stops.
        answer.await.unwrap_or(Err(ExecutorError::ShuttingDown))
    }
}

impl Command {
    /// Sends the answer.
    pub(super) fn answer(self, answer: Result<(), ExecutorError>) {
        // The caller may be gone.
        let _ = self.reply.send(answer);
    }
}

/// Returns the events that a command causes on a run without an instance.
///
/// # Errors
/// [`ExecutorError::Conflict`] if the run's status does not allow it; [`ExecutorError::Refused`].
pub(super) fn events(request: &RemoteCommand, journal: &Journal) -> Result<Vec<Event>, ExecutorError> {
    let run = journal.run();
    let conflict = |status| ExecutorError::Conflict { run: run.id, status, action: request.participle() };
    // What a person undid by hand after a termination must not be undone again.
    let is_stuck = run.status == WorkflowStatus::Failed
        && !journal.is_terminated()
        && journal.uncompensated().next().is_some();
    let rolls_back = run.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating);
    let in_doubt = run.pause.as_ref().filter(|pause| pause.reason == PauseReason::InDoubt);
    Ok(match (request, run.status) {
        (RemoteCommand::Delete, status) if status.is_final() => vec![],
        (RemoteCommand::Delete, status) => return Err(conflict(status)),
        (RemoteCommand::Terminate, _) if journal.is_terminated() => vec![],
        (RemoteCommand::Resolve { step, resolution, by }, _) => {
            let settled = settled(journal, step, resolution, by);
            vec![settled.map_or_else(|| resolved(journal, step, resolution), Ok)?]
        }
        (RemoteCommand::Cancel | RemoteCommand::Resume, _) if is_stuck => vec![Event::Reopened],
        (_, status) if status.is_final() => return Err(conflict(status)),
        (RemoteCommand::Cancel, _) if rolls_back && let Some(pause) = in_doubt => {
            // To go on would send a request again that must not arrive twice.
            let (reason, why) = (pause.reason, pause.message.clone());
            return Err(Refusal::CannotRollBack { run: run.id, reason, why }.into());
        }
        (RemoteCommand::Terminate, _) => vec![terminated(journal)],
        (RemoteCommand::Cancel, WorkflowStatus::Compensating) => vec![],
        (RemoteCommand::Cancel, WorkflowStatus::Paused) if rolls_back => vec![Event::Resumed],
        (RemoteCommand::Cancel, status) => cancelled(journal, status == WorkflowStatus::Paused),
        (RemoteCommand::Resume, WorkflowStatus::Paused) => vec![Event::Resumed],
        (RemoteCommand::Resume, _) | (RemoteCommand::Pause, WorkflowStatus::Paused) => vec![],
        (RemoteCommand::Pause, _) => {
            let id = run.id;
            let message = format!(
                "stopped on request. `forge runs resume {id}` lets it go on, `forge runs cancel {id}` rolls it back"
            );
            vec![Event::Paused(Pause::of(run, PauseReason::Operator, message))]
        }
    })
}

/// Returns the failure of a run that is cancelled.
pub(super) fn cancellation(journal: &Journal) -> Failure {
    let by = if journal.inbox().has_cancel() { " by the run that started it" } else { "" };
    Failure::permanent(kind::CANCELLED, format!("the run was cancelled{by}"))
}

/// Returns the events that cancel a run without an instance. If it can go on and has requests under way, their steps
/// complete first; if it has children under way, they end first.
fn cancelled(journal: &Journal, is_paused: bool) -> Vec<Event> {
    let run = journal.run();
    let failure = cancellation(journal);
    let can_go_on = run.pause.as_ref().is_none_or(|pause| pause.reason == PauseReason::Operator);
    if !journal.awaits_children() && (!can_go_on || !effects::has_open_steps(journal)) {
        return vec![Event::Unwinding { failure }];
    }
    let requested = run.requested_rollback().is_none().then_some(Event::RollbackRequested { failure });
    requested.into_iter().chain(is_paused.then_some(Event::Resumed)).collect()
}

/// Returns the event that terminates a run now. Its failure says what the run was doing.
fn terminated(journal: &Journal) -> Event {
    let run = journal.run();
    let mut message = "the run was terminated".to_owned();
    let rolls_back = run.status == WorkflowStatus::Compensating
        || run.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating);
    if let Some(pause) = &run.pause {
        message.push_str(&format!("; it was paused ({}): {}", pause.reason, pause.what_happened()));
    }
    if let Some(failure) = &run.failure {
        let doing = if rolls_back { "it was being rolled back" } else { "it was to be rolled back" };
        message.push_str(&format!("; {doing}: {failure}"));
    }
    let in_doubt = effects::sent(journal).collect();
    Event::Terminated { failure: Failure::permanent(kind::TERMINATED, message), in_doubt }
}

/// Returns the event that records what a person found of the effects in doubt of a final run, in a step or of one call.
/// `None`: there are none, or the step has a compensation to resolve.
fn settled(journal: &Journal, step: &str, resolution: &Resolution, by: &str) -> Option<Event> {
    if !journal.run().status.is_final() || journal.resolvable(step).is_ok() {
        return None;
    }
    let position = step.parse().ok();
    let is_it = |row: &Row| Some(row.seq) == position || *row.name == *step;
    let is_meant = |row: &Row| {
        is_it(row) || effects::steps_around(journal, row).any(|step| journal.row(step).is_some_and(is_it))
    };
    let (outcome, at) = (resolution.to_string(), clock::now().to_datetime());
    let in_doubt = effects::unsettled(journal).into_iter().filter(|(row, _)| is_meant(row));
    let settled = in_doubt.map(|(row, effect)| {
        let (outcome, by) = (outcome.clone(), by.to_owned());
        Settled { seq: row.seq, effect: effect.what, outcome, by, at }
    });
    let effects: Vec<Settled> = settled.collect();
    (!effects.is_empty()).then_some(Event::Settled { effects })
}

/// Returns the event that gives a call the outcome that a person found.
fn resolved(journal: &Journal, step: &str, resolution: &Resolution) -> Result<Event, Refusal> {
    let run = journal.run().id;
    let seq = journal.resolvable(step).map_err(|why| match why {
        Unresolvable::Unknown => Refusal::UnknownStep { run, step: step.to_owned() },
        Unresolvable::NotInDoubt(why) => Refusal::NotInDoubt { run, why },
    })?;
    let outcome: Outcome = match resolution {
        Resolution::Completed(result) => {
            let invalid = |why| Refusal::InvalidResult { run, step: step.to_owned(), why };
            let effect = journal.row(seq).and_then(|row| row.kind.effect());
            Ok(Some(effects::result(effect, result).map_err(invalid)?.into()))
        }
        Resolution::Failed(failure) => Err(failure.clone()),
    };
    Ok(Event::Resolved { seq, outcome })
}
