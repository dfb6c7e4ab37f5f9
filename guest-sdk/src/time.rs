//! Time as the journal has it.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::call::Call;
use crate::{host, runtime, scope};

/// The current time, the same on every replay. See [`WorkflowContext::workflow_time`].
///
/// [`WorkflowContext::workflow_time`]: crate::WorkflowContext::workflow_time
pub fn workflow_time() -> DateTime<Utc> {
    from_timestamp(host::time::workflow_time(scope::current()))
}

/// Waits, durably: the timer ends `duration` after it was first started, whatever restarts lie
/// between, and a run that waits long costs no memory.
///
/// The prelude also has it as `tokio::time::sleep`, where most people look for it.
pub async fn sleep(duration: Duration) {
    runtime::checkpoint().await;
    Call::new(host::time::sleep(scope::current(), millis(duration))).await;
}

/// Waits for `future`, but no longer than `duration`; a future that is late is dropped, which
/// cancels what it waits for.
///
/// # Errors
/// [`Elapsed`] if time ran out.
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
    let timer = || host::time::sleep(scope::current(), millis(duration));
    race(future.into_future(), Some(timer)).await.ok_or(Elapsed(duration))
}

/// Runs `future` against a timer; None if the timer ended first. The timer is submitted only if
/// the first poll does not end the future already, so that pure code pays nothing for it.
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

/// The error of [`timeout`]: time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out after {:?}", self.0)
    }
}

impl std::error::Error for Elapsed {}

/// Milliseconds, rounded up: a wait may be longer than asked, never shorter.
pub(crate) fn millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// A timestamp of the host. Out of chrono's range (a quarter of a million years) it is the epoch,
/// which beats a trap.
pub(crate) fn from_timestamp(millis: u64) -> DateTime<Utc> {
    i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_to_milliseconds() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(30)), 30);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
