//! The state of the run that executes: its phase, the calls under way, the random streams.
//!
//! The state is a thread-local variable: a component has one thread and executes one run, and in a native
//! build each test has a thread. The variable is never borrowed while code of the author runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future;
use std::task::Waker;

use crate::host::Flow;
use crate::streams::{Place, Stream, Streams};

/// The phase of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The workflow's future is polled.
    Body,
    /// The host asked for the compensations. The workflow's future is not polled again but dropped, and its
    /// destructors call no function of the host.
    Unwinding,
    /// The workflow's future is dropped, and compensations run.
    Compensating,
}

/// A call that a future waits for.
enum CallState {
    /// Not completed. Has the waker of the last poll.
    Pending(Option<Waker>),
    /// Delivered by `calls.next`.
    Delivered,
}

struct Runtime {
    phase: Phase,
    calls: BTreeMap<u64, CallState>,
    streams: Streams,
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Runtime::new((0, 0)));
}

impl Runtime {
    fn new(seed: (u64, u64)) -> Self {
        Runtime { phase: Phase::Body, calls: BTreeMap::new(), streams: Streams::new(seed) }
    }
}

fn with<R>(f: impl FnOnce(&mut Runtime) -> R) -> R {
    RUNTIME.with_borrow_mut(f)
}

/// Resets the state for a run with this seed.
pub(crate) fn reset(seed: (u64, u64)) {
    let old = with(|runtime| std::mem::replace(runtime, Runtime::new(seed)));
    drop(old);
}

pub(crate) fn phase() -> Phase {
    with(|runtime| runtime.phase)
}

pub(crate) fn set_phase(phase: Phase) {
    with(|runtime| runtime.phase = phase);
}

/// Applies an answer of the host: [`Flow::Unwind`] begins the unwinding.
pub(crate) fn apply(flow: Flow) {
    if flow == Flow::Unwind {
        set_phase(Phase::Unwinding);
    }
}

/// Waits for ever if the run unwinds; the executor then drops the workflow. Called before each submission,
/// because other branches of a `join!` are polled after the branch in which the unwinding began.
pub(crate) async fn stop_if_unwinding() {
    if phase() == Phase::Unwinding {
        future::pending().await
    }
}

/// Adds a call that was just submitted.
pub(crate) fn submitted(call: u64) {
    with(|runtime| runtime.calls.insert(call, CallState::Pending(None)));
}

/// Returns `true` if the call was delivered. Otherwise `waker` is woken when it is.
pub(crate) fn poll_call(call: u64, waker: &Waker) -> bool {
    with(|runtime| match runtime.calls.get_mut(&call) {
        Some(CallState::Delivered) => {
            runtime.calls.remove(&call);
            true
        }
        Some(CallState::Pending(known)) => {
            match known {
                Some(known) => known.clone_from(waker),
                None => *known = Some(waker.clone()),
            }
            false
        }
        None => false,
    })
}

/// Removes a call. Returns `true` if it had not been delivered.
pub(crate) fn forget_call(call: u64) -> bool {
    with(|runtime| matches!(runtime.calls.remove(&call), Some(CallState::Pending(_))))
}

/// Marks a call as delivered and wakes its future. A call without a future is ignored: the host may have
/// chosen to deliver it before the guest cancelled it.
pub(crate) fn deliver(call: u64) {
    let waker =
        with(|runtime| match std::mem::replace(runtime.calls.get_mut(&call)?, CallState::Delivered) {
            CallState::Pending(waker) => waker,
            CallState::Delivered => None,
        });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Fills `dest` from a random stream.
pub(crate) fn fill_random(stream: Stream, dest: &mut [u8]) {
    with(|runtime| runtime.streams.fill(stream, dest));
}

/// Returns the random stream of a step.
pub(crate) fn derive_stream(place: Place) -> Stream {
    with(|runtime| runtime.streams.derive(place))
}

/// Removes a random stream that is not read any more, or is read from its beginning again.
pub(crate) fn end_stream(stream: Stream) {
    with(|runtime| runtime.streams.end(stream));
}
