//! Tests of workflows with `cargo test`, without a component, a server or real waits.
//!
//! [`TestRun`] executes a workflow natively against a host in memory that behaves as the real one: it
//! records steps, retries them with doubling waits, runs compensations in reverse order of completion, and
//! rolls a run back when its timeout ends. Time is virtual: it stands still while code runs, and jumps to
//! the next completion when every branch of the workflow waits.
//!
//! ```
//! use forge::prelude::*;
//! use forge::testing::{TestResponse, TestRun};
//!
//! #[forge::workflow]
//! async fn order(ctx: &WorkflowContext, sku: String) -> Result<()> {
//!     ctx.step("reserve", || async {
//!         let url = format!("http://stock/{sku}");
//!         forge::http::post(url).send().await?.error_for_status()?.json::<String>()
//!     })
//!     .compensate(|id: String| async move {
//!         forge::http::delete(format!("http://stock/reservations/{id}")).send().await
//!     })
//!     .run()
//!     .await?;
//!     ctx.step("charge", || async { Ok(()) }).run().await
//! }
//!
//! let run = TestRun::new(OrderWorkflow)
//!     .http(|_| TestResponse::json(200, "r-1"))
//!     .fail_step("charge", "card declined")
//!     .run("chair");
//!
//! assert_eq!(run.failure().message, "card declined");
//! assert_eq!(run.compensations, ["reserve"]);
//! assert_eq!(run.requests[1].url, "http://stock/reservations/r-1");
//! ```
//!
//! [`TestRun::event`] sends events to the run, [`TestRun::child`] decides the outcome of the runs that it
//! starts, and the report has both: what it sent, and what became of its children.
//!
//! Three things differ from the real host. Nothing is replayed. Of the limits, only those of a step's result
//! (1 MiB), of a response (4 MiB), and of keys, values and transactions of the store apply. And `Uuid::new_v4()` is truly random; in a component it is
//! deterministic, as [`WorkflowContext::uuid`] is in both.
//!
//! [`WorkflowContext::uuid`]: crate::WorkflowContext::uuid

mod report;

use std::marker::PhantomData;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub use crate::child::testing::{ChildStatus, TestChild, TestOutcome};
pub use crate::event::testing::{TestEvent, TestSentEvent};
pub use crate::http::testing::{TestRequest, TestResponse};
pub use crate::test_host::{StepStatus, TestLog, TestStep};
pub use report::TestReport;

use crate::auth::AuthContext;
use crate::child::testing::Children;
use crate::db::testing::Store;
use crate::error::Failure;
use crate::event;
use crate::export::execute;
use crate::http::testing::Http;
use crate::log::HostLog;
use crate::test_host::{self, TestHost, json};
use crate::timestamp::millis;
use crate::workflow::ForgeWorkflow;

/// A builder of a run.
#[must_use = "nothing happens until `.run(input)`"]
pub struct TestRun<W> {
    workflow: PhantomData<W>,
    host: TestHost,
}

impl<W: ForgeWorkflow> TestRun<W> {
    /// Returns a run of this workflow that is started on 2025-01-01 by a caller without authentication.
    /// Its HTTP requests fail unless [`http`](Self::http) is called.
    pub fn new(_workflow: W) -> Self {
        TestRun { workflow: PhantomData, host: TestHost::new(W::INFO) }
    }

    /// Sets the caller that starts the run.
    pub fn auth(mut self, auth: AuthContext) -> Self {
        self.host.auth = auth;
        self
    }

    /// Sets the function that responds to the workflow's HTTP requests.
    pub fn http(mut self, respond: impl FnMut(&TestRequest) -> TestResponse + 'static) -> Self {
        self.host.effect::<Http>().respond = Some(Box::new(respond));
        self
    }

    /// Sends an event to the run: before it starts, or at the time that the event has. A run that waits for
    /// events which nobody sends times out.
    pub fn event(mut self, event: TestEvent) -> Self {
        event::testing::schedule(&mut self.host, event);
        self
    }

    /// Sets the function that decides the outcome of attached children of this workflow. Without one, the
    /// host refuses to start them. Detached runs need none: they do not end.
    pub fn child(mut self, workflow: &str, outcome: impl FnMut(&TestChild) -> TestOutcome + 'static) -> Self {
        self.host.effect::<Children>().answers.insert(workflow.to_owned(), Box::new(outcome));
        self
    }

    /// Stores an entry in the tenant's store before the run starts. [`TestReport::db`] is the store at its end.
    pub fn db_entry(mut self, key: &str, value: impl Serialize) -> Self {
        self.host.effect::<Store>().seed(key, json(value));
        self
    }

    /// Makes the first `transactions` of the tenant's store fail without changing it.
    pub fn fail_db(mut self, transactions: u32, message: &str) -> Self {
        self.host.effect::<Store>().inject(transactions, Failure::new(Failure::ERROR, message));
        self
    }

    /// Sets the time when the run is started.
    ///
    /// # Panics
    /// If the time is before 1970.
    pub fn started_at(mut self, time: DateTime<Utc>) -> Self {
        self.host.start_at(time.timestamp_millis().try_into().expect("a run is started after 1970"));
        self
    }

    /// Sets the run's id.
    pub fn run_id(mut self, id: Uuid) -> Self {
        self.host.run_id = id;
        self
    }

    /// Sets the seed of the run's randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.host.seed = (seed, 0);
        self
    }

    /// Records a step as completed with this result before the run starts, as after a restart.
    pub fn complete_step(mut self, name: &str, result: impl Serialize) -> Self {
        self.host.complete_before(name, json(result));
        self
    }

    /// Makes every attempt of a step fail without calling its code.
    pub fn fail_step(self, name: &str, message: &str) -> Self {
        self.fail_attempts(name, u32::MAX, message)
    }

    /// Makes the first `attempts` of a step fail without calling its code. The step's retry policy applies.
    pub fn fail_attempts(mut self, name: &str, attempts: u32, message: &str) -> Self {
        self.host.inject(name, attempts, Failure::new(Failure::ERROR, message));
        self
    }

    /// Cancels the run when this many steps have completed.
    pub fn cancel_after(mut self, completions: u64) -> Self {
        self.host.cancel_after = Some(completions);
        self
    }

    /// Cancels the run when this time has elapsed since its start.
    pub fn cancel_at(mut self, elapsed: Duration) -> Self {
        self.host.cancel_at = Some(millis(elapsed));
        self
    }

    /// Executes the run to its end.
    ///
    /// # Panics
    /// If the workflow panics, or if it waits for a future that no host call completes.
    pub fn run(self, input: impl Serialize) -> TestReport<W::Output> {
        let input = json(input);
        let log = HostLog::default();
        let run = || tracing::subscriber::with_default(log, || execute::<W>(&input));
        let (outcome, host) = test_host::install(self.host, run);
        TestReport::new(outcome.map(|(output, _)| output), host)
    }
}
