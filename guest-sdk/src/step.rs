//! The fluent step API.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::{Attempt, Kind};
use crate::call::Call;
use crate::compensation::{self, Compensation, Handler};
use crate::error::{Error, Failure, Result, short_type_name};
use crate::host::step::{self, Completed, Entry, Options, Receipt, Verdict};
use crate::retry::RetryPolicy;
use crate::round_trip::{Lost, round_trip};
use crate::streams::Place;
use crate::time::race;
use crate::timestamp::millis;
use crate::{runtime, saga, scope, time};

/// A builder of a step, returned by [`WorkflowContext::step`]. [`run`] runs the step.
///
/// ```
/// use forge::prelude::*;
///
/// #[forge::workflow]
/// async fn pay(ctx: &WorkflowContext, card: String) -> Result<String> {
///     ctx.step("charge", || async {
///         let answer = forge::http::post("https://payments.example/charges").json(&card).send().await?;
///         answer.error_for_status()?.json::<String>()
///     })
///     .timeout(Duration::from_secs(30))
///     .retry(RetryPolicy::attempts(3))
///     .compensate(|charge: String| async move {
///         let url = format!("https://payments.example/charges/{charge}");
///         forge::http::delete(url).send().await?.error_for_status()
///     })
///     .run()
///     .await
/// }
/// # use forge::testing::{TestRun, TestResponse};
/// # let mut down = 1;
/// # let run = TestRun::new(PayWorkflow).http(move |_| {
/// #     if down > 0 { down -= 1; return TestResponse::status(503) }
/// #     TestResponse::json(200, "ch-1")
/// # }).run("4242");
/// # assert_eq!(run.output(), "ch-1");
/// # assert_eq!((run.step("charge").attempts, run.elapsed), (2, Duration::from_secs(1)));
/// ```
///
/// [`WorkflowContext::step`]: crate::WorkflowContext::step
/// [`run`]: StepRunner::run
#[must_use = "a step does nothing until `.run().await`"]
pub struct StepRunner<'a, F, T, M = Required> {
    name: String,
    code: Code<F>,
    timeout: Option<Duration>,
    retry: Option<RetryPolicy>,
    compensation: Option<Compensation>,
    /// The lifetime is that of the context: a step cannot outlive its workflow.
    types: PhantomData<(&'a (), T, M)>,
}

/// The mode of a step whose failure is an error. The default; see [`StepRunner::optional`].
#[derive(Debug)]
pub enum Required {}

/// The mode of a step whose failure gives `None`. See [`StepRunner::optional`].
#[derive(Debug)]
pub enum Optional {}

/// The meaning of a step's failure for the workflow: [`Required`] or [`Optional`].
pub trait Mode: sealed::Sealed {
    /// The output of `run` for a step whose result is a `T`.
    type Output<T>;
    #[doc(hidden)]
    const OPTIONAL: bool;
    #[doc(hidden)]
    fn output<T>(outcome: Result<T, Failure>) -> Result<Self::Output<T>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Required {}
    impl Sealed for super::Optional {}
}

impl Mode for Required {
    type Output<T> = T;
    const OPTIONAL: bool = false;

    fn output<T>(outcome: Result<T, Failure>) -> Result<T> {
        outcome.map_err(Error::new)
    }
}

impl Mode for Optional {
    type Output<T> = Option<T>;
    const OPTIONAL: bool = true;

    fn output<T>(outcome: Result<T, Failure>) -> Result<Option<T>> {
        Ok(outcome.ok())
    }
}

impl<'a, F, T> StepRunner<'a, F, T> {
    pub(crate) fn new(name: String, code: F) -> Self {
        StepRunner {
            name,
            code: Code { once: Some(code), again: None },
            timeout: None,
            retry: None,
            compensation: None,
            types: PhantomData,
        }
    }

    /// Makes `run` return `Ok(None)` if the step fails. The failure is recorded.
    ///
    /// ```
    /// # use forge::prelude::*;
    /// #[forge::workflow]
    /// async fn greet(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    ///     let name = ctx
    ///         .step("look up the name", || async { Err::<String, _>(anyhow!("not found")) })
    ///         .optional()
    ///         .run()
    ///         .await?;
    ///     Ok(format!("hello {}", name.unwrap_or_else(|| "stranger".into())))
    /// }
    /// # assert_eq!(forge::testing::TestRun::new(GreetWorkflow).run(()).output(), "hello stranger");
    /// ```
    pub fn optional(self) -> StepRunner<'a, F, T, Optional> {
        StepRunner {
            name: self.name,
            code: self.code,
            timeout: self.timeout,
            retry: self.retry,
            compensation: self.compensation,
            types: PhantomData,
        }
    }
}

