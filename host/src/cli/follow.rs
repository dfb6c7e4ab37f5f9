//! Waits for a run to end, also while the server restarts.

use std::time::{Duration, Instant};

use super::client::Client;
use super::printable::Printable;
use super::{CliError, output, waits};
use crate::executor::{StepRecord, WorkflowRecord};
use forge_journal::{Kind, RunId, StepStatus, WorkflowStatus};

/// How long a server may be unreachable. A restart takes less.
const MAX_OUTAGE: Duration = Duration::from_secs(60);

/// The interval between attempts to reach the server again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The state of a connection that survives a restart of the server.
pub(super) struct Connection {
    last_response: Option<Instant>,
    /// Whether the user was told that the server is unreachable.
    told: bool,
}

impl Connection {
    /// Returns the state for a server that has not responded yet. It must respond to the first request.
    pub(super) fn new() -> Self {
        Self { last_response: None, told: false }
    }

    /// Returns the state for a server that has just responded.
    pub(super) fn established() -> Self {
        Self { last_response: Some(Instant::now()), told: false }
    }

    /// Returns the value of a response, or `None`, after a pause, if the request should be sent again.
    pub(super) async fn check<T>(&mut self, response: Result<T, CliError>) -> Result<Option<T>, CliError> {
        match (response, self.last_response) {
            (Ok(value), _) => {
                if self.told {
                    output::note("the server responds again");
                }
                *self = Self::established();
                Ok(Some(value))
            }
            (Err(error), Some(last)) if is_outage(&error) && last.elapsed() < MAX_OUTAGE => {
                if !std::mem::replace(&mut self.told, true) {
                    output::note("the server does not respond; waiting for it");
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }
}

fn is_outage(error: &CliError) -> bool {
    matches!(error, CliError::Unreachable { .. } | CliError::Api { status: 503, .. })
}

/// Returns the run when it is final or paused, or after `at_most`.
pub(super) async fn until_settled(
    client: &Client,
    run: RunId,
    at_most: Option<Duration>,
) -> Result<WorkflowRecord, CliError> {
    /// The longest wait of one request. A lost connection is noticed after this.
    const LONGEST_WAIT: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    let mut connection = Connection::established();
    loop {
        let left = at_most.map(|at_most| at_most.saturating_sub(begun.elapsed()));
        let response = client.run(run, left.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)).await;
        if let Some(record) = connection.check(response).await?
            && (record.status.is_at_rest() || left.is_some_and(|left| left <= LONGEST_WAIT))
        {
            return Ok(record);
        }
    }
}

/// Returns the result of waiting for a run, or an error if the user interrupts it with Ctrl-C.
pub(super) async fn unless_interrupted<T>(
    run: RunId,
    waiting: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    tokio::select! {
        biased;
        result = waiting => result,
        // If no signal can be received, Ctrl-C ends the process as usual.
        Ok(()) = tokio::signal::ctrl_c() => Err(CliError::Interrupted { run }),
    }
}

/// Says which effects of a completed run are in doubt. The error of another run names them.
pub(super) fn note_in_doubt(record: &WorkflowRecord) {
    if record.status == WorkflowStatus::Completed {
        record.in_doubt.iter().for_each(|effect| output::note(&in_doubt(effect)));
    }
}

/// Returns an effect in doubt as text.
pub(super) fn in_doubt(effect: &str) -> String {
    format!("in doubt: {}", Printable::line(effect))
}

/// The calls at the end of a journal among which the step is looked for that failed its run.
const LAST_CALLS: u64 = 500;

/// Returns the last calls of a run that has failed. The step that failed is one of them, and they need one request.
pub(super) async fn last_calls(client: &Client, record: &WorkflowRecord) -> Vec<StepRecord> {
    let failed = matches!(record.status, WorkflowStatus::Failed | WorkflowStatus::Compensated);
    if !failed {
        return Vec::new();
    }
    let after = record.calls.saturating_sub(LAST_CALLS);
    // The run's own error is known. Without the calls, the message does not name the step.
    client.steps_page(RunId(record.id), after).await.map(|page| page.steps).unwrap_or_default()
}

/// Returns the name of the step whose failure is that of the run, unless the run's error names it.
fn failed_step(record: &WorkflowRecord, steps: &[StepRecord]) -> Option<String> {
    let error = record.error.as_deref()?;
    let is_it = |step: &&StepRecord| {
        let failed = step.kind == Kind::Step && step.status == StepStatus::Failed && !step.optional;
        failed && step.error.as_deref().is_some_and(|own| error.starts_with(own))
    };
    let step = steps.iter().rev().find(is_it)?;
    (!error.contains(&format!("`{}`", step.step_name))).then(|| step.step_name.clone())
}

/// Returns the result of waiting for this run. Among `steps` is the one that failed, if there is one.
pub(super) fn outcome(record: &WorkflowRecord, steps: &[StepRecord]) -> Result<(), CliError> {
    let run = RunId(record.id);
    match record.status {
        WorkflowStatus::Completed => Ok(()),
        WorkflowStatus::Failed | WorkflowStatus::Compensated => {
            let (step, error) = (failed_step(record, steps), record.error.clone());
            Err(CliError::RunFailed { run, status: record.status, step, error })
        }
        WorkflowStatus::Paused => {
            Err(CliError::Paused { run, reason: record.pause_reason, why: record.error.clone() })
        }
        status => Err(CliError::NotEnded { run, status, doing: waits::doing(&record.waits_for) }),
    }
}
