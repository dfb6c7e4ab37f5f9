//! Which step a call belongs to.
//!
//! A call is identified by its scope and its index in that scope, so whatever runs inside a step
//! must say so, also a helper three functions down that knows nothing of the context. The current
//! scope is therefore a variable of the thread, set around *every* poll of a step's future: in a
//! `join!` two steps take turns within one poll of the workflow, and each must find its own.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

/// The scope of the workflow's body.
const BODY: u64 = 0;

/// The body, or one attempt of a fluent step or of a compensation.
#[derive(Debug)]
pub(crate) struct Scope {
    base: u64,
    /// It is a compensation's, or lies in one.
    compensating: bool,
    /// Steps begun with `record_step_start` and not ended yet, innermost last. Calls belong to the
    /// innermost.
    manual: RefCell<Vec<(String, u64)>>,
}

impl Scope {
    pub(crate) fn new(base: u64, compensating: bool) -> Rc<Self> {
        Rc::new(Scope { base, compensating, manual: RefCell::default() })
    }

    pub(crate) fn body() -> Rc<Self> {
        Scope::new(BODY, false)
    }

    fn id(&self) -> u64 {
        self.manual.borrow().last().map_or(self.base, |(_, id)| *id)
    }
}

thread_local! {
    static CURRENT: RefCell<Rc<Scope>> = RefCell::new(Scope::body());
}

/// The id of the current scope.
pub(crate) fn current() -> u64 {
    CURRENT.with_borrow(|scope| scope.id())
}

/// Whether the current scope is a compensation's, or lies in one: what happens there undoes something, and is not undone.
pub(crate) fn is_compensating() -> bool {
    CURRENT.with_borrow(|scope| scope.compensating)
}

/// Makes `id` the current scope until the step `name` is ended.
pub(crate) fn push_manual(name: &str, id: u64) {
    CURRENT.with_borrow(|scope| scope.manual.borrow_mut().push((name.to_owned(), id)));
}

/// Takes the innermost step of this name off the current scope.
pub(crate) fn pop_manual(name: &str) -> Option<u64> {
    CURRENT.with_borrow(|scope| {
        let mut manual = scope.manual.borrow_mut();
        let at = manual.iter().rposition(|(known, _)| known == name)?;
        Some(manual.remove(at).1)
    })
}

/// Runs `future` in `scope`.
pub(crate) async fn within<F: Future>(scope: Rc<Scope>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = Entered::new(scope.clone());
        future.as_mut().poll(cx)
    })
    .await
}

/// Restores the scope that was current before, also when a poll panics.
struct Entered {
    before: Rc<Scope>,
}

impl Entered {
    fn new(scope: Rc<Scope>) -> Self {
        Entered { before: CURRENT.replace(scope) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.clone());
    }
}
