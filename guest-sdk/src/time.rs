//! Journaled time and durable timers.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};

#[cfg(target_arch = "wasm32")]
use crate::bindings::forge::workflow::time as host;
use crate::call::{self, Call};
use crate::timestamp::{from_timestamp, millis};
use crate::{runtime, scope};

pub use crate::error::Elapsed;

/// Returns the current time, the same on every replay. See [`WorkflowContext::workflow_time`].
///
/// [`WorkflowContext::workflow_time`]: crate::WorkflowContext::workflow_time
pub fn workflow_time() -> DateTime<Utc> {
    from_timestamp(host::workflow_time(scope::current()))
}

/// Waits for `duration` with a durable timer, which ends `duration` after it was first started, regardless
/// of restarts. A run that waits for long does not stay in memory.
///
/// [`forge::tokio`](crate::tokio) has the same function as `tokio::time::sleep`.
pub async fn sleep(duration: Duration) {
    call::perform(|scope| host::sleep(scope, millis(duration))).await;
}

/// Waits for `future`, at most for `duration`. A future that takes longer is dropped, which cancels the
/// calls that it waits for.
///
/// # Errors
/// Returns [`Elapsed`] if `duration` ended first.
///
/// ```
/// use forge::prelude::*;
///
/// #[forge::workflow]
/// async fn patient(_ctx: &WorkflowContext, _input: ()) -> Result<bool> {
///     let slow = forge::sleep(Duration::from_secs(60));
///     Ok(forge::time::timeout(Duration::from_secs(5), slow).await.is_ok())
/// }
/// # let run = forge::testing::TestRun::new(PatientWorkflow).run(());
/// # assert_eq!((run.output(), run.elapsed), (&false, Duration::from_secs(5)));
/// ```
pub async fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let timer = || host::sleep(scope::current(), millis(duration));
    race(future.into_future(), Some(timer)).await.ok_or(Elapsed::after(duration))
}

/// Submits the timer that ends an attempt of a step, and returns its call.
pub(crate) fn deadline(scope: u64, timeout: Duration) -> u64 {
    host::deadline(scope, millis(timeout))
}

/// Runs `future` against a timer. Returns `None` if the timer ended first. The timer is submitted after
/// the first poll, so that a future without waits needs no timer.
pub(crate) async fn race<F: Future>(future: F, timer: Option<impl FnOnce() -> u64>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut unsubmitted = timer;
    let mut submitted = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if runtime::phase() == runtime::Phase::Unwinding {
            return Poll::Pending;
        }
        if let Some(timer) = unsubmitted.take() {
            submitted = Some(Call::new(timer()));
        }
        match &mut submitted {
            Some(timer) => pin!(timer).poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// The host's interface `time`, in tests.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use crate::test_host::with;

    pub(super) fn workflow_time(scope: u64) -> u64 {
        with(|host| {
            host.places.next_call(scope);
            host.now()
        })
    }

    pub(super) fn sleep(scope: u64, duration: u64) -> u64 {
        with(|host| {
            host.places.next_call(scope);
            host.submit(duration, ())
        })
    }

    pub(super) fn deadline(_scope: u64, duration: u64) -> u64 {
        with(|host| host.submit(duration, ()))
    }
}
