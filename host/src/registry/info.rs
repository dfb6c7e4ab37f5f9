use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A version of a workflow (spec: *WorkflowInfo*, and where it stands in the registry).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkflowInfo {
    /// The workflow's name.
    pub name: String,
    /// The version.
    pub version: u32,
    /// How long a run may take, as people write it: `24h`.
    pub timeout: String,
    /// The same in milliseconds.
    pub timeout_ms: u64,
    /// New runs do not take it unless they ask for it.
    pub deprecated: bool,
    /// New runs take it although another version is higher.
    pub active: bool,
    /// The SHA-256 of the component that holds it.
    pub digest: String,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
}

/// What an upload led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registered {
    /// The SHA-256 of the component.
    pub digest: String,
    /// The workflows that it holds.
    pub workflows: Vec<WorkflowInfo>,
    /// False if the same bytes were registered before and nothing changed.
    pub created: bool,
}

/// A workflow with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkflowVersions {
    /// The workflow's name.
    pub name: String,
    /// The version that new runs take; none if all are deprecated.
    pub current: Option<u32>,
    /// Its versions, the highest first.
    pub versions: Vec<WorkflowInfo>,
}
