//! A host in memory: the semantics of `wit/workflow.wit` without a journal.
//!
//! The modules [`run`], [`calls`], [`step`] and [`compensate`] are the interfaces of that name, with the
//! signatures that wit-bindgen gives them. Those of effects are in the files of the effects.

mod completions;
mod places;
mod record;
mod steps;
mod tags;

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::auth::AuthContext;
use crate::error::Failure;
use crate::timestamp::millis;
use crate::workflow_info::WorkflowInfo;
use completions::Action;
pub(crate) use completions::{NEVER, calls};
use places::Places;
pub use record::{StepStatus, TestLog, TestStep};
use steps::{Attempt, Row};
pub(crate) use steps::{compensate, step};

/// 2025-01-01T00:00:00Z.
const STARTED_AT: u64 = 1_735_689_600_000;

thread_local! {
    static HOST: RefCell<Option<TestHost>> = const { RefCell::new(None) };
}

/// The host of one run. Times are in milliseconds.
pub(crate) struct TestHost {
    workflow: WorkflowInfo,
    pub(crate) run_id: Uuid,
    pub(crate) auth: AuthContext,
    pub(crate) seed: (u64, u64),
    /// The number of completed steps after which the run is cancelled.
    pub(crate) cancel_after: Option<u64>,
    /// The time since the start after which the run is cancelled.
    pub(crate) cancel_at: Option<u64>,

    started_at: u64,
    now: u64,
    /// Calls and scopes share their numbers, so that a test fails if one is taken for the other.
    last_id: u64,
    /// The calls under way: when each is due, and its outcome.
    calls: BTreeMap<u64, (u64, Box<dyn Any>)>,
    /// What is done with the outcome of a call that is cancelled.
    when_cancelled: BTreeMap<u64, Action<Box<dyn Any>>>,
    /// The outcomes of delivered calls.
    delivered: BTreeMap<u64, Box<dyn Any>>,
    /// What happens, by the time since the start and a number that keeps the order.
    scheduled: BTreeMap<(u64, u64), Action<()>>,
    scopes: BTreeMap<u64, Attempt>,
    pub(crate) places: Places,
    /// The number of times that each name was begun.
    names: BTreeMap<String, u32>,
    /// The number of attempts of a step that fail without its code, and their failure.
    injected: BTreeMap<String, (u32, Failure)>,
    completions: u64,

    /// The run is rolled back: the host has cancelled the calls that were under way.
    rolls_back: bool,
    /// The reason why the host ended the run, if it did.
    pub(crate) unwound: Option<Failure>,
    pub(crate) steps: Vec<Row>,
    pub(crate) compensations: Vec<String>,
    pub(crate) logs: Vec<TestLog>,
    /// The last value of each name that the run has published, as JSON.
    pub(crate) published: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// The state of effects, by type.
    effects: BTreeMap<TypeId, Box<dyn Any>>,
}

/// Makes `host` the host of this thread until `f` returns or panics. Returns it afterwards.
pub(crate) fn install<R>(host: TestHost, f: impl FnOnce() -> R) -> (R, TestHost) {
    struct Uninstall;
    impl Drop for Uninstall {
        fn drop(&mut self) {
            HOST.take();
        }
    }
    let before = HOST.replace(Some(host));
    assert!(before.is_none(), "a TestRun cannot run inside another one");
    let _uninstall = Uninstall;
    let result = f();
    (result, HOST.take().expect("only this function uninstalls a host"))
}

/// Calls `f` with the host of this thread.
pub(crate) fn with<R>(f: impl FnOnce(&mut TestHost) -> R) -> R {
    HOST.with_borrow_mut(|host| {
        let host = host.as_mut();
        f(host
            .expect("a workflow's functions work only inside a run; in a test, use forge::testing::TestRun"))
    })
}

/// Returns a value as JSON. A text, because a `Value` has no numbers beyond 64 bits.
pub(crate) fn json(value: impl Serialize) -> String {
    serde_json::to_string(&value).expect("inputs and results of steps can be written as JSON")
}

/// Setup.
impl TestHost {
    pub(crate) fn new(workflow: WorkflowInfo) -> Self {
        TestHost {
            workflow,
            run_id: Uuid::from_u128(0x0194_1f29_7c00_7000_8000_0000_0000_0001),
            auth: AuthContext::default(),
            seed: (1, 2),
            cancel_after: None,
            cancel_at: None,
            started_at: STARTED_AT,
            now: STARTED_AT,
            last_id: 0,
            calls: BTreeMap::new(),
            when_cancelled: BTreeMap::new(),
            delivered: BTreeMap::new(),
            scheduled: BTreeMap::new(),
            scopes: BTreeMap::new(),
            places: Places::default(),
            names: BTreeMap::new(),
            injected: BTreeMap::new(),
            completions: 0,
            rolls_back: false,
            unwound: None,
            steps: Vec::new(),
            compensations: Vec::new(),
            logs: Vec::new(),
            published: BTreeMap::new(),
            tags: BTreeMap::new(),
            effects: BTreeMap::new(),
        }
    }

    pub(crate) fn start_at(&mut self, time: u64) {
        self.started_at = time;
        self.now = time;
    }

    pub(crate) fn complete_before(&mut self, name: &str, result: String) {
        let row = self.row(name, None);
        self.completions += 1;
        self.steps[row].complete(self.completions, result);
    }

    /// Returns the state of an effect, which the file of the effect defines.
    pub(crate) fn effect<T: Default + 'static>(&mut self) -> &mut T {
        let state = self.effects.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        state.downcast_mut().expect("the key is the type of the state")
    }

    pub(crate) fn inject(&mut self, name: &str, attempts: u32, failure: Failure) {
        self.injected.insert(name.to_owned(), (attempts, failure));
    }
}

/// Properties of the run.
impl TestHost {
    /// The name of the step that a scope belongs to. None for the workflow's body.
    pub(crate) fn step_name(&self, scope: u64) -> Option<String> {
        let attempt = self.scopes.get(&scope)?;
        Some(self.steps[attempt.row].step.name.clone())
    }

    /// The time at which the run ends regardless of its workflow, and the reason.
    fn end(&self) -> (u64, Failure) {
        let WorkflowInfo { name, timeout, .. } = self.workflow;
        let deadline = self.started_at.saturating_add(millis(timeout));
        match self.cancel_at.map(|after| self.started_at.saturating_add(after)) {
            Some(at) if at <= deadline => (at, Failure::cancelled()),
            _ => (deadline, Failure::new(Failure::TIMEOUT, format!("`{name}` timed out after {timeout:?}"))),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// The host's interface `run`.
pub(crate) mod run {
    use super::{TestLog, json, tags, with};
    pub(crate) use crate::bindings::forge::workflow::run::{LogLevel, RunInfo};

    pub(crate) fn info() -> RunInfo {
        with(|host| RunInfo {
            run_id: host.run_id.to_string(),
            workflow: host.workflow.name.to_owned(),
            version: host.workflow.version,
            started_at: host.started_at,
            auth: json(&host.auth),
            seed: host.seed,
        })
    }

    pub(crate) fn tag(name: &str, value: &str) -> Result<(), crate::bindings::Failure> {
        with(|host| tags::set(&mut host.tags, name, value))
    }

    pub(crate) fn log(scope: u64, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        with(|host| {
            let step = host.step_name(scope);
            host.logs.push(TestLog { step, level, message: message.to_owned() });
        });
    }

    pub(crate) fn publish(_scope: u64, name: &str, value: &str) {
        with(|host| host.published.insert(name.to_owned(), value.to_owned()));
    }
}
