//! Steps and compensations: the start, the end and the retries of their attempts.

use serde_json::Value;

use super::{StepStatus, TestHost, TestStep, with};
use crate::bindings::forge::workflow::step::{Entry, RetryPolicy, Verdict};
use crate::error::Failure;

/// The retry policy of compensations, which is the host's and not the workflow's.
const COMPENSATION_RETRY: RetryPolicy = RetryPolicy { max_attempts: 5, backoff: 1_000, max_backoff: 60_000 };

/// The most bytes of a step's result: the host's default.
const PAYLOAD_BYTES: u64 = 1 << 20;

/// The longest wait before a further attempt that a response may ask for, in milliseconds: the host's default.
const MAX_RETRY_AFTER: u64 = 3_600_000;

/// A step. Its id is its position.
pub(crate) struct Row {
    pub(crate) step: TestStep,
    retry: Option<RetryPolicy>,
    /// The scope in which the step began, and its path.
    parent: u64,
    path: String,
    /// The result as JSON.
    result: Option<String>,
    order: u64,
    compensation_attempts: u32,
}

impl Row {
    pub(super) fn complete(&mut self, order: u64, result: String) {
        self.order = order;
        self.step.status = StepStatus::Completed;
        self.step.error = None;
        // A number that no `Value` can have is shown as its text.
        let shown = serde_json::from_str(&result).unwrap_or_else(|_| Value::String(result.clone()));
        self.step.result = Some(shown);
        self.result = Some(result);
    }
}

/// What an attempt executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Step,
    Compensation,
}

/// An attempt of the step in a row, or of its compensation. It is what a scope stands for, and the outcome
/// of the call that ends the wait for a retry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) kind: Kind,
    pub(super) row: usize,
}

/// The host's interface `step`.
pub(crate) mod step {
    use super::{Attempt, Kind, PAYLOAD_BYTES, Row, StepStatus, TestStep, with};
    pub(crate) use crate::bindings::forge::workflow::step::*;
    use crate::bindings::forge::workflow::types::Flow;
    use crate::error::Failure as OwnFailure;

    pub(crate) fn begin(scope: Scope, name: &str, options: Options) -> Entry {
        with(|host| {
            let path = host.places.next_call(scope);
            let times = host.names.entry(name.to_owned()).or_default();
            *times += 1;
            let row = match *times {
                1 => host.row(name, options.retry),
                times => host.row(&format!("{name}#{times}"), options.retry),
            };
            (host.steps[row].parent, host.steps[row].path) = (scope, path);
            match &host.steps[row] {
                Row {
                    step: TestStep { status: StepStatus::Completed, .. },
                    result: Some(result),
                    order,
                    ..
                } => {
                    let (result, order) = (result.clone(), *order);
                    Entry::Completed(Completed { step: row as u64, result, order, flow: Flow::GoOn })
                }
                _ => host.attempt(Attempt { kind: Kind::Step, row }),
            }
        })
    }

    /// Also of the interface `compensate`.
    pub(crate) fn resume(call: CallId) -> Entry {
        with(|host| {
            let attempt = host.take(call);
            host.attempt(attempt)
        })
    }

    pub(crate) fn check_result(scope: Scope, bytes: u64) -> Option<Failure> {
        let step = with(|host| host.step_name(scope)).filter(|_| bytes > PAYLOAD_BYTES)?;
        let message = format!(
            "the result of step `{step}` has {bytes} bytes; the most is {PAYLOAD_BYTES} (payload_bytes). The effect \
             of the step stands: it is not compensated, because its handler would need the result. Return less, \
             or store the data elsewhere and return a reference",
        );
        Some(OwnFailure::new(OwnFailure::LIMIT, message).not_retryable().into())
    }

    pub(crate) fn complete(scope: Scope, result: &str) -> Receipt {
        with(|host| {
            let row = host.close(scope, Kind::Step);
            host.completions += 1;
            let order = host.completions;
            host.steps[row].complete(order, result.to_owned());
            let mut flow = Flow::GoOn;
            if host.cancel_after == Some(order) && host.unwound.is_none() {
                host.unwind(OwnFailure::cancelled());
                flow = Flow::Unwind;
            }
            Receipt { step: row as u64, order, flow }
        })
    }

    /// Also of the interface `compensate`.
    pub(crate) fn fail(scope: Scope, failure: &Failure) -> Verdict {
        with(|host| host.fail(scope, failure.clone().into()))
    }

    pub(crate) fn abandon(scope: Scope) {
        with(|host| {
            let row = host.close(scope, Kind::Step);
            host.steps[row].step.status = StepStatus::Skipped;
        });
    }

    pub(crate) fn enter(scope: Scope, name: &str) -> Scope {
        with(|host| {
            let row = host.row(name, None);
            let path = host.places.low_level(scope, name);
            (host.steps[row].parent, host.steps[row].path) = (scope, path);
            host.open(Attempt { kind: Kind::Step, row })
        })
    }

