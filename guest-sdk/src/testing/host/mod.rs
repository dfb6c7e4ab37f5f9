//! A host in memory: the semantics of `wit/workflow.wit` without a journal.

mod steps;

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::report::{StepStatus, TestLog, TestStep};
use super::{TestRequest, TestResponse};
use crate::auth::AuthContext;
use crate::error::Failure;
use crate::host::bindings::Failure as WireFailure;
use crate::host::http::{Request, Response};
use crate::host::run::{LogLevel, RunInfo};
use crate::host::step::RetryPolicy;
use crate::time::millis;
use crate::workflow::WorkflowInfo;

/// 2025-01-01T00:00:00Z.
const STARTED_AT: u64 = 1_735_689_600_000;

/// Answers requests: what a test gave to `TestRun::http`.
pub(crate) type Answer = Box<dyn FnMut(&TestRequest) -> TestResponse>;

/// The host of one run.
pub(crate) struct TestHost {
    workflow: WorkflowInfo,
    pub(in crate::testing) run_id: Uuid,
    pub(in crate::testing) auth: AuthContext,
    pub(in crate::testing) seed: (u64, u64),
    pub(in crate::testing) answer: Option<Answer>,
    pub(in crate::testing) cancel_after: Option<u64>,
    /// In milliseconds since the start.
    pub(in crate::testing) cancel_at: Option<u64>,

    started_at: u64,
    now: u64,
    /// Calls and scopes are numbered together: it makes a mix-up of the two show.
    last_id: u64,
    /// When each call under way is due.
    calls: BTreeMap<u64, u64>,
    responses: BTreeMap<u64, Result<Response, WireFailure>>,
    scopes: BTreeMap<u64, Attempt>,
    /// What waits for its next attempt, by the call that ends the wait.
    retries: BTreeMap<u64, Attempt>,
    /// How often each name was begun.
    names: BTreeMap<String, u32>,
    injected: BTreeMap<String, (u32, Failure)>,
    completions: u64,

    /// Why the host ended the run, if it did.
    pub(in crate::testing) unwound: Option<Failure>,
    pub(in crate::testing) steps: Vec<Row>,
    pub(in crate::testing) requests: Vec<TestRequest>,
    pub(in crate::testing) compensations: Vec<String>,
    pub(in crate::testing) logs: Vec<TestLog>,
}

/// A step. Its id is its position.
pub(in crate::testing) struct Row {
    pub(in crate::testing) step: TestStep,
    retry: Option<RetryPolicy>,
    order: u64,
    compensation_attempts: u32,
}

/// What a scope is: an attempt of the step in this row, or of its compensation.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    Step(usize),
    Compensation(usize),
}

