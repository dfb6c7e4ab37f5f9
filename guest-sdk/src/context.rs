//! The context that a workflow gets as its first argument.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::auth::AuthContext;
use crate::child::{self, ChildRunner, StartWorkflow};
use crate::db::Db;
use crate::error::{Error, Failure, Result};
use crate::event::{self, EventReceiver, SendEvent};
use crate::host;
use crate::http::HttpClient;
use crate::step::StepRunner;
use crate::timestamp::from_timestamp;
use crate::{low_level, publish, random, saga, scope, time};

/// The run that a workflow executes: its identity, its steps, its time and its effects. (Specification:
/// "WorkflowContext".)
///
/// A clone is cheap. A compensation handler that needs the context owns one:
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
    /// The run's id, unique and ordered by time.
    pub run_id: Uuid,
    /// The workflow's registered name.
    pub workflow_name: String,
    /// The workflow's version.
    pub version: u32,
    /// The time when the run was started.
    pub started_at: DateTime<Utc>,
    /// The caller that started the run.
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
            started_at: from_timestamp(info.started_at),
            auth: serde_json::from_str(&info.auth)?,
            db: Db::default(),
            http: HttpClient::default(),
        })
    }

    /// Returns the current time. It is journaled, so a replay gets the same time. A further attempt of a step
    /// gets a later time; read the time before the step if a request in it contains the time.
    ///
    /// The sandbox has no other clock.
    pub fn workflow_time(&self) -> DateTime<Utc> {
        time::workflow_time()
    }

    /// Returns the time since the run was started, by [`workflow_time`](Self::workflow_time). Zero if the
    /// host's clock was set back since.
    pub fn elapsed(&self) -> Duration {
        (self.workflow_time() - self.started_at).to_std().unwrap_or_default()
    }

    /// Waits for `duration` with a durable timer. See [`forge::sleep`](crate::sleep).
    pub async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    /// Returns a random (version 4) UUID, the same on every replay, and in every attempt of a step: a further
    /// attempt sends the same requests, with the same idempotency keys.
    pub fn uuid(&self) -> Uuid {
        random::uuid()
    }

    /// Returns a random number, the same on every replay and in every attempt of a step.
    pub fn random(&self) -> u64 {
        random::u64()
    }

    /// Returns a random (version 4) UUID, the same on every replay and another one in each attempt of a step.
    pub fn fresh_uuid(&self) -> Uuid {
        random::fresh_uuid()
    }

    /// Returns a random number, the same on every replay and another one in each attempt of a step.
    pub fn fresh_random(&self) -> u64 {
        random::fresh_u64()
    }

    /// Returns the HTTP client. [`forge::http`](crate::http) has the same methods as free functions, for
    /// helpers without a context.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Returns the tenant's store: JSON documents under keys, which all runs of the tenant share. See [`Db`].
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Sets a tag of the run, by which people and programs find it: `forge runs --tag order=1041`.
    ///
    /// The name has 1 to 64 characters of A-Z, a-z, 0-9, `_`, `.` and `-`, the value at most 255 bytes
    /// without control characters. A run has at most 16 tags, with those of its start; a second value of a
    /// name replaces the first.
    ///
    /// The tag is saved with the next changes of the run, for example when a step ends. A replay does not set
    /// it again.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// #[forge::workflow]
    /// async fn ship(ctx: &WorkflowContext, order: u64) -> Result<()> {
    ///     ctx.tag("order", order)
    /// }
    ///
    /// let run = forge::testing::TestRun::new(ShipWorkflow).run(1041);
    /// assert_eq!(run.tags["order"], "1041");
    /// ```
    ///
    /// # Errors
    /// Returns a [`Failure`](crate::Failure) of kind `invalid-input` if the name or the value is not allowed, and of
    /// kind `limit` if the run has 16 other tags.
    pub fn tag(&self, name: &str, value: impl Display) -> Result<()> {
        host::run::tag(name, &value.to_string()).map_err(|failure| Error::new(Failure::from(failure)))
    }

    /// Returns a receiver of events with this name, which other runs of the tenant and clients of the API
    /// send to the run. See [`EventReceiver`]. [`forge::event`](crate::event()) does the same without a
    /// context.
    ///
    /// An event that came before the run waits for it is kept, in the order of its name.
    pub fn event(&self, name: impl Into<String>) -> EventReceiver {
        event::event(name)
    }

    /// Sends an event to a run of the same tenant, with `.await`. A run may send events to itself. See
    /// [`SendEvent`]. [`forge::send_event`](crate::send_event) does the same without a context.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// #[forge::workflow]
    /// async fn approve(ctx: &WorkflowContext, order: Uuid) -> Result<()> {
    ///     ctx.send_event(order, "approval", json!({ "by": "ada" })).await?;
    ///     ctx.send_event(order, "note", "approved by Ada").key("note-1").await
    /// }
    ///
    /// let run = forge::testing::TestRun::new(ApproveWorkflow).run(Uuid::nil());
    /// assert_eq!(run.events[0].json::<serde_json::Value>(), json!({ "by": "ada" }));
    /// assert_eq!(run.events[1].key.as_deref(), Some("note-1"));
    /// ```
    pub fn send_event(&self, run_id: Uuid, name: impl Into<String>, payload: impl Serialize) -> SendEvent {
        event::send_event(run_id, name, payload)
    }

    /// Returns a run of a workflow as an attached child, whose output this run gets. See [`ChildRunner`].
    /// [`forge::child`](crate::child()) does the same without a context.
    ///
    /// If this run fails, ends or drops the child's handle, the child is cancelled and rolled back. Inside a
    /// step, a further attempt starts another child.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// #[forge::workflow]
    /// async fn order(ctx: &WorkflowContext, sku: String) -> Result<String> {
    ///     let receipt: String = ctx.child("ship_order", &sku).timeout(Duration::from_secs(3_600)).run().await?;
    ///     let job = ctx.child("report", &sku).start().await?;
    ///     job.send_event("receipt", &receipt).await?;
    ///     job.result().await
    /// }
    ///
    /// use forge::testing::{TestOutcome, TestRun};
    ///
    /// let run = TestRun::new(OrderWorkflow)
    ///     .child("ship_order", |_| TestOutcome::completed("r-1"))
    ///     .child("report", |_| TestOutcome::completed("done").after(Duration::from_secs(1)))
    ///     .run("chair");
    /// assert_eq!(run.output(), "done");
    /// assert_eq!(run.events[0].run_id, run.children[1].run_id);
    /// ```
    pub fn child(&self, workflow: impl Into<String>, input: impl Serialize) -> ChildRunner {
        child::child(workflow, input)
    }

    /// Starts a run that goes on whatever happens to this one, with `.await`, which returns its id. See
    /// [`StartWorkflow`]. [`forge::start_workflow`](crate::start_workflow) does the same without a context.
    pub fn start_workflow(&self, workflow: impl Into<String>, input: impl Serialize) -> StartWorkflow {
        child::start_workflow(workflow, input)
    }

    /// Cancels a run that this run started: a handler of a step that started a run may undo it so. The run is
    /// rolled back; this does not wait for it. A run that has ended stays as it is.
    ///
    /// # Errors
    /// Returns a [`Failure`](crate::Failure) if this run has not started that one.
    pub async fn cancel_run(&self, run_id: Uuid) -> Result<()> {
        child::cancel_run(run_id).await
    }

    /// Publishes a value under a name, in place of the last one: how far the run is, what it has found. The record of the run
    /// has the last value of each name; the API, `forge runs show` and the dashboard show it, also while the run sleeps and
    /// after its end. [`forge::publish`](crate::publish()) does the same without a context.
    ///
    /// Publishing never waits and never fails the run. A value is saved with the run's next change, and a run that computes
    /// saves it meanwhile. A replay publishes nothing again; code that runs again after a crash may.
    ///
    /// A run may publish 16 names and 64 KiB in all, unless the host is configured otherwise. A value that is not published,
    /// because it is beyond a limit or cannot be written as JSON, is a line of the run's log, at warn.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// #[forge::workflow]
    /// async fn import(ctx: &WorkflowContext, pages: u32) -> Result<()> {
    ///     for page in 1..=pages {
    ///         ctx.step(format!("page_{page}"), || async { Ok(()) }).run().await?;
    ///         ctx.publish("progress", &json!({ "done": page, "of": pages }));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let run = forge::testing::TestRun::new(ImportWorkflow).run(3);
    /// assert_eq!(run.published["progress"], json!({ "done": 3, "of": 3 }));
    /// ```
    pub fn publish<T: Serialize + ?Sized>(&self, name: &str, value: &T) {
        publish::publish(name, value);
    }

    /// Returns a step that runs `f`. Once the step's result is in the journal, `f` is not called again.
    ///
    /// `f` may borrow from the workflow's body. The journal keeps its result as JSON, and a replay reads
    /// it from there: serialising and deserialising a `T` must give an equal value. The step returns the value
    /// that was read from the JSON, live, too. If that differs from what `f` returned (`NaN`, `Some(None)`), the
    /// step fails with kind `invalid-output`.
    ///
    /// If the run already used the name, the step gets a number: `charge`, `charge#2`, ...
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

    /// Returns `true` if the step with this name completed, in this execution or before a restart.
    pub fn is_step_completed(&self, name: &str) -> bool {
        low_level::is_completed(name)
    }

    /// Returns the recorded result of a completed step. `None` if the step has not completed, or if its
    /// result does not deserialise as `T`.
    pub fn get_step_result<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        low_level::result(name)
    }

    /// Marks a step as running. HTTP calls, timers and randomness belong to it until
    /// [`record_step_complete`] or [`record_step_failure`] is called with the same name. Parallel branches
    /// that use this API should each run in a fluent step.
    ///
    /// [`record_step_complete`]: Self::record_step_complete
    /// [`record_step_failure`]: Self::record_step_failure
    pub fn record_step_start(&self, name: &str) {
        low_level::start(name);
    }

    /// Marks a step as completed and records its result.
    pub fn record_step_complete(&self, name: &str, result: serde_json::Value) {
        low_level::complete(name, &result);
    }

    /// Marks a step as failed. The workflow continues; to fail it, return an error.
    pub fn record_step_failure(&self, name: &str, error: impl Display) {
        low_level::fail(name, &error.to_string());
    }

    /// Runs the compensations of the steps that completed so far, in reverse order of completion, and
    /// unregisters them.
    ///
    /// When a workflow returns an error, its compensations run without this call. If this future is
    /// dropped, the compensations continue: the next call waits for them, and so does the end of the
    /// workflow.
    ///
    /// # Errors
    /// Returns the failure of the first handler that has no attempt left; the other handlers run
    /// nevertheless. Returns a failure if it is called inside a compensation.
    pub async fn run_compensation(&self) -> Result<()> {
        if scope::is_compensating() {
            // The compensation would wait for itself.
            let message = "a compensation cannot call run_compensation: compensations are under way";
            return Err(Error::new(Failure::permanent(message)));
        }
        saga::run_handlers().await.map_err(Error::new)
    }
}