impl<'a, F, Fut, T, M> StepRunner<'a, F, T, M>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T>>,
    T: Serialize + DeserializeOwned,
    M: Mode,
{
    /// Sets the timeout of each attempt. An attempt that takes longer is dropped, which abandons its HTTP
    /// calls, and fails with kind `timeout`, which is retryable.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the compensation handler. If the run fails, times out, crashes or is cancelled after the step
    /// completed, the handler runs with the step's result, after the handlers of later steps.
    ///
    /// The handler may run days later, after restarts, and more than once, so it must own its data and
    /// should be idempotent. The host retries a handler that fails.
    pub fn compensate<C, CFut, O>(mut self, handler: C) -> Self
    where
        C: Fn(T) -> CFut + 'static,
        CFut: Future<Output = Result<O>> + 'static,
    {
        self.compensation = Some(compensation::erase(&self.name, handler));
        self
    }

    /// Sets the retry policy. The step's closure must be `Clone`; a closure that only borrows is.
    pub fn retry(mut self, policy: RetryPolicy) -> Self
    where
        F: Clone,
    {
        self.retry = Some(policy);
        self.code.again = Some(F::clone);
        self
    }

    /// Runs the step, or returns its outcome from the journal.
    ///
    /// # Errors
    /// Returns the step's [`Failure`] once no attempt is left. A result that is larger than the host allows
    /// (1 MiB) is a failure of kind `limit` that is not retried: the effect of the step stands, and is not
    /// compensated.
    pub async fn run(mut self) -> Result<M::Output<T>> {
        runtime::stop_if_unwinding().await;
        let place = scope::next_place();
        let mut entry = step::begin(scope::current(), &self.name, self.options());
        loop {
            let call = match entry {
                Entry::Completed(completed) => return M::output(self.recorded(place, completed).await),
                Entry::Failed(failure) => return M::output(Err(failure.into())),
                Entry::Parked(call) => call,
                Entry::Execute(scope) => match self.attempt(place, scope).await {
                    Ok(value) => return M::output(Ok(value)),
                    Err(Verdict::Final(failure)) => return M::output(Err(failure.into())),
                    Err(Verdict::Retry(call)) => call,
                },
            };
            Call::new(call).await;
            entry = step::resume(call);
        }
    }

    fn options(&self) -> Options {
        Options {
            compensable: self.compensation.is_some() && !scope::is_compensating(),
            optional: M::OPTIONAL,
            timeout: self.timeout.map(millis),
            retry: self.retry.map(Into::into),
        }
    }

    /// Returns a result from the journal.
    async fn recorded(&mut self, place: Place, completed: Completed) -> Result<T, Failure> {
        let value = compensation::decode(&self.name, &completed.result);
        self.complete(place, completed).await;
        value
    }

    /// Runs one attempt and reports its outcome to the host.
    async fn attempt(&mut self, place: Place, scope: u64) -> Result<T, Verdict> {
        let attempt = Attempt::new(Kind::Step, scope, place);
        let outcome = self.execute(&attempt, scope).await;
        attempt.end();
        let (value, json) = match outcome {
            Ok(done) => done,
            Err(failure) => return Err(step::fail(scope, &failure.into())),
        };
        if let Some(too_large) = step::check_result(scope, json.len() as u64) {
            return Err(step::fail(scope, &too_large));
        }
        let Receipt { step, order, flow } = step::complete(scope, &json);
        self.complete(place, Completed { step, result: json, order, flow }).await;
        Ok(value)
    }

    /// Runs the author's code. On return its future is dropped and its calls are cancelled, so that they
    /// do not outlive the attempt in the journal.
    async fn execute(&mut self, attempt: &Attempt, scope: u64) -> Result<(T, String), Failure> {
        let code = self.code.take()?;
        let deadline = self.timeout.map(|timeout| move || time::deadline(scope, timeout));
        let outcome = race(attempt.run(async { code().await }), deadline).await;
        let value = outcome.unwrap_or_else(|| Err(self.timed_out().into()));
        let value = value.map_err(|error| Failure::from_error(&error))?;
        round_trip(value).map_err(|lost| self.lost(&lost))
    }

    /// The failure of a step whose result a replay could not read as it was.
    fn lost(&self, lost: &Lost) -> Failure {
        let what = format!("the result of step `{}`, a `{}`,", self.name, short_type_name::<T>());
        Failure::invalid_output(match lost {
            Lost::Unwritable(why) => format!("{what} cannot be written as JSON: {why}"),
            Lost::Changed { path, what: change } => format!(
                "{what} changes when it is written as JSON and read again, as a replay does: at `{path}`, {change}. \
                 The effect of the step stands: it is not compensated, because its handler would get another value"
            ),
        })
    }

    /// Registers the compensation of the completed step. Does not return if the run unwinds.
    async fn complete(&mut self, place: Place, Completed { step, result, order, flow }: Completed) {
        let compensation = self.compensation.take().filter(|_| !scope::is_compensating());
        if let Some(compensation) = compensation {
            saga::register(order, Handler { step, place, result, compensation });
        }
        runtime::apply(flow);
        runtime::stop_if_unwinding().await;
    }

    fn timed_out(&self) -> Failure {
        let after = self.timeout.unwrap_or_default();
        Failure::new(Failure::TIMEOUT, format!("step `{}` timed out after {after:?}", self.name))
    }
}

/// Makes `.await` the same as `.run().await`.
impl<'a, F, Fut, T, M> IntoFuture for StepRunner<'a, F, T, M>
where
    F: FnOnce() -> Fut + 'a,
    Fut: Future<Output = Result<T>> + 'a,
    T: Serialize + DeserializeOwned + 'a,
    M: Mode + 'a,
{
    type Output = Result<M::Output<T>>;
    type IntoFuture = LocalBoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// The step's closure, which can be called once, or many times if the step has a retry policy.
struct Code<F> {
    once: Option<F>,
    /// `F::clone`. Set by `.retry(..)`, where `F` is known to be `Clone`.
    again: Option<fn(&F) -> F>,
}

impl<F> Code<F> {
    fn take(&mut self) -> Result<F, Failure> {
        let code = match (&self.once, self.again) {
            (Some(code), Some(clone)) => Some(clone(code)),
            _ => self.once.take(),
        };
        code.ok_or_else(|| {
            let message = "the host asked for another attempt of a step that has no retry policy";
            Failure::permanent(message)
        })
    }
}
