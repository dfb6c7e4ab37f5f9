//! The limit on what a guest logs.

/// The bytes that a line takes beside its message: the time, the run and the workflow.
const LINE: u64 = 100;

/// The bytes that a run may still log. A run that is loaded again starts with a full budget.
#[derive(Debug)]
pub(super) struct LogBudget {
    limit: u64,
    left: u64,
    /// Whether anything was dropped.
    exhausted: bool,
}

/// The decision about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The line is written.
    Written,
    /// The line is the first to be dropped, which the log must say.
    FirstDropped,
    /// The line is dropped, and the log already says so.
    Dropped,
}

impl LogBudget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, left: limit, exhausted: false }
    }

    /// Returns the bytes of a line with a message of this many bytes.
    pub(super) fn line(bytes: usize) -> u64 {
        LINE.saturating_add(bytes as u64)
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns whether every further line is dropped.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Decides on a line of this many bytes. After the first dropped line, all are dropped: a log with holes misleads.
    pub(super) fn take(&mut self, bytes: usize) -> Line {
        let left = self.left.checked_sub(Self::line(bytes));
        match left {
            _ if self.exhausted => Line::Dropped,
            Some(left) => {
                self.left = left;
                Line::Written
            }
            None => {
                self.exhausted = true;
                Line::FirstDropped
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_until_one_does_not_fit_and_that_is_said_once() {
        let mut budget = LogBudget::new(1_000);
        let lines = [300, 300, 300, 10, 10].map(|bytes| budget.take(bytes));
        assert_eq!(lines, [Line::Written, Line::Written, Line::FirstDropped, Line::Dropped, Line::Dropped]);
        assert!(budget.is_exhausted());
    }
}
