//! The lines that a run has logged, as callers ask for them.

use std::sync::Arc;

use forge_journal::{LogLevel, LogLine};

/// A selection of the lines of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Selects lines after the one with this `seq`.
    pub after: u64,
    /// Selects lines that were saved after this revision of the journal.
    pub since: u64,
    /// Selects lines of this level and of more severe ones.
    pub level: LogLevel,
    /// Selects lines of the steps with this name or with `name#2`, `name#3` and so on, as later passes of a step in a loop have
    /// it, and of their compensations.
    pub step: Option<String>,
    /// The maximum number of lines.
    pub limit: u32,
    /// The maximum bytes of messages. A page has at least one line, if there is one.
    pub bytes: u64,
}

impl Default for LogFilter {
    /// Selects all lines.
    fn default() -> Self {
        Self { after: 0, since: 0, level: LogLevel::Trace, step: None, limit: u32::MAX, bytes: u64::MAX }
    }
}

/// Lines of a run, in the order in which they were logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Whether the filter selects later lines.
    pub has_more: bool,
}

impl LogPage {
    /// Returns a page without lines.
    pub(crate) fn new(tenant: Arc<str>) -> Self {
        Self { tenant, lines: Vec::new(), has_more: false }
    }

    /// Adds a line if there is room for it. Returns whether there may be room for another one.
    pub(crate) fn add(&mut self, line: LogLine, filter: &LogFilter, bytes: &mut u64) -> bool {
        *bytes += line.message.len() as u64;
        let is_full = self.lines.len() >= filter.limit as usize || *bytes > filter.bytes;
        self.has_more = is_full && !self.lines.is_empty();
        if !self.has_more {
            self.lines.push(line);
        }
        !self.has_more
    }
}
