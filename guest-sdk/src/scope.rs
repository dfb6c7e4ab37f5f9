//! The current scope: the step that a call belongs to.
//!
//! A call is identified by its scope and its index in that scope. Helpers without a context must find the
//! scope, too, so the current scope is a thread-local variable. It is set around each poll of a step's
//! future, because one poll of a `join!` polls several steps.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use crate::streams::{Place, Stream};

/// The scope of the workflow's body.
const BODY: u64 = 0;

/// The body, or one attempt of a fluent step or of a compensation.
#[derive(Debug)]
pub(crate) struct Scope {
    base: u64,
    /// The random stream.
    stream: Stream,
    /// The number of fluent steps begun in it.
    steps: Cell<u64>,
    /// The scope is that of a compensation, or lies in one.
    compensating: bool,
    /// The steps that `record_step_start` began and that have not ended, innermost last. Calls belong to the
    /// innermost.
    low_level: RefCell<Vec<LowLevel>>,
}

/// A step of the low-level API.
#[derive(Debug)]
struct LowLevel {
    name: String,
    scope: u64,
    /// The number of fluent steps begun in it.
    steps: u64,
}

impl Scope {
    pub(crate) fn new(base: u64, stream: Stream, compensating: bool) -> Rc<Self> {
        Rc::new(Scope { base, stream, steps: Cell::new(0), compensating, low_level: RefCell::default() })
    }

    pub(crate) fn body() -> Rc<Self> {
        Scope::new(BODY, Stream::Scope(BODY), false)
    }

    fn id(&self) -> u64 {
        self.low_level.borrow().last().map_or(self.base, |step| step.scope)
    }

    /// The random stream. A low-level step has one attempt, and so that of its scope.
    fn stream(&self) -> Stream {
        self.low_level.borrow().last().map_or(self.stream, |step| Stream::Scope(step.scope))
    }

    fn next_place(&self) -> Place {
        let parent = self.stream();
        let number = match self.low_level.borrow_mut().last_mut() {
            // A replay may skip a low-level step, so the steps in it do not count outside.
            Some(step) => {
                step.steps += 1;
                step.steps
            }
            None => {
                self.steps.set(self.steps.get() + 1);
                self.steps.get()
            }
        };
        Place { parent, number }
    }
}

thread_local! {
    static CURRENT: RefCell<Rc<Scope>> = RefCell::new(Scope::body());
}

/// Returns the id of the current scope.
pub(crate) fn current() -> u64 {
    CURRENT.with_borrow(|scope| scope.id())
}

/// Returns the random stream of the current scope.
pub(crate) fn stream() -> Stream {
    CURRENT.with_borrow(|scope| scope.stream())
}

/// Returns the place of the fluent step that begins now.
pub(crate) fn next_place() -> Place {
    CURRENT.with_borrow(|scope| scope.next_place())
}

/// Returns `true` if the current scope is that of a compensation, or lies in one. Steps in a compensation
/// are not compensated.
pub(crate) fn is_compensating() -> bool {
    CURRENT.with_borrow(|scope| scope.compensating)
}

/// Makes `id` the current scope until the step `name` ends.
pub(crate) fn push_low_level(name: &str, id: u64) {
    let step = LowLevel { name: name.to_owned(), scope: id, steps: 0 };
    CURRENT.with_borrow(|scope| scope.low_level.borrow_mut().push(step));
}

/// Ends the innermost step of this name and returns its scope.
pub(crate) fn pop_low_level(name: &str) -> Option<u64> {
    CURRENT.with_borrow(|scope| {
        let mut steps = scope.low_level.borrow_mut();
        let at = steps.iter().rposition(|step| step.name == name)?;
        Some(steps.remove(at).scope)
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
