//! Starting a run.

use std::future::IntoFuture;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Child, host};
use crate::bindings::forge::workflow::children::Request;
use crate::error::{Error, Failure, Result};
use crate::timestamp::millis;
use crate::{call, runtime, scope};

/// A request, or why its input has no JSON.
fn request(workflow: String, input: &impl Serialize) -> (Request, Result<(), String>) {
    let (input, written) = match serde_json::to_string(input) {
        Ok(input) => (input, Ok(())),
        Err(error) => (String::new(), Err(error.to_string())),
    };
    (Request { workflow, input, version: None, timeout: None }, written)
}

fn check(request: &Request, written: Result<(), String>) -> Result<()> {
    written.map_err(|error| {
        let workflow = &request.workflow;
        Failure::permanent(format!("the input for a run of `{workflow}` cannot be written as JSON: {error}"))
            .into()
    })
}

/// An attached child that is not started yet. [`run`](ChildRunner::run) starts it and waits for its end;
/// [`start`](ChildRunner::start) starts it and returns its handle.
#[derive(Debug)]
#[must_use = "no child is started until `.run().await` or `.start().await`"]
pub struct ChildRunner {
    request: Request,
    written: Result<(), String>,
}

impl ChildRunner {
    pub(super) fn new(workflow: String, input: &impl Serialize) -> Self {
        let (request, written) = request(workflow, input);
        ChildRunner { request, written }
    }

    /// Sets the workflow's version. Without it, the child has the version that a start by a client gets: the
    /// activated one, or the highest that is not deprecated.
    pub fn version(mut self, version: u32) -> Self {
        self.request.version = Some(version);
        self
    }

    /// Sets the longest duration of the child's run, after which it fails with kind `timeout` and is rolled
    /// back. The timeout of its workflow applies without it, and if it is longer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(millis(timeout));
        self
    }

    /// Starts the child and waits for its output. If this future is dropped, the child is cancelled.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`Child::result`].
    pub async fn run<T: DeserializeOwned>(self) -> Result<T> {
        self.start().await?.result().await
    }

    /// Starts the child and returns its handle, without waiting for the child.
    ///
    /// The host may still refuse the child, because there is no such workflow or version, or the run has
    /// reached a limit. [`Child::result`] then fails.
    ///
    /// # Errors
    /// Returns a [`Failure`] if the input cannot be written as JSON.
    pub async fn start(self) -> Result<Child> {
        let ChildRunner { request, written } = self;
        check(&request, written)?;
        runtime::stop_if_unwinding().await;
        let started = host::start(scope::current(), &request);
        Ok(Child::new(Uuid::parse_str(&started.run_id)?, request.workflow, started.call))
    }
}

/// A detached child, which `.await` starts.
#[derive(Debug)]
#[must_use = "no run is started until `.await`"]
pub struct StartWorkflow {
    request: Request,
    written: Result<(), String>,
}

impl StartWorkflow {
    pub(super) fn new(workflow: String, input: &impl Serialize) -> Self {
        let (request, written) = request(workflow, input);
        StartWorkflow { request, written }
    }

    /// Sets the workflow's version. Without it, the run has the version that a start by a client gets.
    pub fn version(mut self, version: u32) -> Self {
        self.request.version = Some(version);
        self
    }

    /// Sets the longest duration of the run. The timeout of its workflow applies without it, and if it is
    /// longer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(millis(timeout));
        self
    }

    /// Starts the run and returns its id once the start is durable. `.await` does the same.
    ///
    /// # Errors
    /// Returns a [`Failure`] if the run was not started: there is no such workflow or version, this run has
    /// reached a limit, or the input is invalid.
    pub async fn start(self) -> Result<Uuid> {
        let StartWorkflow { request, written } = self;
        check(&request, written)?;
        let call = call::perform(|scope| host::detach(scope, &request)).await;
        let run_id = host::detached(call).map_err(|failure| Error::new(Failure::from(failure)))?;
        Ok(Uuid::parse_str(&run_id)?)
    }
}

/// Makes `.await` the same as `.start().await`.
impl IntoFuture for StartWorkflow {
    type Output = Result<Uuid>;
    type IntoFuture = LocalBoxFuture<'static, Result<Uuid>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}
