//! The outcome of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::child::{self, testing::TestChild};
use serde_json::Value;

use crate::db::testing::Store;
use crate::error::Failure;
use crate::event::testing::{Events, TestEvent, TestSentEvent};
use crate::http::testing::{Http, TestRequest};
use crate::test_host::{TestHost, TestLog, TestStep};

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
    /// The runs that the workflow started, in order.
    pub children: Vec<TestChild>,
    /// The events that the workflow sent, in order. Events that are one, because they have one key or are sent by
    /// several attempts of a step, are here once.
    pub events: Vec<TestSentEvent>,
    /// The events that came and that the run did not receive, in order.
    pub unreceived: Vec<TestEvent>,
    /// The tenant's store at the end of the run: the values by key.
    pub db: BTreeMap<String, Value>,
    /// The names of the steps that were compensated, in order.
    pub compensations: Vec<String>,
    /// The last value of each name that the workflow published.
    pub published: BTreeMap<String, Value>,
    /// The lines that the workflow logged.
    pub logs: Vec<TestLog>,
    /// The tags that the workflow set.
    pub tags: BTreeMap<String, String>,
    /// The virtual time from the start to the end of the run.
    pub elapsed: Duration,
}

impl<T> TestReport<T> {
    pub(super) fn new(result: Result<T, Failure>, mut host: TestHost) -> Self {
        let elapsed = Duration::from_millis(host.elapsed());
        let requests = std::mem::take(&mut host.effect::<Http>().requests);
        let children = child::testing::report(&mut host);
        let Events { sent, inbox, .. } = std::mem::take(host.effect());
        let db = host.effect::<Store>().values();
        TestReport {
            // If the host ended the run, it has the reason, which the workflow is not told.
            result: match host.unwound {
                Some(failure) => Err(failure),
                None => result,
            },
            steps: host.steps.into_iter().map(|row| row.step).collect(),
            requests,
            children,
            events: sent,
            unreceived: inbox.into_values().collect(),
            db,
            compensations: host.compensations,
            published: host.published.into_iter().map(|(name, value)| (name, parsed(&value))).collect(),
            logs: host.logs,
            tags: host.tags,
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

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("the SDK publishes JSON")
}
