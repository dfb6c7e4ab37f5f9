//! What `#[forge::workflow]` implements.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, WorkflowContext};

/// What is known of a workflow before any run of it. (Specification: "WorkflowInfo".)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowInfo {
    /// The name under which it is started.
    pub name: &'static str,
    /// Its version, at least 1.
    pub version: u32,
    /// How long a run may take, in wall-clock time.
    pub timeout: Duration,
    /// New runs do not take a deprecated version unless they ask for it.
    pub deprecated: bool,
}

/// A workflow. Written by [`#[forge::workflow]`](crate::workflow), listed in
/// [`forge::export!`](crate::export!).
pub trait ForgeWorkflow: 'static {
    /// Name, version, timeout and deprecation.
    const INFO: WorkflowInfo;

    /// What a run is started with.
    type Input: DeserializeOwned + 'static;

    /// What a run results in.
    type Output: Serialize + 'static;

    /// The workflow's body.
    fn run(ctx: WorkflowContext, input: Self::Input) -> LocalBoxFuture<'static, Result<Self::Output>>;
}

/// The `T` of what a workflow's function returns, whatever its `Result` is called.
#[doc(hidden)]
pub trait WorkflowResult {
    /// It.
    type Output;

    /// The same with the error as an [`Error`].
    fn into_result(self) -> Result<Self::Output>;
}

impl<T, E: Into<Error>> WorkflowResult for Result<T, E> {
    type Output = T;

    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}
