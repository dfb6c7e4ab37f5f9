use chrono::{DateTime, Utc};
use forge_store::VersionRow;
use serde::{Deserialize, Serialize};

/// A version of a workflow (spec: *WorkflowInfo*, with its state in the registry).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkflowInfo {
    /// The name of the workflow.
    pub name: String,
    /// The version.
    pub version: u32,
    /// The timeout of a run in the form `24h`.
    pub timeout: String,
    /// The timeout of a run in milliseconds.
    pub timeout_ms: u64,
    /// Whether new runs use it only if they request it by number.
    pub deprecated: bool,
    /// Whether it is activated: new runs use it even if another version is higher.
    pub active: bool,
    /// The SHA-256 of its component.
    pub digest: String,
    /// When the component was uploaded.
    pub created_at: DateTime<Utc>,
    /// The SHA-256 of the JSON Schema of the input; absent if inputs are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<String>,
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RegisteredComponent)]
pub struct Registered {
    /// The SHA-256 of the component.
    pub digest: String,
    /// The workflows that run the component.
    pub workflows: Vec<WorkflowInfo>,
    /// The workflows of the component whose versions were registered before and keep their component.
    #[serde(default)]
    pub kept: Vec<WorkflowInfo>,
    /// Whether the component is new; `false` if the same bytes were registered before.
    pub created: bool,
}

/// A workflow with its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkflowVersions {
    /// The name of the workflow.
    pub name: String,
    /// The version that new runs use; `null` if all are deprecated.
    pub current: Option<u32>,
    /// The versions, highest first.
    pub versions: Vec<WorkflowInfo>,
}

impl From<&VersionRow> for WorkflowInfo {
    fn from(row: &VersionRow) -> Self {
        Self {
            name: row.workflow.clone(),
            version: row.version,
            timeout: timeout(row.timeout_ms),
            timeout_ms: row.timeout_ms,
            deprecated: row.deprecated,
            active: row.active,
            digest: row.digest.clone(),
            created_at: row.created_at.to_datetime(),
            input_schema: row.input_schema.clone(),
        }
    }
}

impl WorkflowVersions {
    /// Groups the versions of one workflow, which are in order from the highest.
    pub(super) fn new(rows: &[VersionRow]) -> Self {
        let active = rows.iter().find(|row| row.active);
        let current = active.or_else(|| rows.iter().find(|row| !row.deprecated));
        Self {
            name: rows.first().map(|row| row.workflow.clone()).unwrap_or_default(),
            current: current.map(|row| row.version),
            versions: rows.iter().map(WorkflowInfo::from).collect(),
        }
    }
}

/// Formats a timeout as authors write it: in the largest unit that gives a whole number; in days from two days on.
fn timeout(milliseconds: u64) -> String {
    const UNITS: [(u64, u64, &str); 4] =
        [(86_400_000, 2, "d"), (3_600_000, 1, "h"), (60_000, 1, "m"), (1_000, 1, "s")];
    let fits = |unit: u64, least: u64| milliseconds.is_multiple_of(unit) && milliseconds / unit >= least;
    match UNITS.iter().find(|(unit, least, _)| fits(*unit, *least)) {
        Some((unit, _, letter)) => format!("{}{letter}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_shown_as_authors_write_it() {
        let shown = [86_400_000, 604_800_000, 5_400_000, 30_000, 1_500, 0].map(timeout);
        assert_eq!(shown, ["24h", "7d", "90m", "30s", "1500ms", "0ms"]);
    }
}
