//! Waiting for the completion of a call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::host;
use crate::runtime::{self, Phase};
use crate::scope;

/// Submits an effect in the current scope and waits until the host delivers its completion. Returns the
/// call's id, with which the outcome is fetched from the host.
pub(crate) async fn perform(submit: impl FnOnce(u64) -> u64) -> u64 {
    runtime::stop_if_unwinding().await;
    let call = submit(scope::current());
    Call::new(call).await;
    call
}

/// A submitted call. Ready once `calls.next` has delivered it. Dropping it earlier cancels the call,
/// unless the run unwinds: the host has cancelled all calls then.
#[derive(Debug)]
pub(crate) struct Call {
    id: u64,
    delivered: bool,
}

impl Call {
    /// Wraps the id of a call that was just submitted.
    pub(crate) fn new(id: u64) -> Self {
        runtime::submitted(id);
        Call { id, delivered: false }
    }
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if runtime::phase() == Phase::Unwinding {
            return Poll::Pending;
        }
        if self.delivered || runtime::poll_call(self.id, cx.waker()) {
            self.delivered = true;
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let under_way = !self.delivered && runtime::forget_call(self.id);
        if under_way && runtime::phase() != Phase::Unwinding {
            host::calls::cancel(self.id);
        }
    }
}
