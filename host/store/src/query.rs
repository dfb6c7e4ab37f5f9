use std::sync::Arc;

use chrono::{DateTime, Utc};
use forge_journal::{Row, Timestamp, WorkflowStatus};
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;
use uuid::Uuid;

use crate::StoreError;

/// Returns the lowest id of a run that is started at this time. A run that ended before it has a lower id.
pub(crate) fn first_id_at(time: Timestamp) -> Uuid {
    // The first 48 bits of a UUIDv7 are its time in milliseconds.
    Uuid::from_u128(u128::from(u64::try_from(time.0).unwrap_or(0)) << 80)
}

/// Characters of a run's error in a list. The run itself has all of them.
pub(crate) const MOST_ERROR: usize = 1_000;

/// Returns the statuses that a filter selects.
pub(crate) fn statuses(filter: &RunFilter) -> impl Iterator<Item = &'static str> {
    let wanted = filter.status;
    WorkflowStatus::VARIANTS
        .iter()
        .filter(move |status| wanted.is_none_or(|wanted| wanted == **status))
        .map(|status| status.as_str())
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunSummary {
    /// The run's id.
    pub id: Uuid,
    /// The workflow's name.
    pub workflow_name: String,
    /// The version that the run is pinned to.
    pub version: u32,
    /// The status.
    pub status: WorkflowStatus,
    /// When the run was started.
    pub started_at: DateTime<Utc>,
    /// When the run became final.
    pub completed_at: Option<DateTime<Utc>>,
    /// What went wrong, as text; the first 1,000 characters.
    pub error: Option<String>,
}

/// What of a run in a list cannot be read. One such run must not make the list unreadable.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Returns a part of a run; an empty one if it cannot be read, which is noted.
    pub(crate) fn or_empty<T: Default>(&mut self, part: Result<T, StoreError>) -> T {
        part.unwrap_or_else(|error| {
            self.0.push(error.of_column());
            T::default()
        })
    }

    /// Returns the error of the run with what cannot be read of it.
    pub(crate) fn with(self, error: Option<String>) -> Option<String> {
        let problems = self.0.into_iter().map(|problem| format!("it cannot be read completely: {problem}"));
        let all: Vec<String> = error.into_iter().chain(problems).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A page of a run's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFilter {
    /// Selects calls that began after the one with this `seq`.
    pub after: u64,
    /// The maximum number of calls.
    pub limit: u32,
    /// The maximum bytes of inputs and results. A page has at least one call.
    pub bytes: u64,
    /// Whether the calls have their inputs and results.
    pub payloads: bool,
}

/// Calls of a run, in the order in which they began.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPage {
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// The calls.
    pub rows: Vec<Row>,
    /// Whether the run has later calls.
    pub has_more: bool,
}

/// A selection of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Selects runs of this workflow.
    pub workflow: Option<String>,
    /// Selects runs with this status.
    pub status: Option<WorkflowStatus>,
    /// The maximum number of runs. For the API, 0 means 50, and the maximum is 500.
    pub limit: u32,
    /// Selects runs that were started before this one.
    pub cursor: Option<Uuid>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a filter for each combination of conditions.
    pub(crate) fn filters() -> Vec<RunFilter> {
        let statuses = WorkflowStatus::VARIANTS.iter().copied().map(Some).chain([None]);
        let mut filters = Vec::new();
        for status in statuses {
            for workflow in [None, Some("payment".to_owned())] {
                for cursor in [None, Some(Uuid::max())] {
                    filters.push(RunFilter { workflow: workflow.clone(), status, limit: 50, cursor });
                }
            }
        }
        filters
    }
}
