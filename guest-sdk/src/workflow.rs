//! The trait that `#[forge::workflow]` implements.

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::WorkflowContext;
use crate::error::{Error, Result};
use crate::workflow_info::WorkflowInfo;

/// A workflow. [`#[forge::workflow]`](macro@crate::workflow) implements this trait, and
/// [`forge::export!`](crate::export!) exports its implementations.
pub trait ForgeWorkflow: 'static {
    /// The name, version, timeout and deprecation.
    const INFO: WorkflowInfo;

    /// The input of a run.
    type Input: DeserializeOwned + 'static;

    /// The output of a run.
    type Output: Serialize + 'static;

    /// Returns the JSON Schema of the input. Returns `None` if its type derives none.
    fn input_schema() -> Option<String> {
        None
    }

    /// Runs the workflow's body.
    fn run(ctx: WorkflowContext, input: Self::Input) -> LocalBoxFuture<'static, Result<Self::Output>>;
}

/// A type that a workflow's function may return: any `Result` whose error converts to [`Error`].
#[doc(hidden)]
pub trait WorkflowResult {
    /// The type of the `Ok` variant.
    type Output;

    /// Converts the error to an [`Error`].
    fn into_result(self) -> Result<Self::Output>;
}

impl<T, E: Into<Error>> WorkflowResult for Result<T, E> {
    type Output = T;

    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}
