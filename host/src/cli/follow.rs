//! Waiting for a run to end, also across a restart of the server.

use std::time::{Duration, Instant};

use super::client::Client;
use super::{CliError, output};
use crate::executor::WorkflowRecord;
use forge_journal::{RunId, WorkflowStatus};

/// How long a server may be away before we give up. It restarts in less.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often we look whether it is back.
const RETRY: Duration = Duration::from_millis(500);

/// Keeps asking a server that was there a moment ago.
pub(super) struct Patience {
    last_answer: Option<Instant>,
    /// Whether the user was told that the server is away.
    told: bool,
}

impl Patience {
    /// With a server that has not answered yet: if it does not now, it is not there.
    pub(super) fn new() -> Self {
        Self { last_answer: None, told: false }
    }

    /// With a server that just answered.
    pub(super) fn with_known_server() -> Self {
        Self { last_answer: Some(Instant::now()), told: false }
    }

    /// What to do after `answer`: its value; nothing yet, ask again; or give up.
    pub(super) async fn check<T>(&mut self, answer: Result<T, CliError>) -> Result<Option<T>, CliError> {
        match (answer, self.last_answer) {
            (Ok(value), _) => {
                if self.told {
                    output::note("the server is back");
                }
                *self = Self::with_known_server();
                Ok(Some(value))
            }
            (Err(error), Some(last)) if is_away(&error) && last.elapsed() < PATIENCE => {
                if !std::mem::replace(&mut self.told, true) {
                    output::note("the server is away; waiting for it");
                }
                tokio::time::sleep(RETRY).await;
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }
}

fn is_away(error: &CliError) -> bool {
    matches!(error, CliError::Unreachable { .. } | CliError::Api { status: 503, .. })
}

/// Waits until the run is final or paused, or for `at_most`.
pub(super) async fn until_settled(
    client: &Client,
    run: RunId,
    at_most: Option<Duration>,
) -> Result<WorkflowRecord, CliError> {
    /// Longer waits are cut into pieces, so that a lost connection is noticed.
    const PIECE: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    let mut patience = Patience::with_known_server();
    loop {
        let left = at_most.map(|at_most| at_most.saturating_sub(begun.elapsed()));
        let answer = client.run(run, left.unwrap_or(PIECE).min(PIECE)).await;
        if let Some(record) = patience.check(answer).await?
            && (is_settled(&record) || left.is_some_and(|left| left <= PIECE))
        {
            return Ok(record);
        }
    }
}

/// Whether nothing more happens unless somebody asks for it.
pub(super) fn is_settled(record: &WorkflowRecord) -> bool {
    record.status.is_final() || record.status == WorkflowStatus::Paused
}

/// How waiting for this run ended.
pub(super) fn verdict(record: &WorkflowRecord) -> Result<(), CliError> {
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
