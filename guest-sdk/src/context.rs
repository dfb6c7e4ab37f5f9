//! The context that a workflow is given.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::auth::AuthContext;
use crate::db::Db;
use crate::error::{Error, Failure, Result};
use crate::host;
use crate::http::HttpClient;
use crate::step::StepRunner;
use crate::{manual, random, saga, scope, time};

/// A run, as its workflow sees it. (Specification: "WorkflowContext".)
///
/// It is cheap to clone, so that a compensation handler can own one:
///
/// ```
/// # use forge::prelude::*;
/// #[forge::workflow]
/// async fn order(ctx: &WorkflowContext, _input: ()) -> Result<()> {
///     let in_handler = ctx.clone();
///     ctx.step("reserve", || async { Ok("r-17".to_string()) })
///         .compensate(move |id: String| {
///             let ctx = in_handler.clone();
///             async move { ctx.http().delete(format!("http://stock/{id}")).send().await?.error_for_status() }
///         })
///         .run()
///         .await?;
///     Ok(())
/// }
/// # assert!(forge::testing::TestRun::new(OrderWorkflow).run(()).result.is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct WorkflowContext {
    /// The run's unique, time-ordered id.
    pub run_id: Uuid,
    /// The workflow's registered name.
    pub workflow_name: String,
    /// The workflow's version.
    pub version: u32,
    /// When the run was started.
    pub started_at: DateTime<Utc>,
    /// Who started it.
    pub auth: AuthContext,
    db: Db,
    http: HttpClient,
}

impl WorkflowContext {
    pub(crate) fn new(info: host::run::RunInfo) -> Result<Self> {
        Ok(WorkflowContext {
            run_id: Uuid::parse_str(&info.run_id)?,
            workflow_name: info.workflow,
            version: info.version,
            started_at: time::from_timestamp(info.started_at),
            auth: serde_json::from_str(&info.auth)?,
            db: Db::new(),
            http: HttpClient::new(),
        })
    }

    /// The current time, the same on every replay: the first execution's answer is journaled.
    ///
    /// There is no other clock in the sandbox.
    pub fn workflow_time(&self) -> DateTime<Utc> {
        time::workflow_time()
    }

    /// How long ago the run was started, by [`workflow_time`](Self::workflow_time).
    pub fn elapsed(&self) -> Duration {
        (self.workflow_time() - self.started_at).to_std().unwrap_or_default()
    }

    /// Waits, durably. See [`forge::sleep`](crate::sleep).
    pub async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    /// A random (version 4) UUID, the same on every replay.
    pub fn uuid(&self) -> Uuid {
        random::uuid()
    }

    /// A random number, the same on every replay.
    pub fn random(&self) -> u64 {
        random::u64()
    }

    /// The HTTP client. [`forge::http`](crate::http) has the same as free functions, for helpers
    /// that are given no context.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The tenant's store. See [`Db`].
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Makes a step of `f`: its result is recorded, and once it is, `f` is not called again.
    ///
    /// `f` may borrow from the workflow's body. Its result goes through JSON into the journal, and
    /// a replay gets it from there, so `T` must come back from its own JSON as it was.
    ///
    /// A name that the run used before gets a number: `charge`, `charge#2`, ...
    ///
    /// See [`StepRunner`] for timeouts, retries, compensation and optional steps.
    pub fn step<'a, F, Fut, T>(&'a self, name: impl Into<String>, f: F) -> StepRunner<'a, F, T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T>>,
        T: Serialize + DeserializeOwned,
    {
        StepRunner::new(name.into(), f)
    }

    /// Whether the step with this name completed, in this execution or in one before a restart.
    pub fn is_step_completed(&self, name: &str) -> bool {
        manual::is_completed(name)
    }

    /// The recorded result of a completed step. None if it has none, or one that is no `T`.
    pub fn get_step_result<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        manual::result(name)
    }

    /// Marks a step as running. What happens until [`record_step_complete`] or
    /// [`record_step_failure`] with the same name belongs to it: its HTTP calls, its timers, its
    /// randomness. Each parallel branch that does this should be a fluent step of its own.
    ///
    /// [`record_step_complete`]: Self::record_step_complete
    /// [`record_step_failure`]: Self::record_step_failure
    pub fn record_step_start(&self, name: &str) {
        manual::start(name);
    }

    /// Marks a step as completed with this result.
    pub fn record_step_complete(&self, name: &str, result: serde_json::Value) {
        manual::complete(name, &result);
    }

    /// Marks a step as failed. The workflow goes on: return an error to fail it.
    pub fn record_step_failure(&self, name: &str, error: impl Display) {
        manual::fail(name, &error.to_string());
    }

    /// Runs the compensations of the steps completed so far, the last one first, and forgets them.
    ///
    /// A workflow that returns an error need not call this: its compensations run anyway. They are
    /// carried out to their end also if this future is dropped: whoever calls it next waits for
    /// them, and the workflow does not end before them.
    ///
    /// # Errors
    /// The failure of the first handler that failed for good: the others have run all the same. A
    /// failure if this is called inside of a compensation.
    pub async fn run_compensation(&self) -> Result<()> {
        if scope::is_compensating() {
            // It would wait for itself.
            let message = "compensations are under way: a compensation cannot run them";
            return Err(Error::new(Failure::permanent(message)));
        }
        saga::run_handlers().await.map_err(Error::new)
    }
}
