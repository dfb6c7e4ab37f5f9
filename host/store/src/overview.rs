//! A run with its last steps: what its status shows. Reading it costs the same however long the journal is.

use std::sync::Arc;

use forge_journal::{Kind, Row, Run, StepStatus};

/// The most steps of an overview. Few workflows have more.
pub(crate) const MOST_STEPS: usize = 100;

/// The most bytes of results in an overview: as a run's status is polled, it stays small beside its input and output.
pub(crate) const MOST_RESULT_BYTES: u64 = 256 << 10;

/// A run with its last steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The run.
    pub run: Run,
    /// The last steps. They may be newer than the run.
    pub recent: RecentSteps,
}

/// What can be read of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Readable {
    /// The run. A field whose column cannot be read is empty.
    pub run: Run,
    /// Why the other columns cannot be read; empty if all were.
    pub problems: Vec<String>,
}

/// The last steps of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecentSteps {
    /// The number of journaled calls of the run.
    pub calls: u64,
    /// The steps, the last one first.
    pub steps: Vec<RecentStep>,
    /// Whether the run has earlier steps.
    pub has_more: bool,
}

/// A step of an overview.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentStep {
    /// The name.
    pub name: Arc<str>,
    /// The status.
    pub status: StepStatus,
    /// The result, a JSON document.
    pub result: Option<Arc<str>>,
}

impl RecentSteps {
    /// Returns the last steps of a journal.
    pub fn of(rows: &[Row]) -> Self {
        let mut recent = Self { calls: rows.len() as u64, ..Self::default() };
        let mut bytes = 0;
        for row in rows.iter().rev().filter(|row| row.kind == Kind::Step) {
            bytes += row.result.as_ref().map_or(0, |result| result.len() as u64);
            if !recent.has_room(bytes) {
                break;
            }
            let (name, result) = (Arc::clone(&row.name), row.result.clone());
            recent.steps.push(RecentStep { name, status: row.status, result });
        }
        recent
    }

    /// Whether there is room for another step, with which the results have this many bytes. Otherwise it is recorded that
    /// the run has more steps.
    pub(crate) fn has_room(&mut self, bytes: u64) -> bool {
        self.has_more = self.steps.len() >= MOST_STEPS || bytes > MOST_RESULT_BYTES;
        !self.has_more
    }
}
