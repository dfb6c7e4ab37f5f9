//! The handle of an attached child.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{cancel_run, host};
use crate::call::Call;
use crate::error::{Error, Failure, Result, short_type_name};
use crate::event::SendEvent;

/// An attached child that was started. Dropping the handle cancels the child, unless it has ended.
///
/// ```
/// use forge::prelude::*;
///
/// #[forge::workflow]
/// async fn reports(ctx: &WorkflowContext, months: Vec<String>) -> Result<u32> {
///     let mut jobs = Vec::new();
///     for month in &months {
///         jobs.push(ctx.child("report", month).start().await?);
///     }
///     let pages = futures::future::try_join_all(jobs.iter().map(|job| job.result::<u32>())).await?;
///     Ok(pages.iter().sum())
/// }
///
/// use forge::testing::{TestOutcome, TestRun};
///
/// let run = TestRun::new(ReportsWorkflow)
///     .child("report", |_| TestOutcome::completed(21).after(Duration::from_secs(60)))
///     .run(["May", "June"]);
/// assert_eq!(*run.output(), 42);
/// assert_eq!(run.elapsed, Duration::from_secs(60));
/// ```
#[derive(Debug)]
#[must_use = "a child is cancelled when its handle is dropped; `start_workflow` starts a run that goes on"]
pub struct Child {
    id: Uuid,
    workflow: String,
    /// The end of the child. It has the call, so it cancels the child if it is dropped before.
    end: Shared<LocalBoxFuture<'static, Result<Rc<str>, Failure>>>,
}

impl Child {
    pub(super) fn new(id: Uuid, workflow: String, call: u64) -> Self {
        let under_way = Call::new(call);
        let end = async move {
            under_way.await;
            host::outcome(call).map(Rc::from).map_err(Failure::from)
        };
        Child { id, workflow, end: end.boxed_local().shared() }
    }

    /// Returns the id of the child's run.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Waits for the end of the child and returns its output. Dropping this future does not cancel the child.
    ///
    /// # Errors
    /// Returns a [`Failure`] of kind `child` if the child failed or was cancelled; [`Failure::child`] returns
    /// its run id, kind and message. Other kinds mean that the child was not started, or (`invalid-output`)
    /// that its output does not deserialise as `T`.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T> {
        let output = self.end.clone().await.map_err(Error::new)?;
        serde_json::from_str(&output).map_err(|error| {
            let (id, workflow, expected) = (self.id, &self.workflow, short_type_name::<T>());
            let message = format!("the output of run {id} of `{workflow}` is not a `{expected}`: {error}");
            Failure::invalid_output(message).into()
        })
    }

    /// Cancels the child. It is rolled back, and [`result`](Self::result) then returns a failure of kind
    /// `child`. A child that has ended stays as it is.
    ///
    /// # Errors
    /// Returns a [`Failure`] if the host refuses the request.
    pub async fn cancel(&self) -> Result<()> {
        cancel_run(self.id).await
    }

    /// Sends an event to the child. See [`WorkflowContext::send_event`](crate::WorkflowContext::send_event).
    pub fn send_event(&self, name: impl Into<String>, payload: impl Serialize) -> SendEvent {
        SendEvent::new(self.id, name.into(), &payload)
    }
}
