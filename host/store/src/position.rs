//! What changed in a journal since a revision: what a reader that follows a run asks for.

use std::sync::Arc;

use forge_journal::Row;

/// The position of a run's journal: every change up to it is visible to reads that begin later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// The highest revision of the run and of the calls that were looked at.
    pub revision: u64,
    /// The last call that has changed; 0 if none has.
    pub last_changed: u64,
    /// The number of calls that were looked at.
    pub calls: u64,
    /// The number of those that have changed.
    pub changed: u64,
}

/// A page of the calls that have changed since a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedFilter {
    /// Selects calls with a higher revision; `None` selects all calls.
    pub since: Option<u64>,
    /// Selects calls that began after the one with this `seq`.
    pub after: u64,
    /// The last call that is selected: [`Position::last_changed`]. Calls that begin while pages are read are left to the
    /// next reader, so that the pages end.
    pub until: u64,
    /// The maximum number of calls.
    pub limit: u32,
    /// The maximum bytes of inputs and results. A page has at least one call.
    pub bytes: u64,
    /// Whether the calls have their inputs and results.
    pub payloads: bool,
}

/// Calls that have changed, in the order in which they began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChangedPage {
    /// The calls.
    pub rows: Vec<Row>,
    /// Whether later calls have changed.
    pub has_more: bool,
}

/// Returns a revision for a comparison in SQL. Every revision is higher than -1.
pub(crate) fn lower_bound(since: Option<u64>) -> i64 {
    since.map_or(-1, |since| i64::try_from(since).unwrap_or(i64::MAX))
}
