//! The records of a run in tests: its steps and its log lines.

use serde_json::Value;

use crate::error::Failure;

/// A step of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestStep {
    /// The name; `charge#2` is the second `charge`.
    pub name: String,
    /// The status.
    pub status: StepStatus,
    /// The result of a completed step. A `Value` has no integers beyond 64 bits: it shows them as floating-point
    /// numbers, although the step and the workflow have them as they were.
    pub result: Option<Value>,
    /// The failure of the last attempt, if it failed.
    pub error: Option<Failure>,
    /// The number of attempts.
    pub attempts: u32,
    /// The failure of the compensation, once no attempt of it is left.
    pub compensation_error: Option<Failure>,
}

/// The status of a step. (Specification: "StepStatus Enum".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStatus {
    /// The step waits for its next attempt.
    Pending,
    /// An attempt is under way.
    Running,
    /// The step has a result.
    Completed,
    /// The step failed, and no attempt is left.
    Failed,
    /// The step completed and was compensated.
    Compensated,
    /// The step was dropped before its end, for example because another branch of a `select!` won.
    Skipped,
}

/// A line that a workflow logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestLog {
    /// The step that logged the line. `None` for the workflow's body.
    pub step: Option<String>,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The line.
    pub message: String,
}
