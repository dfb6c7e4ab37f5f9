mod apply;
mod changes;
mod inbox;
mod keys;
mod load;
mod notes;
mod operator;
mod rollback;
mod stored;

use std::collections::BTreeSet;

pub use self::apply::IllegalEvent;
pub use self::changes::Changes;
pub use self::load::CorruptJournal;
use self::notes::Unsaved;
pub use self::operator::Unresolvable;
use self::stored::Counted;
pub use self::stored::Growth;
use super::index::Index;
use super::{Inbox, Message, Row, Run, Scope, StepStatus, Timestamp};

/// A run and its calls. Only [`Journal::apply`] changes them.
#[derive(Debug, Clone)]
pub struct Journal {
    run: Run,
    /// Row `seq` is at index `seq - 1`.
    rows: Vec<Row>,
    /// Finds rows by their identity.
    index: Index,
    /// The last delivery number that was given.
    last_order: u64,
    /// The time of the latest event in the journal.
    latest: Timestamp,
    /// The last step that began; 0 if there is none.
    last_step: u64,
    /// The open effects that have not left the host, while the run has no instance. The store does not have it.
    withheld: BTreeSet<u64>,
    /// What others have sent to the run.
    inbox: Inbox,
    /// The entries taken since the last [`Journal::take_changes`], each with the call that took it; 0 for none.
    taken: Vec<(u64, u64)>,
    /// What the run sends to its parent and its children with its next changes.
    outbox: Vec<Message>,
    /// The rows changed since the last [`Journal::take_changes`].
    touched: BTreeSet<u64>,
    /// The last row that the store has, or that `take_changes` returned.
    last_stored: u64,
    /// Whether the run itself changed since the last `take_changes`.
    run_touched: bool,
    /// Whether the store has the run.
    run_stored: bool,
    /// The revision of the last `take_changes`.
    revision: u64,
    /// The notes that the store does not have.
    notes: Unsaved,
    /// What the store has counted, or was told to count by `take_changes`.
    counted: Counted,
}

impl Journal {
    /// Creates the empty journal of a run that is in the store.
    pub fn new(run: Run) -> Self {
        Self {
            latest: run.started_at,
            revision: run.revision,
            counted: Counted::of(&run, &[]),
            notes: Unsaved::of(&run),
            run,
            rows: Vec::new(),
            index: Index::default(),
            last_order: 0,
            last_step: 0,
            withheld: BTreeSet::new(),
            inbox: Inbox::default(),
            taken: Vec::new(),
            outbox: Vec::new(),
            touched: BTreeSet::new(),
            last_stored: 0,
            run_touched: false,
            run_stored: true,
        }
    }

    /// Creates the empty journal of a run that is not in the store.
    pub fn unsaved(run: Run) -> Self {
        Self { run_touched: true, run_stored: false, counted: Counted::default(), ..Self::new(run) }
    }

    /// Returns the run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Returns all rows, in the order in which the calls began.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the row with this `seq`.
    pub fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// Returns the call with this index in this scope.
    pub fn call(&self, scope: Scope, index: u32) -> Option<&Row> {
        self.row(self.index.call(scope, index)?)
    }

    /// Returns the step with this name.
    pub fn step(&self, name: &str) -> Option<&Row> {
        self.row(self.index.step(name)?)
    }

    /// Returns the compensation of a step.
    pub fn compensation(&self, step: u64) -> Option<&Row> {
        self.row(self.index.compensation(step)?)
    }

    /// Returns the effect of this scope that has no index, such as the timer of an attempt's timeout.
    pub fn effect_of_scope(&self, scope: Scope) -> Option<&Row> {
        self.row(self.index.of_scope(scope)?)
    }

    /// Returns the delivery number of the last completed step with a compensation handler. A rollback replays to there,
    /// because every handler is registered by then. `None` if there is nothing to compensate.
    pub fn last_compensable(&self) -> Option<u64> {
        self.rows.iter().filter(|row| row.is_compensable()).filter_map(|row| row.order).max()
    }

    /// Returns the completed steps with a handler whose compensation has not succeeded.
    pub fn uncompensated(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_compensable() && row.status != StepStatus::Compensated)
    }

    /// Returns whether an open effect of a run without an instance has certainly not left the host.
    pub fn is_withheld(&self, seq: u64) -> bool {
        self.withheld.contains(&seq)
    }

    /// Returns the last delivery number that was given; 0 if there is none.
    pub fn last_order(&self) -> u64 {
        self.last_order
    }

    /// Returns the run's time when the clock shows `now`. A clock may be stepped back, and the next node's may be late: the
    /// time of a run stands still until the clock has reached the latest event.
    pub fn time(&self, now: Timestamp) -> Timestamp {
        now.max(self.latest)
    }
}
