//! The one leaf future: waiting for a call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::host;
use crate::runtime::{self, Phase};

/// A submitted call. Ready once `calls.next` has delivered it; dropped before that, it is
/// cancelled, unless the run unwinds: then the host has forgotten it already.
#[derive(Debug)]
pub(crate) struct Call {
    id: u64,
    delivered: bool,
}

impl Call {
    /// Wraps an id that a host function just returned.
    pub(crate) fn new(id: u64) -> Self {
        runtime::submitted(id);
        Call { id, delivered: false }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
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
