//! The fluent step API.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::{Attempt, Kind};
use crate::call::Call;
use crate::error::{Error, Failure, Result, short_type_name};
use crate::host::step::{self, Completed, Entry, Options, Verdict};
use crate::retry::RetryPolicy;
use crate::saga::{self, Compensation, Handler};
use crate::time::{millis, race};
use crate::{host, runtime, scope};

/// A step being described. Made by [`WorkflowContext::step`]; nothing happens until [`run`].
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
    /// The lifetime is the context's, so that a step cannot outlive its workflow.
    types: PhantomData<(&'a (), T, M)>,
}

/// A step whose failure is an error. The default; see [`StepRunner::optional`].
#[derive(Debug)]
pub enum Required {}

/// A step whose failure is `None`. See [`StepRunner::optional`].
#[derive(Debug)]
pub enum Optional {}

/// What a step's outcome is to the workflow: [`Required`] or [`Optional`].
pub trait Mode: sealed::Sealed {
    /// What `run` results in for a step that results in `T`.
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

    /// Lets the step fail without failing the workflow: `run` results in `Ok(None)` then. The
    /// failure is recorded all the same.
    ///
    /// ```
    /// # use forge::prelude::*;
    /// #[forge::workflow]
    /// async fn greet(ctx: &WorkflowContext, _input: ()) -> Result<String> {
    ///     let name = ctx
    ///         .step("look up the name", || async { Err::<String, _>(anyhow!("nobody knows")) })
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
    /// Gives each attempt this long. One that takes longer is dropped, which aborts its HTTP
    /// calls, and fails with kind `timeout`, which is retryable.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says how to undo the step. If the run fails, times out, crashes or is cancelled after the
    /// step completed, the handler runs with the step's result, after those of later steps.
    ///
    /// The handler may run days later, after restarts, and more than once: it owns what it needs,
    /// and what it does should be idempotent. A handler that fails is tried again by the host.
    pub fn compensate<C, CFut, O>(mut self, handler: C) -> Self
    where
        C: Fn(T) -> CFut + 'static,
        CFut: Future<Output = Result<O>> + 'static,
    {
        self.compensation = Some(saga::erase(&self.name, handler));
        self
    }

    /// Tries a failed attempt again. The closure must be `Clone`, as closures are that only borrow.
    pub fn retry(mut self, policy: RetryPolicy) -> Self
    where
        F: Clone,
    {
        self.retry = Some(policy);
        self.code.again = Some(F::clone);
        self
    }

    /// Runs the step, or takes its outcome from the journal.
    ///
    /// # Errors
    /// The step's failure, as a [`Failure`], once no attempt is left.
    pub async fn run(mut self) -> Result<M::Output<T>> {
        runtime::checkpoint().await;
        let mut entry = step::begin(scope::current(), &self.name, self.options());
        loop {
            let call = match entry {
                Entry::Completed(completed) => return M::output(self.recorded(completed).await),
                Entry::Failed(failure) => return M::output(Err(failure.into())),
                Entry::Parked(call) => call,
                Entry::Execute(scope) => match self.attempt(scope).await {
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

    /// Takes a result that was recorded before.
    async fn recorded(&mut self, completed: Completed) -> Result<T, Failure> {
        let value = saga::decode(&self.name, &completed.result);
        self.register(completed.step, completed.order, completed.result);
        runtime::obey(completed.flow).await;
        value
    }

    /// Runs one attempt and tells the host how it ended.
    async fn attempt(&mut self, scope: u64) -> Result<T, Verdict> {
        let attempt = Attempt::new(Kind::Step, scope);
        let outcome = self.execute(&attempt, scope).await;
        attempt.end();
        let (value, json) = match outcome {
            Ok(done) => done,
            Err(failure) => return Err(step::fail(scope, &failure.into())),
        };
        let receipt = step::complete(scope, &json);
        self.register(receipt.step, receipt.order, json);
        runtime::obey(receipt.flow).await;
        Ok(value)
    }

    /// Calls the author's code. When this returns, its future is gone and so are its calls: they
    /// must not outlive the attempt in the journal.
    async fn execute(&mut self, attempt: &Attempt, scope: u64) -> Result<(T, String), Failure> {
        let code = self.code.take()?;
        let deadline = self.timeout.map(|timeout| move || host::time::deadline(scope, millis(timeout)));
        let outcome = race(attempt.run(async { code().await }), deadline).await;
        let value = match outcome {
            Some(outcome) => outcome.map_err(|error| Failure::of(&error))?,
            None => return Err(self.timed_out()),
        };
        let json = serde_json::to_string(&value).map_err(|error| {
            Failure::invalid_output(format!(
                "the result of step `{}`, a `{}`, cannot be written as JSON: {error}",
                self.name,
                short_type_name::<T>()
            ))
        })?;
        Ok((value, json))
    }

    fn register(&mut self, step: u64, order: u64, result: String) {
        let compensation = self.compensation.take().filter(|_| !scope::is_compensating());
        if let Some(compensation) = compensation {
            runtime::register(order, Handler { step, result, compensation });
        }
    }

    fn timed_out(&self) -> Failure {
        let after = self.timeout.unwrap_or_default();
        Failure::new(Failure::TIMEOUT, format!("step `{}` timed out after {after:?}", self.name))
    }
}

/// `.await` without `.run()`.
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

/// The step's closure: one call's worth, or as many as its retry policy wants.
struct Code<F> {
    once: Option<F>,
    /// `Clone::clone`, known only to `.retry(..)`, which asks for it.
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