/// Setting up.
impl TestHost {
    pub(in crate::testing) fn new(workflow: WorkflowInfo) -> Self {
        TestHost {
            workflow,
            run_id: Uuid::from_u128(0x0194_1f29_7c00_7000_8000_0000_0000_0001),
            auth: AuthContext::default(),
            seed: (1, 2),
            answer: None,
            cancel_after: None,
            cancel_at: None,
            started_at: STARTED_AT,
            now: STARTED_AT,
            last_id: 0,
            calls: BTreeMap::new(),
            responses: BTreeMap::new(),
            scopes: BTreeMap::new(),
            retries: BTreeMap::new(),
            names: BTreeMap::new(),
            injected: BTreeMap::new(),
            completions: 0,
            unwound: None,
            steps: Vec::new(),
            requests: Vec::new(),
            compensations: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// What is left in the place of a host whose run ended.
    pub(crate) fn idle() -> Self {
        let timeout = std::time::Duration::ZERO;
        TestHost::new(WorkflowInfo { name: "", version: 1, timeout, deprecated: false })
    }

    pub(in crate::testing) fn start_at(&mut self, time: u64) {
        self.started_at = time;
        self.now = time;
    }

    pub(in crate::testing) fn complete_before(&mut self, name: &str, result: Value) {
        let row = self.row(name, None);
        self.completions += 1;
        self.steps[row].order = self.completions;
        self.steps[row].step.status = StepStatus::Completed;
        self.steps[row].step.result = Some(result);
    }

    pub(in crate::testing) fn inject(&mut self, name: &str, attempts: u32, failure: Failure) {
        self.injected.insert(name.to_owned(), (attempts, failure));
    }
}

/// The interfaces `run`, `time`, `http` and `calls`.
impl TestHost {
    pub(crate) fn info(&self) -> RunInfo {
        RunInfo {
            run_id: self.run_id.to_string(),
            workflow: self.workflow.name.to_owned(),
            version: self.workflow.version,
            started_at: self.started_at,
            auth: serde_json::to_string(&self.auth).unwrap_or_default(),
            seed: self.seed,
        }
    }

    pub(crate) fn log(&mut self, scope: u64, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        self.logs.push(TestLog { step: self.name_of(scope), level, message: message.to_owned() });
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(in crate::testing) fn elapsed(&self) -> u64 {
        self.now - self.started_at
    }

    pub(crate) fn timer(&mut self, duration: u64) -> u64 {
        let call = self.id();
        self.calls.insert(call, self.now.saturating_add(duration));
        call
    }

    /// The first half of sending: who answers, and what is asked.
    pub(crate) fn http_begin(&mut self, scope: u64, request: &Request) -> (Answer, TestRequest) {
        let asked = TestRequest::new(self.name_of(scope), request);
        self.requests.push(asked.clone());
        let nobody = |asked: &TestRequest| {
            let TestRequest { method, url, .. } = asked;
            TestResponse::unreachable(&format!("{method} {url}: nobody answers; see TestRun::http"))
        };
        (self.answer.take().unwrap_or_else(|| Box::new(nobody)), asked)
    }

    /// The second half: the answer comes after its time, or the timeout before it.
    pub(crate) fn http_submit(&mut self, request: &Request, response: TestResponse, answer: Answer) -> u64 {
        self.answer = Some(answer);
        let TestResponse { outcome, after } = response;
        let after = millis(after);
        let limit = request.timeout.unwrap_or(u64::MAX);
        let outcome = match after > limit {
            true => {
                let message = format!("{} {} timed out after {limit} ms", request.method, request.url);
                Err(Failure::new(Failure::TIMEOUT, message))
            }
            false => outcome,
        };
        let call = self.timer(after.min(limit));
        self.responses.insert(call, outcome.map_err(Into::into));
        call
    }

    pub(crate) fn http_take(&mut self, call: u64) -> Result<Response, WireFailure> {
        assert!(!self.calls.contains_key(&call), "call {call} was taken before it was delivered");
        self.responses.remove(&call).expect("an http call is taken once")
    }

    /// Jumps to the next call that is due, unless the run ends before.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let next = self.calls.iter().min_by_key(|(call, due)| (**due, **call));
        let (call, due) = next.map(|(call, due)| (*call, *due)).expect(
            "the workflow waits for something that is no call of the host, so nothing will ever wake it",
        );
        if let Some((at, failure)) = self.end().filter(|(at, _)| self.unwound.is_none() && *at <= due) {
            self.now = at;
            self.unwind(failure);
            return None;
        }
        self.calls.remove(&call);
        self.now = due;
        Some(call)
    }

    pub(crate) fn cancel(&mut self, call: u64) {
        let under_way = self.calls.remove(&call);
        assert!(under_way.is_some(), "call {call} is not under way and cannot be cancelled");
        self.responses.remove(&call);
        if let Some(Attempt::Step(row)) = self.retries.remove(&call) {
            self.steps[row].step.status = StepStatus::Skipped;
        }
    }

    /// When the run ends, whatever it does, and why.
    fn end(&self) -> Option<(u64, Failure)> {
        let WorkflowInfo { name, timeout, .. } = self.workflow;
        let deadline = self.started_at.saturating_add(millis(timeout));
        let late = Failure::new(Failure::TIMEOUT, format!("`{name}` timed out after {timeout:?}"));
        let cancelled = self.cancel_at.map(|after| (self.started_at + after, Failure::cancelled()));
        cancelled.into_iter().chain([(deadline, late)]).min_by_key(|(at, _)| *at)
    }

    /// Ends the run: what is under way belongs to nobody any more.
    fn unwind(&mut self, failure: Failure) {
        self.unwound = Some(failure);
        self.calls.clear();
        self.responses.clear();
        self.retries.clear();
    }

    /// The step that a scope belongs to.
    fn name_of(&self, scope: u64) -> Option<String> {
        let (Attempt::Step(row) | Attempt::Compensation(row)) = *self.scopes.get(&scope)?;
        Some(self.steps[row].step.name.clone())
    }

    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
