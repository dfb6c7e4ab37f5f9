use forge_journal::{EffectKind, Outcome, Row};
use forge_sandbox::{Stop, imports::time};

use super::{Beginning, Doubt, Effect, EffectFuture};

/// A durable timer. Its end is in its row, and the activation watches the clock for all rows that have one.
pub(super) struct Timer(EffectKind);

impl Timer {
    /// `ctx.sleep()`.
    pub(super) const SLEEP: Self = Self(time::SLEEP);

    /// The timer of a step's timeout.
    pub(super) const TIMEOUT: Self = Self(time::TIMEOUT);
}

impl Effect for Timer {
    fn kind(&self) -> EffectKind {
        self.0
    }

    fn may_leave_memory(&self) -> bool {
        true
    }

    fn in_doubt(&self, _: &Row, _: Option<&Outcome>) -> Option<String> {
        None
    }

    fn unsettled(&self, _: &Row, _: bool) -> Option<Doubt> {
        None
    }

    fn begin(&self, _: &Beginning<'_>) -> Result<Option<EffectFuture>, Stop> {
        Ok(None)
    }
}
