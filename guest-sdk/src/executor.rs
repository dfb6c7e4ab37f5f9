//! The executor: polls the workflow until it ends, and asks the host for completions when
//! everything in it waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::host;
use crate::runtime::{self, Phase};
use crate::scope::{self, Scope};

/// Runs the workflow's body. None if the host asked to unwind instead; the future is dropped then.
pub(crate) fn run_body<F: Future>(future: F) -> Option<F::Output> {
    runtime::set_phase(Phase::Body);
    let output = drive(future);
    // What the body has not waited for is begun again, if the run unwinds. The host has forgotten its calls then.
    runtime::set_phase(Phase::Unwinding);
    runtime::forget_rollback();
    runtime::set_phase(Phase::Compensating);
    output
}

/// Runs compensations. The host does not ask to unwind what unwinds; should `calls.next` answer
/// nothing all the same, asking again is all that is left to do.
pub(crate) fn run_compensations<F: Future>(future: F) -> F::Output {
    let mut future = pin!(scope::within(Scope::body(), future));
    loop {
        if let Some(output) = drive(future.as_mut()) {
            return output;
        }
        runtime::set_phase(Phase::Compensating);
    }
}

/// Polls the whole future whenever anything in it was woken. One flag is enough: `join!` polls
/// every branch anyway, and `FuturesUnordered` brings wakers of its own.
fn drive<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(scope::within(Scope::body(), future));
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        let poll = future.as_mut().poll(&mut cx);
        // Asked for in the middle of a poll, unwinding wins over whatever else the poll led to.
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

/// Whether something was woken since the last poll.
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
