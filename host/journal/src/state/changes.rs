use super::Journal;
use crate::{Row, Run};

/// Units of fuel that a crash may make the store forget of a run: a second or so of computing.
const MUCH_FUEL: u64 = 1_000_000_000;

/// What changed and is not yet handed to the store.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The run, if it changed.
    pub run: Option<Box<Run>>,
    /// Whether the run was never handed out before: a store may expect that it does not have it.
    pub new_run: bool,
    /// The rows that are new or changed, in order.
    pub rows: Vec<Row>,
    /// How many of them, the last ones, were never handed out before: a store may expect that it has none of them.
    pub new_rows: usize,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.run.is_none() && self.rows.is_empty()
    }
}

impl Journal {
    /// Whether [`Journal::take_changes`] has anything to hand out.
    pub fn has_changes(&self) -> bool {
        self.run_touched || !self.touched.is_empty()
    }

    /// Hands out what changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        let run = std::mem::take(&mut self.run_touched).then(|| Box::new(self.run.clone()));
        let touched = std::mem::take(&mut self.touched);
        let rows: Vec<Row> = touched.into_iter().filter_map(|seq| self.row(seq).cloned()).collect();
        let new_rows = rows.iter().filter(|row| row.seq > self.last_stored).count();
        self.last_stored = self.rows.len() as u64;
        let new_run = run.is_some() && !std::mem::replace(&mut self.run_stored, true);
        Changes { run, new_run, rows, new_rows }
    }

    /// Forgets what changed since the last time. What the store has never had is a run that has only begun: its start was
    /// taken, and stays.
    pub fn discard_changes(&mut self) {
        self.touched.clear();
        self.run_touched = !self.run_stored;
    }

    /// The guest used so much fuel, which the store learns with the run's next change, or when it is a lot.
    pub fn computed(&mut self, fuel: u64) {
        let before = self.run.fuel;
        self.run.fuel = before.saturating_add(fuel);
        self.run_touched |= self.run_stored && before / MUCH_FUEL != self.run.fuel / MUCH_FUEL;
    }
}
