//! The executor: polls the workflow's future, and asks the host for the next completion when every
//! branch of it waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::host;
use crate::runtime::{self, Phase};
use crate::saga;
use crate::scope::{self, Scope};

/// Runs the workflow's body. Returns `None` if the host asked to unwind; the future is dropped then.
pub(crate) fn run_body<F: Future>(future: F) -> Option<F::Output> {
    runtime::set_phase(Phase::Body);
    let output = block_on(future);
    // If the run unwinds, compensations under way begin again: the host has forgotten their calls.
    runtime::set_phase(Phase::Unwinding);
    saga::forget_rollback();
    runtime::set_phase(Phase::Compensating);
    output
}

/// Runs compensations. The host does not ask an unwinding run to unwind again. If `calls.next` returns
/// nothing nevertheless, it is called again.
pub(crate) fn run_compensations<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = block_on(future.as_mut()) {
            return output;
        }
        runtime::set_phase(Phase::Compensating);
    }
}

/// Polls the whole future whenever any part of it was woken. One flag is enough: `join!` polls every
/// branch anyway, and `FuturesUnordered` has wakers of its own.
fn block_on<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(scope::within(Scope::body(), future));
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        let poll = future.as_mut().poll(&mut cx);
        // If unwinding began in the middle of a poll, the result of that poll does not count.
        if runtime::phase() == Phase::Unwinding {
            return None;
        }
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        while !flag.take() {
            match host::calls::next() {
                Some(call) => runtime::deliver(call),
                None => {
                    runtime::set_phase(Phase::Unwinding);
                    return None;
                }
            }
        }
    }
}

/// Set when any part of the future was woken since the last poll.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
