use chrono::{DateTime, Utc};
use forge_journal::WorkflowStatus;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunSummary {
    /// Its id.
    pub id: Uuid,
    /// The workflow's name.
    pub workflow_name: String,
    /// The version it runs with.
    pub version: u32,
    /// Its status.
    pub status: WorkflowStatus,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it became final.
    pub completed_at: Option<DateTime<Utc>>,
    /// What went wrong, for a person.
    pub error: Option<String>,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those of this workflow.
    pub workflow: Option<String>,
    /// Only those with this status.
    pub status: Option<WorkflowStatus>,
    /// At most so many; 0 means 50, and 500 is the most.
    pub limit: u32,
    /// Only those before this one.
    pub cursor: Option<Uuid>,
}
