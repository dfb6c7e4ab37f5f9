//! Steps: the interface `step`.

use super::interfaces::step::{
    Completed, Entry, Host, Options, Receipt, RetryPolicy, State, Status, Verdict,
};
use super::interfaces::types::{CallId, Failure, Flow, Json, Scope as Handle};
use super::{cut, fail, size};
use crate::Stop;
use crate::execution::Execution;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal as journal;
use forge_journal::{Row, Scope, StepOptions, StepStatus, kind};

/// The maximum size of a step's name, in bytes: the width of the column in the spec.
const NAME: usize = 255;

/// The bytes of a rejected name that the error message quotes.
const NAME_SHOWN: usize = 64;

impl Host for InstanceState {
    fn begin(&mut self, scope: Handle, name: String, options: Options) -> wasmtime::Result<Entry> {
        let execution = self.execution_for(name.len())?;
        let entry = check_name(&name).and_then(|()| {
            let scope = Scope::from_handle(scope);
            Ok(execution.session.begin_step(scope, &name, options.into(), clock::now())?)
        });
        self.or_stop(entry).map(Entry::from)
    }

    fn resume(&mut self, call: CallId) -> wasmtime::Result<Entry> {
        let entry = self.execution()?.session.resume_step(call);
        self.or_stop(entry.map_err(Stop::from)).map(Entry::from)
    }

    fn check_result(&mut self, scope: Handle, bytes: u64) -> wasmtime::Result<Option<Failure>> {
        let too_large = check_result(self.execution()?, Scope::from_handle(scope), bytes);
        Ok(too_large.map(Failure::from))
    }

    fn complete(&mut self, scope: Handle, result: Json) -> wasmtime::Result<Receipt> {
        let execution = self.execution_for(result.len())?;
        let receipt = complete(execution, scope, &result);
        self.or_stop(receipt).map(Receipt::from)
    }

    fn fail(&mut self, scope: Handle, failure: Failure) -> wasmtime::Result<Verdict> {
        let execution = self.execution_for(size(&failure))?;
        let verdict = fail(execution, Scope::from_handle(scope), failure.into());
        self.or_stop(verdict).map(Verdict::from)
    }

    fn abandon(&mut self, scope: Handle) -> wasmtime::Result<()> {
        let scope = Scope::from_handle(scope);
        let abandoned = self.execution()?.session.abandon_step(scope, clock::now());
        self.or_stop(abandoned.map_err(Stop::from))
    }

    fn enter(&mut self, scope: Handle, name: String) -> wasmtime::Result<Handle> {
        let execution = self.execution_for(name.len())?;
        let entered = check_name(&name).and_then(|()| {
            Ok(execution.session.enter_step(Scope::from_handle(scope), &name, clock::now())?)
        });
        self.or_stop(entered).map(Scope::handle)
    }

    fn lookup(&mut self, name: String) -> wasmtime::Result<Option<State>> {
        let found = self.execution_for(name.len())?.session.lookup_step(&name);
        let result = found.as_ref().and_then(|(_, result)| result.as_deref());
        self.passed(result.map_or(0, str::len));
        Ok(found.map(|(status, result)| State {
            status: status.into(),
            result: result.as_deref().map(str::to_owned),
        }))
    }
}

/// Returns why a result of this many bytes is not recorded. A recorded end does not depend on the limit of today.
fn check_result(execution: &Execution, scope: Scope, bytes: u64) -> Option<journal::Failure> {
    let limit = execution.limits.payload_bytes;
    let row = execution.session.journal().row(scope.step)?;
    if row.is_open() {
        return (bytes > limit).then(|| too_large(row, bytes, limit));
    }
    let recorded = row.failure.as_deref().filter(|failure| failure.kind == kind::LIMIT);
    recorded.filter(|_| row.order.is_some()).cloned()
}

fn too_large(step: &Row, bytes: u64, limit: u64) -> journal::Failure {
    let message = format!(
        "the result of {} has {bytes} bytes; the most is {limit} (payload_bytes). The effect of the step stands: it is \
         not compensated, because its handler would need the result. Return less, or store the data elsewhere and return \
         a reference",
        step.describe()
    );
    journal::Failure::permanent(kind::LIMIT, message)
}

fn complete(execution: &mut Execution, scope: Handle, result: &str) -> Result<journal::Receipt, Stop> {
    let scope = Scope::from_handle(scope);
    // A guest that has not asked `check-result` fails as a whole.
    if let Some(failure) = check_result(execution, scope, result.len() as u64) {
        return Err(Stop::Failed(failure));
    }
    // A workflow that never waits learns here that it must stop.
    execution.host.poll(&mut execution.session)?;
    Ok(execution.session.complete_step(scope, Some(result), clock::now())?)
}

fn check_name(name: &str) -> Result<(), Stop> {
    if !name.is_empty() && name.len() <= NAME {
        return Ok(());
    }
    let begin = cut(name.to_owned(), NAME_SHOWN);
    let message = format!("a step's name must have 1 to {NAME} bytes; `{begin}…` has {}", name.len());
    Err(Stop::Failed(journal::Failure::permanent(kind::LIMIT, message)))
}

impl From<Options> for StepOptions {
    fn from(options: Options) -> Self {
        Self {
            compensable: options.compensable,
            optional: options.optional,
            timeout_ms: options.timeout,
            retry: options.retry.map(|RetryPolicy { max_attempts, backoff, max_backoff }| {
                journal::RetryPolicy { max_attempts, backoff_ms: backoff, max_backoff_ms: max_backoff }
            }),
        }
    }
}

impl From<journal::Entry> for Entry {
    fn from(entry: journal::Entry) -> Self {
        match entry {
            journal::Entry::Execute(scope) => Self::Execute(scope.handle()),
            journal::Entry::Completed { result, receipt } => {
                let Receipt { step, order, flow } = receipt.into();
                let result = result.map_or_else(|| "null".to_owned(), |result| result.to_string());
                Self::Completed(Completed { step, result, order, flow })
            }
            journal::Entry::Failed(failure) => Self::Failed(failure.into()),
            journal::Entry::Parked(call) => Self::Parked(call),
        }
    }
}

impl From<journal::Receipt> for Receipt {
    fn from(receipt: journal::Receipt) -> Self {
        let flow = if receipt.unwind { Flow::Unwind } else { Flow::GoOn };
        Self { step: receipt.step, order: receipt.order, flow }
    }
}

impl From<journal::Verdict> for Verdict {
    fn from(verdict: journal::Verdict) -> Self {
        match verdict {
            journal::Verdict::Final(failure) => Self::Final(failure.into()),
            journal::Verdict::Retry(call) => Self::Retry(call),
        }
    }
}

impl From<StepStatus> for Status {
    fn from(status: StepStatus) -> Self {
        match status {
            StepStatus::Pending => Self::Pending,
            StepStatus::Running => Self::Running,
            StepStatus::Completed => Self::Completed,
            StepStatus::Failed => Self::Failed,
            StepStatus::Compensated => Self::Compensated,
            StepStatus::Skipped => Self::Skipped,
        }
    }
}
