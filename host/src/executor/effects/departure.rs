use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing has left the host.
const HERE: u8 = 0;

/// Something may have left the host.
const LEFT: u8 = 1;

/// Nothing has left the host, and nothing will.
const WITHHELD: u8 = 2;

/// Whether an effect has left the host. One that waits for its turn can be withheld.
#[derive(Debug, Default)]
pub(in crate::executor) struct Departure(AtomicU8);

impl Departure {
    /// Lets the effect leave. Returns whether it may.
    pub(in crate::executor) fn leave(&self) -> bool {
        self.0.compare_exchange(HERE, LEFT, Ordering::AcqRel, Ordering::Acquire) != Err(WITHHELD)
    }

    /// Withholds the effect. Returns whether nothing has left.
    pub(in crate::executor) fn withhold(&self) -> bool {
        self.0.compare_exchange(HERE, WITHHELD, Ordering::AcqRel, Ordering::Acquire) != Err(LEFT)
    }

    /// Returns whether something may have left.
    pub(in crate::executor) fn has_left(&self) -> bool {
        self.0.load(Ordering::Acquire) == LEFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_left_is_not_withheld_and_what_is_withheld_does_not_leave() {
        let sent = Departure::default();
        assert!(sent.leave() && sent.leave() && sent.has_left() && !sent.withhold());
        let withheld = Departure::default();
        assert!(withheld.withhold() && withheld.withhold() && !withheld.leave() && !withheld.has_left());
    }
}
