//! What came of a run.

use std::time::Duration;

use serde_json::Value;

use super::TestRequest;
use super::host::TestHost;
use crate::error::Failure;

/// What came of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct TestReport<T> {
    /// The workflow's output, or why there is none.
    pub result: Result<T, Failure>,
    /// Its steps, in the order in which they began.
    pub steps: Vec<TestStep>,
    /// Its requests, in the order in which it made them.
    pub requests: Vec<TestRequest>,
    /// The steps that were compensated, in that order.
    pub compensations: Vec<String>,
    /// What it logged.
    pub logs: Vec<TestLog>,
    /// How long it took, in its own time.
    pub elapsed: Duration,
}

/// A step of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestStep {
    /// Its name; `charge#2` is the second `charge`.
    pub name: String,
    /// How it stands.
    pub status: StepStatus,
    /// Its result, if it completed.
    pub result: Option<Value>,
    /// Why its last attempt failed, if it did.
    pub error: Option<Failure>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why its compensation failed for good, if it did.
    pub compensation_error: Option<Failure>,
}

/// How a step stands. (Specification: "StepStatus Enum".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStatus {
    /// Waits for its next attempt.
    Pending,
    /// Executes.
    Running,
    /// Finished successfully.
    Completed,
    /// Failed for good.
    Failed,
    /// Finished successfully and was rolled back.
    Compensated,
    /// Was dropped before its end, for example because another branch of a `select!` won.
    Skipped,
}

/// A line that a workflow logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestLog {
    /// The step that logged it. None for the workflow's body.
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
            // The host knows why it ended a run; the guest only knows that it did.
            result: match host.unwound {
                Some(failure) => Err(failure),
                None => result,
            },
            steps: host.steps.into_iter().map(|row| row.step).collect(),
            requests: host.requests,
            compensations: host.compensations,
            logs: host.logs,
            elapsed,
        }
    }

    /// The output.
    ///
    /// # Panics
    /// With the failure, if the run failed.
    #[track_caller]
    pub fn output(&self) -> &T {
        match &self.result {
            Ok(output) => output,
            Err(failure) => panic!("the run failed: {failure} (kind `{}`)", failure.kind),
        }
    }

    /// The failure.
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

    /// The step with this name.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn step(&self, name: &str) -> &TestStep {
        let names = || self.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>();
        match self.steps.iter().find(|step| step.name == name) {
            Some(step) => step,
            None => panic!("there is no step `{name}`, there are {:?}", names()),
        }
    }
}
