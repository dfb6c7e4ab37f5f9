//! The current scope: the step that a call belongs to.
//!
//! A call is identified by its scope and its index in that scope. Helpers without a context must find the
//! scope, too, so the current scope is a thread-local variable. It is set around each poll of a step's
//! future, because one poll of a `join!` polls several steps.

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
    /// The scope is that of a compensation, or lies in one.
    compensating: bool,
    /// The names and scopes of steps that `record_step_start` began and that have not ended, innermost
    /// last. Calls belong to the innermost.
    low_level: RefCell<Vec<(String, u64)>>,
}

impl Scope {
    pub(crate) fn new(base: u64, compensating: bool) -> Rc<Self> {
        Rc::new(Scope { base, compensating, low_level: RefCell::default() })
    }

    pub(crate) fn body() -> Rc<Self> {
        Scope::new(BODY, false)
    }

    fn id(&self) -> u64 {
        self.low_level.borrow().last().map_or(self.base, |(_, id)| *id)
    }
}

thread_local! {
    static CURRENT: RefCell<Rc<Scope>> = RefCell::new(Scope::body());
}

/// Returns the id of the current scope.
pub(crate) fn current() -> u64 {
    CURRENT.with_borrow(|scope| scope.id())
}

/// Returns `true` if the current scope is that of a compensation, or lies in one. Steps in a compensation
/// are not compensated.
pub(crate) fn is_compensating() -> bool {
    CURRENT.with_borrow(|scope| scope.compensating)
}

/// Makes `id` the current scope until the step `name` ends.
pub(crate) fn push_low_level(name: &str, id: u64) {
    CURRENT.with_borrow(|scope| scope.low_level.borrow_mut().push((name.to_owned(), id)));
}

/// Ends the innermost step of this name and returns its scope.
pub(crate) fn pop_low_level(name: &str) -> Option<u64> {
    CURRENT.with_borrow(|scope| {
        let mut steps = scope.low_level.borrow_mut();
        let at = steps.iter().rposition(|(known, _)| known == name)?;
        Some(steps.remove(at).1)
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

/// Restores the previous scope when it is dropped, also after a panic.
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
