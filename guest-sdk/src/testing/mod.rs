//! Testing workflows with `cargo test`: no component, no server, no waiting.
//!
//! [`TestRun`] executes a workflow natively against a host in memory that behaves as the real one
//! does: steps are recorded and retried with doubling waits, compensations run in reverse order of
//! completion, a run that takes longer than its timeout is rolled back. Time is virtual: it stands
//! still while code runs, and jumps when everything waits.
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
//! What differs from the real host: nothing is replayed, and `Uuid::new_v4()` is as random as it is
//! anywhere else. In a component it is deterministic, as [`WorkflowContext::uuid`] is in both.
//!
//! [`WorkflowContext::uuid`]: crate::WorkflowContext::uuid

mod exchange;
pub(crate) mod host;
mod report;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub use exchange::{TestRequest, TestResponse};
pub use report::{StepStatus, TestLog, TestReport, TestStep};

use crate::auth::AuthContext;
use crate::error::Failure;
use crate::export::execute;
use crate::log::HostLog;
use crate::time::millis;
use crate::workflow::ForgeWorkflow;
use host::TestHost;

/// A run being set up.
#[must_use = "nothing happens until `.run(input)`"]
pub struct TestRun<W> {
    workflow: std::marker::PhantomData<W>,
    host: TestHost,
}

impl<W: ForgeWorkflow> TestRun<W> {
    /// A run of this workflow, started on 2025-01-01 by nobody, with no one to answer its requests.
    pub fn new(_workflow: W) -> Self {
        TestRun { workflow: std::marker::PhantomData, host: TestHost::new(W::INFO) }
    }

    /// Who started it.
    pub fn auth(mut self, auth: AuthContext) -> Self {
        self.host.auth = auth;
        self
    }

    /// When it was started.
    pub fn started_at(mut self, time: DateTime<Utc>) -> Self {
        self.host.start_at(u64::try_from(time.timestamp_millis()).unwrap_or_default());
        self
    }

    /// Its id.
    pub fn run_id(mut self, id: Uuid) -> Self {
        self.host.run_id = id;
        self
    }

    /// The seed of its randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.host.seed = (seed, 0);
        self
    }

    /// Answers its HTTP requests.
    pub fn http(mut self, answer: impl FnMut(&TestRequest) -> TestResponse + 'static) -> Self {
        self.host.answer = Some(Box::new(answer));
        self
    }

    /// Pretends that this step completed with this result before the run was interrupted.
    pub fn complete_step(mut self, name: &str, result: impl Serialize) -> Self {
        self.host.complete_before(name, json(result));
        self
    }

    /// Makes this step fail for good, without calling its code.
    pub fn fail_step(self, name: &str, message: &str) -> Self {
        self.fail_attempts(name, u32::MAX, message)
    }

    /// Makes the first `attempts` of this step fail without calling its code. Its retry policy
    /// decides what comes of it.
    pub fn fail_attempts(mut self, name: &str, attempts: u32, message: &str) -> Self {
        self.host.inject(name, attempts, Failure::new(Failure::ERROR, message));
        self
    }

    /// Cancels the run when it has completed this many steps.
    pub fn cancel_after(mut self, completions: u64) -> Self {
        self.host.cancel_after = Some(completions);
        self
    }

    /// Cancels the run when it has taken this long.
    pub fn cancel_at(mut self, elapsed: Duration) -> Self {
        self.host.cancel_at = Some(millis(elapsed));
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If the workflow panics, or if it waits for something that no host call will ever end.
    pub fn run(self, input: impl Serialize) -> TestReport<W::Output> {
        let input = json(input).to_string();
        let log = HostLog::default();
        let run = || tracing::subscriber::with_default(log, || execute::<W>(&input));
        let (outcome, host) = crate::host::install(self.host, run);
        TestReport::new(outcome.map(|(output, _)| output), host)
    }
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("inputs and results of steps can be written as JSON")
}