    pub(crate) fn lookup(name: &str) -> Option<State> {
        with(|host| {
            let Row { step, result, .. } = host.steps.iter().find(|row| row.step.name == name)?;
            let status = match step.status {
                StepStatus::Pending => Status::Pending,
                StepStatus::Running => Status::Running,
                StepStatus::Completed => Status::Completed,
                StepStatus::Failed => Status::Failed,
                StepStatus::Compensated => Status::Compensated,
                StepStatus::Skipped => Status::Skipped,
            };
            Some(State { status, result: result.clone() })
        })
    }
}

/// The host's interface `compensate`.
pub(crate) mod compensate {
    pub(crate) use super::step::{fail, resume};
    use super::{Attempt, Entry, Kind, StepStatus, with};
    use crate::bindings::Failure;

    pub(crate) fn unwind(_: &Failure) {
        with(|host| host.cancel_calls());
    }

    pub(crate) fn begin(step: u64) -> Entry {
        with(|host| host.attempt(Attempt { kind: Kind::Compensation, row: step as usize }))
    }

    pub(crate) fn complete(scope: u64) {
        with(|host| {
            let row = host.close(scope, Kind::Compensation);
            host.steps[row].step.status = StepStatus::Compensated;
            host.compensations.push(host.steps[row].step.name.clone());
        });
    }
}

impl TestHost {
    /// The row of the step with this name. A new one if there is none.
    pub(super) fn row(&mut self, name: &str, retry: Option<RetryPolicy>) -> usize {
        let known = self.steps.iter().position(|row| row.step.name == name);
        known.unwrap_or_else(|| {
            let step = TestStep {
                name: name.to_owned(),
                status: StepStatus::Pending,
                result: None,
                error: None,
                attempts: 0,
                compensation_error: None,
            };
            let (parent, path) = (0, String::new());
            self.steps.push(Row {
                step,
                retry,
                parent,
                path,
                result: None,
                order: 0,
                compensation_attempts: 0,
            });
            self.steps.len() - 1
        })
    }

    /// Begins an attempt. It fails at once if the test injected a failure.
    fn attempt(&mut self, attempt: Attempt) -> Entry {
        let scope = self.open(attempt);
        let Some(failure) = self.injected_failure(attempt) else { return Entry::Execute(scope) };
        match self.fail(scope, failure) {
            Verdict::Final(failure) => Entry::Failed(failure),
            Verdict::Retry(call) => Entry::Parked(call),
        }
    }

    fn injected_failure(&mut self, Attempt { kind, row }: Attempt) -> Option<Failure> {
        if kind == Kind::Compensation {
            return None;
        }
        let (left, failure) = self.injected.get_mut(&self.steps[row].step.name)?;
        *left = left.checked_sub(1)?;
        Some(failure.clone())
    }

    /// Opens the scope of an attempt.
    fn open(&mut self, attempt: Attempt) -> u64 {
        let row = &mut self.steps[attempt.row];
        match attempt.kind {
            Kind::Step => {
                row.step.status = StepStatus::Running;
                row.step.attempts += 1;
            }
            Kind::Compensation => row.compensation_attempts += 1,
        }
        let path = match attempt.kind {
            Kind::Step => row.path.clone(),
            Kind::Compensation => format!("{}/compensate", row.path),
        };
        let parent = row.parent;
        let scope = self.next_id();
        self.places.open(scope, parent, path);
        self.scopes.insert(scope, attempt);
        scope
    }

    /// Closes the scope of an attempt. Returns the row of its step.
    fn close(&mut self, scope: u64, expected: Kind) -> usize {
        let Attempt { kind, row } = self.scopes.remove(&scope).expect("an attempt ends once");
        assert_eq!(kind, expected, "steps and compensations end through interfaces of their own");
        row
    }

    /// Ends an attempt with a failure, and decides whether another one follows.
    fn fail(&mut self, scope: u64, failure: Failure) -> Verdict {
        let attempt = self.scopes.remove(&scope).expect("an attempt ends once");
        let row = &mut self.steps[attempt.row];
        let (made, policy) = match attempt.kind {
            Kind::Step => (row.step.attempts, row.retry),
            Kind::Compensation => (row.compensation_attempts, Some(COMPENSATION_RETRY)),
        };
        let policy = policy.filter(|policy| failure.retryable && made < policy.max_attempts);
        match attempt.kind {
            Kind::Step => {
                row.step.error = Some(failure.clone());
                row.step.status = if policy.is_some() { StepStatus::Pending } else { StepStatus::Failed };
            }
            Kind::Compensation if policy.is_none() => row.step.compensation_error = Some(failure.clone()),
            Kind::Compensation => {}
        }
        match policy {
            None => Verdict::Final(failure.into()),
            Some(policy) => {
                let asked = self.places.not_before(scope).saturating_sub(self.now).min(MAX_RETRY_AFTER);
                Verdict::Retry(self.submit(backoff(&policy, made).max(asked), attempt))
            }
        }
    }
}

/// The wait after this many attempts. It doubles each time.
fn backoff(policy: &RetryPolicy, attempts: u32) -> u64 {
    let doubled = policy.backoff.saturating_mul(1u64.checked_shl(attempts - 1).unwrap_or(u64::MAX));
    doubled.min(policy.max_backoff)
}
