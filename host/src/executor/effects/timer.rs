use forge_journal::EffectKind;
use forge_sandbox::{Stop, imports::time};

use super::{Beginning, Begun, Effect};

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

    fn begin(&self, _: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        Ok(None)
    }
}
