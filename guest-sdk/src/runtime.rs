//! What one run knows while it executes: which phase it is in, which calls are under way, which
//! compensations are registered.
//!
//! There is one per thread, because a component is one thread and one run; natively it lets every
//! test have its own. No borrow is held while code of the author can run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future;
use std::rc::Rc;
use std::task::Waker;

use crate::host::Flow;
use crate::random::Streams;
use crate::saga::{Handler, Rollback};

/// Where the run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The workflow's future runs.
    Body,
    /// The host asked for the compensations: the workflow's future must not go on, and is being
    /// dropped. Nothing that it holds talks to the host any more.
    Unwinding,
    /// The workflow's future is gone; handlers run.
    Compensating,
}

/// A call that was submitted and that somebody waits for.
enum Waiting {
    /// Not answered, with the waker of whoever polled last.
    Pending(Option<Waker>),
    /// Answered by `calls.next`.
    Delivered,
}

struct Runtime {
    phase: Phase,
    calls: BTreeMap<u64, Waiting>,
    /// By order of completion.
    handlers: BTreeMap<u64, Rc<Handler>>,
    /// The compensations under way.
    rollback: Option<Rollback>,
    streams: Streams,
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(Runtime::new((0, 0)));
}

impl Runtime {
    fn new(seed: (u64, u64)) -> Self {
        Runtime {
            phase: Phase::Body,
            calls: BTreeMap::new(),
            handlers: BTreeMap::new(),
            rollback: None,
            streams: Streams::new(seed),
        }
    }
}

fn with<R>(f: impl FnOnce(&mut Runtime) -> R) -> R {
    RUNTIME.with_borrow_mut(f)
}

/// Starts from nothing, for a run with this seed.
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

/// Obeys the host: after [`Flow::Unwind`] this never returns, and the executor drops the workflow.
pub(crate) async fn obey(flow: Flow) {
    if flow == Flow::Unwind {
        set_phase(Phase::Unwinding);
    }
    checkpoint().await;
}

/// Stands before everything that submits something new: a branch of a `join!` that is polled after
/// the one that was told to unwind must not get any further.
pub(crate) async fn checkpoint() {
    if phase() == Phase::Unwinding {
        future::pending().await
    }
}

/// Notes a call that somebody will wait for.
pub(crate) fn submitted(call: u64) {
    with(|runtime| runtime.calls.insert(call, Waiting::Pending(None)));
}

/// Whether the call was delivered; if not, `waker` is woken when it is.
pub(crate) fn poll_call(call: u64, waker: &Waker) -> bool {
    with(|runtime| match runtime.calls.get_mut(&call) {
        Some(Waiting::Delivered) => {
            runtime.calls.remove(&call);
            true
        }
        Some(Waiting::Pending(known)) => {
            match known {
                Some(known) => known.clone_from(waker),
                None => *known = Some(waker.clone()),
            }
            false
        }
        None => false,
    })
}

/// Forgets a call. True if it had not been delivered.
pub(crate) fn forget_call(call: u64) -> bool {
    with(|runtime| matches!(runtime.calls.remove(&call), Some(Waiting::Pending(_))))
}

/// Marks a call as answered and wakes who waits for it. Calls that nobody waits for are ignored:
/// the host may have decided to deliver one before it heard of its cancellation.
pub(crate) fn deliver(call: u64) {
    let waker = with(|runtime| {
        let waiting = runtime.calls.get_mut(&call)?;
        match std::mem::replace(waiting, Waiting::Delivered) {
            Waiting::Pending(waker) => waker,
            Waiting::Delivered => None,
        }
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Registers a compensation under the order in which its step completed.
pub(crate) fn register(order: u64, handler: Handler) {
    with(|runtime| runtime.handlers.insert(order, Rc::new(handler)));
}

/// The registered compensation whose step completed last. It stays registered until
/// [`unregister`], so that an unwinding that interrupts it finds it again.
pub(crate) fn last_handler() -> Option<(u64, Rc<Handler>)> {
    with(|runtime| runtime.handlers.last_key_value().map(|(order, handler)| (*order, handler.clone())))
}

pub(crate) fn unregister(order: u64) {
    let handler = with(|runtime| runtime.handlers.remove(&order));
    drop(handler);
}

/// The compensations under way. They belong to the run and not to whoever waits for them: that may be
/// dropped, by a timeout for example, and a compensation is carried out to its end.
pub(crate) fn rollback(begin: impl FnOnce() -> Rollback) -> Rollback {
    with(|runtime| runtime.rollback.get_or_insert_with(begin).clone())
}

/// The compensations under way, if there are any.
pub(crate) fn rollback_under_way() -> Option<Rollback> {
    with(|runtime| runtime.rollback.clone())
}

/// Forgets the compensations that were under way, if they have ended.
pub(crate) fn rollback_ended() {
    let ended = with(|runtime| runtime.rollback.take_if(|rollback| rollback.peek().is_some()));
    drop(ended);
}

/// Forgets the compensations under way: the run unwinds, and begins them again.
pub(crate) fn forget_rollback() {
    let forgotten = with(|runtime| runtime.rollback.take());
    drop(forgotten);
}

/// Fills `dest` from the stream of `scope`.
pub(crate) fn fill_random(scope: u64, dest: &mut [u8]) {
    with(|runtime| runtime.streams.fill(scope, dest));
}

/// Forgets the stream of a scope that ended.
pub(crate) fn end_stream(scope: u64) {
    with(|runtime| runtime.streams.end(scope));
}
