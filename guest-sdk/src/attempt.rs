//! One attempt of a step or of a compensation: a scope, and the promise to tell the host how it
//! ended.

use std::cell::Cell;
use std::future::Future;

use crate::host;
use crate::runtime::{self, Phase};
use crate::scope::{self, Scope};

/// What an attempt is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Step,
    Compensation,
}

/// An attempt that the host told us to execute. Dropped before [`end`](Attempt::end), for example
/// because another branch of a `select!` won, it tells the host so.
#[derive(Debug)]
pub(crate) struct Attempt {
    kind: Kind,
    scope: u64,
    /// It is a compensation, or lies in one.
    compensating: bool,
    ended: Cell<bool>,
}

impl Attempt {
    pub(crate) fn new(kind: Kind, scope: u64) -> Self {
        let compensating = kind == Kind::Compensation || scope::is_compensating();
        Attempt { kind, scope, compensating, ended: Cell::new(false) }
    }

    /// Runs `future` in the attempt's scope.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        scope::within(Scope::new(self.scope, self.compensating), future).await
    }

    /// Says that the host is about to be told how it ended.
    pub(crate) fn end(&self) {
        self.ended.set(true);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        runtime::end_stream(self.scope);
        // A compensation is never given up: its future is the run's, which drops it only when it
        // unwinds, and then begins it again.
        let abandoned = !self.ended.get() && self.kind == Kind::Step;
        if abandoned && runtime::phase() != Phase::Unwinding {
            host::step::abandon(self.scope);
        }
    }
}
