//! The compensations of the run: registered when a step completes, run in reverse order of completion.
//!
//! As [`runtime`], the state is a thread-local variable that is never borrowed while code of the author runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::{FutureExt as _, LocalBoxFuture, Shared};

use crate::compensation::Handler;
use crate::error::Failure;
use crate::runtime::{self, Phase};

#[derive(Default)]
struct Saga {
    /// The compensations, by the order in which their steps completed.
    handlers: BTreeMap<u64, Rc<Handler>>,
    /// The rollback under way. The run owns it, because the futures that wait for it may be dropped, for
    /// example by a timeout, and compensations run to their end.
    rollback: Option<Rollback>,
}

thread_local! {
    static SAGA: RefCell<Saga> = RefCell::default();
}

fn with<R>(f: impl FnOnce(&mut Saga) -> R) -> R {
    SAGA.with_borrow_mut(f)
}

/// Forgets the compensations of the run before.
pub(crate) fn reset() {
    let old = with(std::mem::take);
    drop(old);
}

/// Registers the compensation of a step. `order` is the step's place among the run's completions.
pub(crate) fn register(order: u64, handler: Handler) {
    with(|saga| saga.handlers.insert(order, Rc::new(handler)));
}

/// Returns the registered compensation whose step completed last. It remains registered until
/// [`unregister`], so that it begins again if an unwinding interrupts it.
fn last_handler() -> Option<(u64, Rc<Handler>)> {
    with(|saga| saga.handlers.last_key_value().map(|(order, handler)| (*order, handler.clone())))
}

/// Removes the compensation with this order.
fn unregister(order: u64) {
    let handler = with(|saga| saga.handlers.remove(&order));
    drop(handler);
}

/// Removes the rollback, which begins again after the run has unwound.
pub(crate) fn forget_rollback() {
    let forgotten = with(|saga| saga.rollback.take());
    drop(forgotten);
}

/// The compensations under way, as a future that several callers can await.
type Rollback = Shared<LocalBoxFuture<'static, Result<(), Failure>>>;

/// Runs all registered compensations, or waits for the rollback under way.
pub(crate) async fn run_handlers() -> Result<(), Failure> {
    let rollback = with(|saga| saga.rollback.get_or_insert_with(|| run_all().boxed_local().shared()).clone());
    let outcome = rollback.await;
    let ended = with(|saga| saga.rollback.take_if(|rollback| rollback.peek().is_some()));
    drop(ended);
    outcome
}

/// Waits for the rollback under way, if there is one: a workflow does not end before it.
pub(crate) async fn finish() {
    let under_way = with(|saga| saga.rollback.clone());
    if let Some(rollback) = under_way {
        // `run_compensation` returned the outcome, unless its future was dropped.
        let _ = rollback.await;
    }
}

/// Drops the rollback under way when the run ends, also after a panic: its destructors use thread-local
/// variables, which must still exist.
pub(crate) struct RollbackGuard;

impl Drop for RollbackGuard {
    fn drop(&mut self) {
        runtime::set_phase(Phase::Unwinding);
        forget_rollback();
    }
}

/// Runs all registered compensations in reverse order of completion. If one fails, the others run
/// nevertheless; the first failure is the result.
async fn run_all() -> Result<(), Failure> {
    let mut outcome = Ok(());
    while let Some((order, handler)) = last_handler() {
        runtime::stop_if_unwinding().await;
        let result = handler.run().await;
        unregister(order);
        outcome = outcome.and(result);
    }
    outcome
}
