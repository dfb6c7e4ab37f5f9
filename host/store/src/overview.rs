//! A run with its last steps: what its status shows. Reading it costs the same however long the journal is.

use std::sync::Arc;

use forge_journal::{Kind, Row, Run, StepStatus, Timestamp};

/// The most steps of an overview. Few workflows have more.
pub(crate) const MOST_STEPS: usize = 100;

/// The most bytes of results in an overview: as a run's status is polled, it stays small beside its input and output.
pub(crate) const MOST_RESULT_BYTES: u64 = 256 << 10;

/// The most events of an overview. The others are counted.
pub(crate) const MOST_EVENTS: u32 = 100;

/// A run with its last steps and the events in its inbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The run.
    pub run: Run,
    /// The events that the run has not taken. They may be newer than the run.
    pub events: UntakenEvents,
    /// The last steps. They may be newer than the run.
    pub recent: RecentSteps,
}

/// The events that a run has not taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UntakenEvents {
    /// Their number.
    pub count: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
    /// The first of them, in their order, without their payloads.
    pub first: Vec<UntakenEvent>,
}

/// An event that a run has not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntakenEvent {
    /// Its position in the inbox.
    pub seq: u64,
    /// Its name.
    pub name: Arc<str>,
    /// Its key, which every event has.
    pub key: Arc<str>,
    /// The time at which it was sent.
    pub at: Timestamp,
    /// The bytes of its payload.
    pub bytes: u64,
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
