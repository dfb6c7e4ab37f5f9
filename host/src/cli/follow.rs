//! Waits for a run to end, also while the server restarts.

use std::time::{Duration, Instant};

use super::client::Client;
use super::printable::Printable;
use super::{CliError, output};
use crate::executor::WorkflowRecord;
use forge_journal::{RunId, WorkflowStatus};

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

/// Returns the result of waiting for this run.
pub(super) fn outcome(record: &WorkflowRecord) -> Result<(), CliError> {
    let run = RunId(record.id);
    match record.status {
        WorkflowStatus::Completed => Ok(()),
        WorkflowStatus::Failed | WorkflowStatus::Compensated => {
            Err(CliError::RunFailed { run, status: record.status, error: record.error.clone() })
        }
        WorkflowStatus::Paused => Err(CliError::Paused { run, why: record.error.clone() }),
        status => Err(CliError::NotEnded { run, status }),
    }
}
