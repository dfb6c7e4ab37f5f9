use chrono::{DateTime, Utc};
use forge_journal::{Timestamp, WorkflowStatus};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Returns the lowest id of a run that is started at this time. A run that ended before it has a lower id.
pub(crate) fn first_id_at(time: Timestamp) -> Uuid {
    // The first 48 bits of a UUIDv7 are its time in milliseconds.
    Uuid::from_u128(u128::from(u64::try_from(time.0).unwrap_or(0)) << 80)
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
    /// What went wrong, as text.
    pub error: Option<String>,
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
