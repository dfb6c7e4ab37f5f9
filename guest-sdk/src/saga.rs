//! Compensation: registered when a step completes, run from the last completed step to the first.

use std::future::Future;

use futures::future::{FutureExt as _, LocalBoxFuture, Shared};
use serde::de::DeserializeOwned;

use crate::attempt::{Attempt, Kind};
use crate::call::Call;
use crate::error::{Failure, Result, short_type_name};
use crate::host::compensate;
use crate::host::step::{Entry, Verdict};
use crate::runtime::{self, Phase};

/// What the author gave to `.compensate(..)`, ready to take the step's result as JSON.
pub(crate) type Compensation = Box<dyn Fn(&str) -> Result<LocalBoxFuture<'static, Result<()>>>>;

/// Erases the types of a handler. The result is deserialised afresh for each attempt: a handler
/// may consume it, and after a restart there is nothing but its JSON.
pub(crate) fn erase<T, C, Fut, O>(step: &str, handler: C) -> Compensation
where
    T: DeserializeOwned,
    C: Fn(T) -> Fut + 'static,
    Fut: Future<Output = Result<O>> + 'static,
{
    let step = step.to_owned();
    Box::new(move |json| {
        let result = decode(&step, json)?;
        let future = handler(result);
        Ok(Box::pin(async move { future.await.map(drop) }))
    })
}

/// Turns the recorded result of a step back into what its code returned.
pub(crate) fn decode<T: DeserializeOwned>(step: &str, json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::invalid_output(format!(
            "the recorded result of step `{step}` is no `{}`: {error}; a change of a step's result type \
             needs a new version of the workflow",
            short_type_name::<T>(),
        ))
    })
}

/// A registered compensation.
pub(crate) struct Handler {
    /// The completed step.
    pub(crate) step: u64,
    /// Its result.
    pub(crate) result: String,
    pub(crate) compensation: Compensation,
}

impl Handler {
    /// Runs it until it succeeds or fails for good.
    async fn run(&self) -> Result<(), Failure> {
        let mut entry = compensate::begin(self.step);
        loop {
            let call = match entry {
                Entry::Completed(_) => return Ok(()),
                Entry::Failed(failure) => return Err(failure.into()),
                Entry::Parked(call) => call,
                Entry::Execute(scope) => match self.attempt(scope).await {
                    None => return Ok(()),
                    Some(Verdict::Final(failure)) => return Err(failure.into()),
                    Some(Verdict::Retry(call)) => call,
                },
            };
            Call::new(call).await;
            entry = compensate::resume(call);
        }
    }

    /// Runs one attempt. None if it succeeded, and the host's verdict if not.
    async fn attempt(&self, scope: u64) -> Option<Verdict> {
        let attempt = Attempt::new(Kind::Compensation, scope);
        let outcome = attempt.run(async { (self.compensation)(&self.result)?.await }).await;
        attempt.end();
        match outcome {
            Ok(()) => {
                compensate::complete(scope);
                None
            }
            Err(error) => Some(compensate::fail(scope, &Failure::of(&error).into())),
        }
    }
}

/// Compensations under way, for all who wait for them.
pub(crate) type Rollback = Shared<LocalBoxFuture<'static, Result<(), Failure>>>;

/// Runs all registered compensations, or waits for those under way.
pub(crate) async fn run_handlers() -> Result<(), Failure> {
    let outcome = runtime::rollback(|| run_all().boxed_local().shared()).await;
    runtime::rollback_ended();
    outcome
}

/// Waits for the compensations under way, which nobody may wait for any more: a workflow does not end before them.
pub(crate) async fn finish() {
    if let Some(rollback) = runtime::rollback_under_way() {
        // Whoever began them has been told, or did not want to know.
        let _ = rollback.await;
    }
}

/// Forgets the compensations under way when the run ends, however it does: what they hold must be gone before the
/// thread's variables are.
pub(crate) struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        runtime::set_phase(Phase::Unwinding);
        runtime::forget_rollback();
    }
}

/// Runs all registered compensations, the last completed step's first. One that fails does not
/// stop the others; the first failure is the result.
async fn run_all() -> Result<(), Failure> {
    let mut outcome = Ok(());
    while let Some((order, handler)) = runtime::last_handler() {
        runtime::checkpoint().await;
        let result = handler.run().await;
        runtime::unregister(order);
        outcome = outcome.and(result);
    }
    outcome
}
