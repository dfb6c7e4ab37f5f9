//! The compensation of one step: its handler, and the attempts of it.

use std::future::Future;

use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use crate::attempt::{Attempt, Kind};
use crate::call::Call;
use crate::error::{Failure, Result, short_type_name};
use crate::host::compensate;
use crate::host::step::{Entry, Verdict};
use crate::runtime;
use crate::streams::Place;

/// The closure that the author passed to `.compensate(..)`, behind a function that takes the step's result
/// as JSON.
pub(crate) type Compensation = Box<dyn Fn(&str) -> Result<LocalBoxFuture<'static, Result<()>>>>;

/// Erases the types of a handler. Each attempt deserialises the result again, because the handler takes it
/// by value.
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

/// Deserialises the recorded result of a step.
pub(crate) fn decode<T: DeserializeOwned>(step: &str, json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::invalid_output(format!(
            "the recorded result of step `{step}` is not a `{}`: {error}; if the type of a step's result \
             changes, raise the workflow's #[version]",
            short_type_name::<T>(),
        ))
    })
}

/// A registered compensation.
pub(crate) struct Handler {
    /// The id of the completed step.
    pub(crate) step: u64,
    /// The place of the step.
    pub(crate) place: Place,
    /// The step's result as JSON.
    pub(crate) result: String,
    pub(crate) compensation: Compensation,
}

impl Handler {
    /// Runs the compensation until it succeeds or no attempt is left.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
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

    /// Runs one attempt. Returns `None` if it succeeded, otherwise the host's verdict.
    async fn attempt(&self, scope: u64) -> Option<Verdict> {
        let attempt =
            Attempt::new(Kind::Compensation, scope, Place::compensation(runtime::derive_stream(self.place)));
        let outcome = attempt.run(async { (self.compensation)(&self.result)?.await }).await;
        attempt.end();
        match outcome {
            Ok(()) => {
                compensate::complete(scope);
                None
            }
            Err(error) => Some(compensate::fail(scope, &Failure::from_error(&error).into())),
        }
    }
}
