//! Children in tests.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::bindings::forge::workflow::children::Request;
use crate::error::Failure;
use crate::event::testing::ends_at;
use crate::test_host::{NEVER, TestHost, json};
use crate::timestamp::millis;

/// A run that the workflow started.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestChild {
    /// The step that started it, itself or in its compensation. `None` for the workflow's body.
    pub step: Option<String>,
    /// The id of the run.
    pub run_id: Uuid,
    /// The name of its workflow.
    pub workflow: String,
    /// The version of its workflow, if the workflow asked for one.
    pub version: Option<u32>,
    /// The longest duration of the run, if the workflow set one.
    pub timeout: Option<Duration>,
    /// Whether the child is attached: not started with `start_workflow`.
    pub attached: bool,
    /// The status.
    pub status: ChildStatus,
    input: String,
}

/// The status of a run that the workflow started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStatus {
    /// The run has not ended.
    Running,
    /// The run has an output.
    Completed,
    /// The run failed.
    Failed,
    /// The run was cancelled, because the workflow asked for it, dropped the handle, failed or ended.
    Cancelled,
    /// The host did not start the run.
    Refused,
}

impl TestChild {
    /// Returns the input, deserialised from JSON.
    ///
    /// # Panics
    /// If the input does not deserialise as `T`.
    pub fn input<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.input) {
            Ok(value) => value,
            Err(error) => panic!("the input of a run of `{}`: {error}", self.workflow),
        }
    }
}

/// The outcome of a child.
#[derive(Debug, Clone)]
pub struct TestOutcome {
    status: ChildStatus,
    outcome: Result<String, Failure>,
    after: Option<Duration>,
}

impl TestOutcome {
    fn new(status: ChildStatus, outcome: Result<String, Failure>) -> Self {
        TestOutcome { status, outcome, after: Some(Duration::ZERO) }
    }

    /// Returns the outcome of a child with this output.
    pub fn completed(output: impl Serialize) -> Self {
        TestOutcome::new(ChildStatus::Completed, Ok(json(output)))
    }

    /// Returns the outcome of a child that fails with this kind and message.
    pub fn failed(kind: &str, message: &str) -> Self {
        TestOutcome::new(ChildStatus::Failed, Err(Failure::new(kind, message)))
    }

    /// Returns the outcome of a child that the host does not start, because of a limit.
    pub fn refused(message: &str) -> Self {
        let failure = Failure::new(Failure::LIMIT, message).not_retryable();
        TestOutcome::new(ChildStatus::Refused, Err(failure))
    }

    /// Returns the outcome of a child that does not end by itself.
    pub fn never() -> Self {
        TestOutcome { after: None, ..TestOutcome::new(ChildStatus::Running, Ok(json(()))) }
    }

    /// Sets how long the child takes.
    pub fn after(self, after: Duration) -> Self {
        TestOutcome { after: Some(after), ..self }
    }
}

/// The function that decides the outcome of children in tests.
type Answer = Box<dyn FnMut(&TestChild) -> TestOutcome>;

/// The state of the test host for children.
#[derive(Default)]
pub(crate) struct Children {
    /// The functions that decide the outcomes, by workflow.
    pub(crate) answers: BTreeMap<String, Answer>,
    started: Vec<Started>,
}

/// A run that was started, and how it ends.
struct Started {
    child: TestChild,
    /// The call of an attached child.
    call: Option<u64>,
    /// The time at which it ends, and its status then.
    end: (u64, ChildStatus),
}

/// The outcome of the call of an attached child.
struct Ended(Result<String, Failure>);

/// The outcome of the call that starts a detached child.
struct Detached(Uuid);

/// The outcome of a call that cancels.
struct Cancelled(Result<(), Failure>);

/// Returns the runs that the workflow started.
pub(crate) fn report(host: &mut TestHost) -> Vec<TestChild> {
    let now = host.now();
    let started = std::mem::take(&mut host.effect::<Children>().started);
    let status = |Started { child, end: (at, status), .. }: &Started| match child.attached {
        _ if *at <= now => *status,
        // The end of the run cancels it.
        true => ChildStatus::Cancelled,
        false => ChildStatus::Running,
    };
    started.into_iter().map(|started| TestChild { status: status(&started), ..started.child }).collect()
}

/// Adds a run that the workflow starts. Returns its record, and its position.
fn add(host: &mut TestHost, scope: u64, request: &Request, attached: bool) -> (TestChild, usize) {
    host.places.next_call(scope);
    let step = host.step_name(scope);
    let position = host.effect::<Children>().started.len();
    let Request { workflow, input, version, timeout } = request.clone();
    let child = TestChild {
        step,
        run_id: Uuid::from_u128(host.run_id.as_u128().wrapping_add(1 + position as u128)),
        workflow,
        version,
        timeout: timeout.map(Duration::from_millis),
        attached,
        status: ChildStatus::Running,
        input,
    };
    let started = Started { child: child.clone(), call: None, end: (NEVER, ChildStatus::Running) };
    host.effect::<Children>().started.push(started);
    (child, position)
}

