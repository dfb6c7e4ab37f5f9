//! The outcome of a run.

use std::time::Duration;

use serde_json::Value;

use super::TestRequest;
use super::host::TestHost;
use crate::error::Failure;

/// The outcome of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct TestReport<T> {
    /// The workflow's output, or the failure of the run.
    pub result: Result<T, Failure>,
    /// The steps, in the order in which they began.
    pub steps: Vec<TestStep>,
    /// The HTTP requests, in the order in which they were sent.
    pub requests: Vec<TestRequest>,
    /// The names of the steps that were compensated, in order.
    pub compensations: Vec<String>,
    /// The lines that the workflow logged.
    pub logs: Vec<TestLog>,
    /// The virtual time from the start to the end of the run.
    pub elapsed: Duration,
}

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

impl<T> TestReport<T> {
    pub(super) fn new(result: Result<T, Failure>, host: TestHost) -> Self {
        let elapsed = Duration::from_millis(host.elapsed());
        TestReport {
            // If the host ended the run, it has the reason, which the workflow is not told.
            result: match host.unwound {
                Some(failure) => Err(failure),
                None => result,
            },
            steps: host.steps.into_iter().map(|row| row.step).collect(),
            requests: host.http.requests,
            compensations: host.compensations,
            logs: host.logs,
            elapsed,
        }
    }

    /// Returns the output.
    ///
    /// # Panics
    /// If the run failed, with the failure.
    #[track_caller]
    pub fn output(&self) -> &T {
        match &self.result {
            Ok(output) => output,
            Err(failure) => panic!("the run failed: {failure} (kind `{}`)", failure.kind),
        }
    }

    /// Returns the failure.
    ///
    /// # Panics
    /// If the run succeeded.
    #[track_caller]
    pub fn failure(&self) -> &Failure {
        match &self.result {
            Ok(_) => panic!("the run succeeded"),
            Err(failure) => failure,
        }
    }

    /// Returns the step with this name.
    ///
    /// # Panics
    /// If the run has no such step.
    #[track_caller]
    pub fn step(&self, name: &str) -> &TestStep {
        let names = || self.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>();
        match self.steps.iter().find(|step| step.name == name) {
            Some(step) => step,
            None => panic!("the run has no step `{name}`, but {:?}", names()),
        }
    }
}
