//! Steps and compensations: beginning, ending and retrying their attempts.

use serde_json::Value;

use super::{Attempt, Row, TestHost};
use crate::error::Failure;
use crate::host::Flow;
use crate::host::step::{Completed, Entry, Options, Receipt, RetryPolicy, State, Status, Verdict};
use crate::testing::report::{StepStatus, TestStep};

/// How often a compensation is tried, and how long after: the host's policy, not the guest's.
const COMPENSATION_RETRY: RetryPolicy = RetryPolicy { max_attempts: 5, backoff: 1_000, max_backoff: 60_000 };

/// The interface `step`.
impl TestHost {
    pub(crate) fn begin(&mut self, name: &str, options: Options) -> Entry {
        let times = self.names.entry(name.to_owned()).or_default();
        *times += 1;
        let row = match *times {
            1 => self.row(name, options.retry),
            times => self.row(&format!("{name}#{times}"), options.retry),
        };
        match &self.steps[row] {
            Row { step: TestStep { status: StepStatus::Completed, result, .. }, order, .. } => {
                let result = result.clone().unwrap_or_default().to_string();
                Entry::Completed(Completed { step: row as u64, result, order: *order, flow: Flow::GoOn })
            }
            _ => self.attempt(Attempt::Step(row)),
        }
    }

    pub(crate) fn resume(&mut self, call: u64) -> Entry {
        let attempt = self.retries.remove(&call).expect("only a step that waits is resumed");
        assert!(!self.calls.contains_key(&call), "a step was resumed before its wait was over");
        self.attempt(attempt)
    }

    pub(crate) fn complete(&mut self, scope: u64, result: &str) -> Receipt {
        let Attempt::Step(row) = self.leave(scope) else { panic!("a compensation has no result") };
        self.completions += 1;
        self.steps[row].order = self.completions;
        self.steps[row].step.status = StepStatus::Completed;
        self.steps[row].step.error = None;
        self.steps[row].step.result = serde_json::from_str(result).ok();
        let mut flow = Flow::GoOn;
        if self.cancel_after == Some(self.completions) && self.unwound.is_none() {
            self.unwind(Failure::cancelled());
            flow = Flow::Unwind;
        }
        Receipt { step: row as u64, order: self.completions, flow }
    }

    /// Of a step or of a compensation.
    pub(crate) fn fail(&mut self, scope: u64, failure: Failure) -> Verdict {
        let attempt = self.leave(scope);
        self.judge(attempt, failure)
    }

    pub(crate) fn abandon(&mut self, scope: u64) {
        match self.leave(scope) {
            Attempt::Step(row) => self.steps[row].step.status = StepStatus::Skipped,
            Attempt::Compensation(_) => panic!("a compensation is never abandoned"),
        }
    }

    pub(crate) fn enter(&mut self, name: &str) -> u64 {
        let row = self.row(name, None);
        self.open(Attempt::Step(row))
    }

    pub(crate) fn lookup(&mut self, name: &str) -> Option<State> {
        let Row { step, .. } = self.steps.iter().find(|row| row.step.name == name)?;
        let status = match step.status {
            StepStatus::Pending => Status::Pending,
            StepStatus::Running => Status::Running,
            StepStatus::Completed => Status::Completed,
            StepStatus::Failed => Status::Failed,
            StepStatus::Compensated => Status::Compensated,
            StepStatus::Skipped => Status::Skipped,
        };
        Some(State { status, result: step.result.as_ref().map(Value::to_string) })
    }
}

/// The interface `compensate`.
impl TestHost {
    pub(crate) fn compensate_begin(&mut self, step: u64) -> Entry {
        self.attempt(Attempt::Compensation(step as usize))
    }

    pub(crate) fn compensate_complete(&mut self, scope: u64) {
        let Attempt::Compensation(row) = self.leave(scope) else { panic!("not a compensation") };
        self.steps[row].step.status = StepStatus::Compensated;
        self.compensations.push(self.steps[row].step.name.clone());
    }
}

/// Attempts.
impl TestHost {
    /// The row of the step with this name, new if need be.
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
            self.steps.push(Row { step, retry, order: 0, compensation_attempts: 0 });
            self.steps.len() - 1
        })
    }

    /// Begins an attempt, or lets it fail if the test said so.
    fn attempt(&mut self, attempt: Attempt) -> Entry {
        let scope = self.open(attempt);
        let Some(failure) = self.injected_failure(attempt) else { return Entry::Execute(scope) };
        match self.fail(scope, failure) {
            Verdict::Final(failure) => Entry::Failed(failure),
            Verdict::Retry(call) => Entry::Parked(call),
        }
    }

    fn injected_failure(&mut self, attempt: Attempt) -> Option<Failure> {
        let Attempt::Step(row) = attempt else { return None };
        let (left, failure) = self.injected.get_mut(&self.steps[row].step.name)?;
        *left = left.checked_sub(1)?;
        Some(failure.clone())
    }

    fn open(&mut self, attempt: Attempt) -> u64 {
        match attempt {
            Attempt::Step(row) => {
                self.steps[row].step.status = StepStatus::Running;
                self.steps[row].step.attempts += 1;
            }
            Attempt::Compensation(row) => self.steps[row].compensation_attempts += 1,
        }
        let scope = self.id();
        self.scopes.insert(scope, attempt);
        scope
    }

    /// Ends an attempt. The guest must have cancelled its calls, which this cannot see, and must
    /// not end it twice, which it can.
    fn leave(&mut self, scope: u64) -> Attempt {
        self.scopes.remove(&scope).expect("an attempt ends once")
    }

    /// Decides whether a failed attempt is the last.
    fn judge(&mut self, attempt: Attempt, failure: Failure) -> Verdict {
        let (made, policy) = match attempt {
            Attempt::Step(row) => (self.steps[row].step.attempts, self.steps[row].retry),
            Attempt::Compensation(row) => (self.steps[row].compensation_attempts, Some(COMPENSATION_RETRY)),
        };
        let policy = policy.filter(|policy| failure.retryable && made < policy.max_attempts);
        let step = match attempt {
            Attempt::Step(row) => &mut self.steps[row].step,
            Attempt::Compensation(row) if policy.is_none() => {
                self.steps[row].step.compensation_error = Some(failure.clone());
                return Verdict::Final(failure.into());
            }
            Attempt::Compensation(row) => &mut self.steps[row].step,
        };
        if let Attempt::Step(_) = attempt {
            step.error = Some(failure.clone());
            step.status = if policy.is_some() { StepStatus::Pending } else { StepStatus::Failed };
        }
        match policy {
            None => Verdict::Final(failure.into()),
            Some(policy) => {
                let call = self.timer(backoff(&policy, made));
                self.retries.insert(call, attempt);
                Verdict::Retry(call)
            }
        }
    }
}

/// The wait after this many attempts: it doubles each time.
fn backoff(policy: &RetryPolicy, attempts: u32) -> u64 {
    let doubled = policy.backoff.saturating_mul(1u64.checked_shl(attempts - 1).unwrap_or(u64::MAX));
    doubled.min(policy.max_backoff)
}
