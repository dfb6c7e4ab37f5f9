//! One attempt of a step or of a compensation.

use std::cell::Cell;
use std::future::Future;

use crate::host;
use crate::runtime::{self, Phase};
use crate::scope::{self, Scope};
use crate::streams::{Place, Stream};

/// What an attempt executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Step,
    Compensation,
}

/// An attempt under way. If it is dropped before [`end`](Attempt::end), for example because another
/// branch of a `select!` won, it reports the step to the host as abandoned.
#[derive(Debug)]
pub(crate) struct Attempt {
    kind: Kind,
    scope: u64,
    /// The random stream, which all attempts read from its beginning.
    stream: Stream,
    /// The attempt is part of a compensation.
    compensating: bool,
    ended: Cell<bool>,
}

impl Attempt {
    pub(crate) fn new(kind: Kind, scope: u64, place: Place) -> Self {
        let compensating = kind == Kind::Compensation || scope::is_compensating();
        Attempt { kind, scope, stream: runtime::derive_stream(place), compensating, ended: Cell::new(false) }
    }

    /// Runs `future` in the attempt's scope.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        scope::within(Scope::new(self.scope, self.stream, self.compensating), future).await
    }

    /// Marks the attempt as ended. The caller reports its outcome to the host.
    pub(crate) fn end(&self) {
        self.ended.set(true);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        runtime::end_stream(self.stream);
        runtime::end_stream(Stream::Scope(self.scope));
        // Compensations are not abandoned: their future is dropped only when the run unwinds, and the
        // run then begins the handler again.
        let abandoned = !self.ended.get() && self.kind == Kind::Step;
        if abandoned && runtime::phase() != Phase::Unwinding {
            host::step::abandon(self.scope);
        }
    }
}
