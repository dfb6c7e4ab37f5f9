//! The description of a workflow.

use std::time::Duration;

/// The description of a workflow. (Specification: "WorkflowInfo".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowInfo {
    /// The name under which the workflow is started.
    pub name: &'static str,
    /// The version, at least 1.
    pub version: u32,
    /// The longest duration of a run, in wall-clock time.
    pub timeout: Duration,
    /// A deprecated version is used only by runs that are started with this version number.
    pub deprecated: bool,
}