/// Submits the call of an attached child.
fn submit(host: &mut TestHost, position: usize, child: &TestChild, outcome: TestOutcome) -> u64 {
    let TestOutcome { mut status, mut outcome, after } = outcome;
    let mut after = after.map_or(NEVER, millis);
    if let Some(timeout) = child.timeout.map(millis).filter(|timeout| *timeout < after) {
        let message = format!("the run timed out: `{}` may take {timeout} ms", child.workflow);
        outcome = Err(Failure::new(Failure::TIMEOUT, message));
        (status, after) = (ChildStatus::Failed, timeout);
    }
    if status == ChildStatus::Failed {
        outcome = outcome.map_err(|failure| of_child(child.run_id, &failure));
    }
    let end = (host.now().saturating_add(after), status);
    let call = host.submit(after, Ended(outcome));
    host.when_cancelled(call, move |host, Ended(_)| cancel(host, position));
    let started = &mut host.effect::<Children>().started[position];
    (started.call, started.end) = (Some(call), end);
    ends_at(host, child.run_id, end.0);
    call
}

/// Returns the failure of the call of a child that failed.
fn of_child(run_id: Uuid, Failure { kind, message, .. }: &Failure) -> Failure {
    Failure::new(Failure::CHILD, format!("run {run_id} failed ({kind}): {message}"))
}

/// Cancels a run unless it has ended.
fn cancel(host: &mut TestHost, position: usize) {
    let now = host.now();
    let started = &mut host.effect::<Children>().started[position];
    if started.end.0 > now {
        started.end = (now, ChildStatus::Cancelled);
        let (run_id, call) = (started.child.run_id, started.call);
        ends_at(host, run_id, now);
        if let Some(call) = call {
            host.complete(call, Ended(Err(of_child(run_id, &Failure::cancelled()))));
        }
    }
}

/// The host's interface `children`.
pub(super) mod host {
    use uuid::Uuid;

    use super::{Cancelled, Children, Detached, Ended, TestOutcome, add, cancel as cancel_at, submit};
    use crate::bindings::Failure as WireFailure;
    use crate::bindings::forge::workflow::children::{Request, Started};
    use crate::error::Failure;
    use crate::test_host::with;

    pub(crate) fn start(scope: u64, request: &Request) -> Started {
        let (child, position, mut answer) = with(|host| {
            let (child, position) = add(host, scope, request, true);
            let answer = host.effect::<Children>().answers.remove(&request.workflow);
            (child, position, answer)
        });
        // The test's function may log, which borrows the test host: here it is not borrowed.
        let outcome = match &mut answer {
            Some(answer) => answer(&child),
            None => TestOutcome::refused(&format!(
                "no outcome for runs of `{}`; set one with TestRun::child",
                request.workflow
            )),
        };
        let call = with(|host| {
            if let Some(answer) = answer {
                host.effect::<Children>().answers.insert(request.workflow.clone(), answer);
            }
            submit(host, position, &child, outcome)
        });
        Started { call, run_id: child.run_id.to_string() }
    }

    pub(crate) fn outcome(call: u64) -> Result<String, WireFailure> {
        let Ended(outcome) = with(|host| host.take(call));
        Ok(outcome?)
    }

    pub(crate) fn detach(scope: u64, request: &Request) -> u64 {
        with(|host| {
            let (child, _) = add(host, scope, request, false);
            host.submit(0, Detached(child.run_id))
        })
    }

    pub(crate) fn detached(call: u64) -> Result<String, WireFailure> {
        let Detached(run_id) = with(|host| host.take(call));
        Ok(run_id.to_string())
    }

    pub(crate) fn cancel(scope: u64, run_id: &str) -> u64 {
        with(|host| {
            host.places.next_call(scope);
            let run_id = Uuid::parse_str(run_id).expect("the SDK cancels runs by their ids");
            let started = &host.effect::<Children>().started;
            let outcome = match started.iter().position(|started| started.child.run_id == run_id) {
                Some(position) => {
                    cancel_at(host, position);
                    Ok(())
                }
                None => {
                    let message = format!("this run has not started run `{run_id}`, so it cannot cancel it");
                    Err(Failure::new(Failure::INVALID_INPUT, message).not_retryable())
                }
            };
            host.submit(0, Cancelled(outcome))
        })
    }

    pub(crate) fn cancelled(call: u64) -> Result<(), WireFailure> {
        let Cancelled(outcome) = with(|host| host.take(call));
        Ok(outcome?)
    }
}
