mod apply;
mod changes;
mod load;
mod rollback;

use std::collections::BTreeSet;
use std::fmt::Write as _;

pub use self::apply::IllegalEvent;
pub use self::changes::Changes;
pub use self::load::CorruptJournal;
use super::index::Index;
use super::{Kind, Row, Run, Scope, StepStatus};

/// A run and its calls. Changed by [`Journal::apply`] only.
#[derive(Debug, Clone)]
pub struct Journal {
    run: Run,
    /// Row `seq` is at index `seq - 1`.
    rows: Vec<Row>,
    /// What finds them.
    index: Index,
    /// The last place given in the order of what the guest saw.
    last_order: u64,
    /// Rows changed since [`Journal::take_changes`].
    touched: BTreeSet<u64>,
    /// The last row that the store has or was handed.
    last_stored: u64,
    /// Whether the run itself changed since then.
    run_touched: bool,
    /// Whether the store has the run.
    run_stored: bool,
}

impl Journal {
    /// The journal of a run that begins and that the store has.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            rows: Vec::new(),
            index: Index::default(),
            last_order: 0,
            touched: BTreeSet::new(),
            last_stored: 0,
            run_touched: false,
            run_stored: true,
        }
    }

    /// The journal of a run that begins and that the store does not have.
    pub fn unsaved(run: Run) -> Self {
        Self { run_touched: true, run_stored: false, ..Self::new(run) }
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// All rows, in order of their beginning.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// A row.
    pub fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// The call with this index in this scope.
    pub fn call(&self, scope: Scope, index: u32) -> Option<&Row> {
        self.row(self.index.call(scope, index)?)
    }

    /// The step with this name.
    pub fn step(&self, name: &str) -> Option<&Row> {
        self.row(self.index.step(name)?)
    }

    /// The compensation of a step.
    pub fn compensation(&self, step: u64) -> Option<&Row> {
        self.row(self.index.compensation(step)?)
    }

    /// The effect of this scope that has no index, such as the timer of an attempt's timeout.
    pub fn effect_of_scope(&self, scope: Scope) -> Option<&Row> {
        self.row(self.index.of_scope(scope)?)
    }

    /// The place of the last completed step that has a compensation handler: the point to which a
    /// rollback must replay, since every handler is registered by then. `None`: nothing to compensate.
    pub fn last_compensable(&self) -> Option<u64> {
        self.rows.iter().filter(|row| row.is_compensable()).filter_map(|row| row.order).max()
    }

    /// Completed steps with a handler whose compensation has not succeeded.
    pub fn uncompensated(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_compensable() && row.status != StepStatus::Compensated)
    }

    /// The last place given in the order of what the guest saw end; 0 if none was.
    pub fn last_order(&self) -> u64 {
        self.last_order
    }

    /// The idempotency key of a request: the run, and the indices that lead to it; low-level steps,
    /// which have none, stand as `@name`. Attempts are
    /// not part of it: the retry of a step whose request timed out must not act twice.
    pub fn idempotency_key(&self, row: &Row) -> String {
        let mut path = Vec::new();
        let mut scope = row.scope;
        while let Some(parent) = self.row(scope.step) {
            path.push(match (parent.kind, parent.index) {
                (Kind::Compensation, _) => "compensate".to_owned(),
                (_, Some(index)) => index.to_string(),
                (_, None) => format!("@{}", escaped(&parent.name)),
            });
            scope = parent.scope;
        }
        path.reverse();
        let index = row.index.unwrap_or(0);
        format!("{}:{}:{index}", self.run.id, path.join("/"))
    }
}

/// A name that holds nothing with a meaning in a key or a header: other bytes become `%XX`.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.#".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
