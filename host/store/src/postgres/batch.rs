//! One statement cannot change a row twice, so a batch is reduced to the last state of each row first.

use std::sync::Arc;

use crate::Write;
use forge_journal::{Row, Run, RunId};

/// Faster than the standard one; its seed is random.
type HashMap<K, V> = std::collections::HashMap<K, V, std::hash::RandomState>;

/// Bytes that a statement may hold, about. PostgreSQL takes a gigabyte at most, and needs several times as much
/// memory.
const STATEMENT_BYTES: usize = 64 << 20;

/// Who gets a run that is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Me,
    Nobody,
}

/// The last state of a run in a batch.
#[derive(Debug)]
pub(super) struct RunState<'w> {
    pub(super) run: &'w Run,
    pub(super) owner: Owner,
    /// It begins, and leaves alone what there is: a run with the same key, or itself, which another
    /// node may have claimed since.
    pub(super) begins: bool,
    /// The database has no such run, unless this batch was written before and nobody knows.
    pub(super) is_new: bool,
}

/// The last state of a row of a run.
#[derive(Debug)]
pub(super) struct RowState<'w> {
    pub(super) run: RunId,
    pub(super) row: &'w Row,
    /// The database has no such row, unless this batch was written before and nobody knows.
    pub(super) is_new: bool,
}

/// What one statement writes. No two of its runs have the same id, or the same key, and no two rows
/// the same place.
#[derive(Debug, Default)]
pub(super) struct Batch<'w> {
    pub(super) runs: Vec<RunState<'w>>,
    pub(super) rows: Vec<RowState<'w>>,
}

/// What a key is unique with: tenant, workflow and the key of a run that has one.
pub(super) type Key<'r> = (&'r Arc<str>, &'r Arc<str>, &'r Arc<str>);

pub(super) fn key(run: &Run) -> Option<Key<'_>> {
    run.key.as_ref().map(|key| (&run.tenant, &run.workflow, key))
}

impl<'w> Batch<'w> {
    pub(super) fn of(writes: &'w [Write]) -> Self {
        let mut batch = Self::default();
        let mut places = Places::default();
        for write in writes {
            match write {
                Write::Start(run) => batch.begin(run, Owner::Me, &mut places),
                Write::InsertUnowned(run) => batch.begin(run, Owner::Nobody, &mut places),
                Write::Save(id, changes) => {
                    if let Some(run) = &changes.run {
                        batch.save(run, changes.new_run, &mut places);
                    }
                    let known = changes.rows.len().saturating_sub(changes.new_rows);
                    for (place, row) in changes.rows.iter().enumerate() {
                        batch.put(*id, row, place >= known, &mut places);
                    }
                }
            }
        }
        // Two nodes that begin runs with the same keys wait for each other in the same order.
        batch.runs.sort_by(|one, other| key(one.run).cmp(&key(other.run)));
        batch
    }

    fn begin(&mut self, run: &'w Run, owner: Owner, places: &mut Places<'w>) {
        let first = key(run).is_none_or(|key| places.keys.insert(key, ()).is_none());
        if first && !places.runs.contains_key(&run.id) {
            places.runs.insert(run.id, self.runs.len());
            let begins = run.key.is_some() || owner == Owner::Nobody;
            self.runs.push(RunState { run, owner, begins, is_new: !begins });
        }
    }

    fn save(&mut self, run: &'w Run, is_new: bool, places: &mut Places<'w>) {
        match places.runs.get(&run.id).and_then(|place| self.runs.get_mut(*place)) {
            Some(state) => state.run = run,
            None => {
                places.runs.insert(run.id, self.runs.len());
                self.runs.push(RunState { run, owner: Owner::Me, begins: false, is_new });
            }
        }
    }

    fn put(&mut self, run: RunId, row: &'w Row, is_new: bool, places: &mut Places<'w>) {
        match places.rows.get(&(run, row.seq)).and_then(|place| self.rows.get_mut(*place)) {
            Some(state) => state.row = row,
            None => {
                places.rows.insert((run, row.seq), self.rows.len());
                self.rows.push(RowState { run, row, is_new });
            }
        }
    }

    pub(super) fn has_offers(&self) -> bool {
        self.runs.iter().any(|state| state.owner == Owner::Nobody)
    }

    /// Parts that a statement can hold.
    pub(super) fn parts(self) -> Vec<Self> {
        self.parts_of(STATEMENT_BYTES)
    }

    fn parts_of(self, most: usize) -> Vec<Self> {
        let mut parts = vec![Self::default()];
        let mut bytes = 0;
        for state in self.runs {
            let size = length(Some(&state.run.input)) + length(state.run.output.as_ref());
            room(&mut parts, &mut bytes, size, most).runs.push(state);
        }
        for state in self.rows {
            let size = length(state.row.input.as_ref()) + length(state.row.result.as_ref());
            room(&mut parts, &mut bytes, size, most).rows.push(state);
        }
        parts
    }
}

/// Where the states of a batch are.
#[derive(Default)]
struct Places<'w> {
    runs: HashMap<RunId, usize>,
    rows: HashMap<(RunId, u64), usize>,
    keys: HashMap<Key<'w>, ()>,
}

fn length(document: Option<&Arc<str>>) -> usize {
    document.map_or(0, |document| document.len())
}

/// The last part, or a new one if it has no room for so much.
fn room<'p, 'w>(
    parts: &'p mut Vec<Batch<'w>>,
    bytes: &mut usize,
    size: usize,
    most: usize,
) -> &'p mut Batch<'w> {
    if *bytes > 0 && *bytes + size > most {
        parts.push(Batch::default());
        *bytes = 0;
    }
    *bytes += size;
    let last = parts.len() - 1;
    &mut parts[last]
}

#[cfg(test)]
mod tests {
    use super::*;
    use forge_journal::{Begin, Changes, Kind, NewRun, Scope, Timestamp, WorkflowStatus};

    fn run(number: u128, key: Option<&str>) -> Run {
        let new = NewRun {
            id: RunId(uuid::Uuid::from_u128(number)),
            tenant: "t".into(),
            workflow: "w".into(),
            version: 1,
            digest: "d".into(),
            input: "12345".into(),
            started_at: Timestamp(1),
            timeout_ms: 1,
        };
        Run { key: key.map(Into::into), ..Run::new(new) }
    }

    fn row(seq: u64, attempt: u32) -> Row {
        let begin = Begin::new(Scope::BODY, None, Kind::Step, "s", None);
        Row { result: Some("12345".into()), attempt, ..Row::new(seq, begin, Timestamp(1)) }
    }

    fn save(run: Run, rows: Vec<Row>) -> Write {
        Write::Save(run.id, Changes { run: Some(Box::new(run)), rows, new_run: false, new_rows: 0 })
    }

    #[test]
    fn of_each_run_and_row_the_last_state_is_left() {
        let completed = Run { status: WorkflowStatus::Completed, ..run(1, None) };
        let writes = [
            Write::Start(Box::new(run(1, None))),
            save(run(1, None), vec![row(1, 1), row(2, 1)]),
            save(completed, vec![row(1, 2)]),
            Write::InsertUnowned(Box::new(run(2, None))),
        ];
        let batch = Batch::of(&writes);
        let runs: Vec<_> =
            batch.runs.iter().map(|state| (state.run.status, state.owner, state.begins)).collect();
        assert_eq!(
            runs,
            [(WorkflowStatus::Completed, Owner::Me, false), (WorkflowStatus::Created, Owner::Nobody, true)]
        );
        let rows: Vec<_> = batch.rows.iter().map(|state| (state.row.seq, state.row.attempt)).collect();
        assert_eq!(rows, [(1, 2), (2, 1)]);
        assert!(batch.has_offers());
    }

    #[test]
    fn a_row_is_new_until_the_batch_that_inserts_it_is_written() {
        let save = |rows: Vec<Row>, new_rows| {
            Write::Save(run(1, None).id, Changes { run: None, rows, new_run: false, new_rows })
        };
        let writes = [save(vec![row(1, 2), row(2, 1)], 1), save(vec![row(2, 2)], 0)];
        let batch = Batch::of(&writes);
        let rows: Vec<_> =
            batch.rows.iter().map(|state| (state.row.seq, state.row.attempt, state.is_new)).collect();
        assert_eq!(rows, [(1, 2, false), (2, 2, true)]);
    }

    #[test]
    fn of_runs_with_the_same_key_the_first_is_left() {
        let writes = [
            Write::Start(Box::new(run(1, Some("b")))),
            Write::Start(Box::new(run(2, Some("a")))),
            Write::Start(Box::new(run(3, Some("b")))),
        ];
        let batch = Batch::of(&writes);
        let runs: Vec<_> = batch.runs.iter().map(|state| state.run.id.0.as_u128()).collect();
        assert_eq!(runs, [2, 1], "in the order of their keys");
    }

    #[test]
    fn a_batch_falls_into_parts_that_a_statement_can_hold() {
        let writes = [save(run(1, None), vec![row(1, 1), row(2, 1)]), Write::Start(Box::new(run(2, None)))];
        let sizes = |most| -> Vec<(usize, usize)> {
            let parts = Batch::of(&writes).parts_of(most);
            parts.iter().map(|part| (part.runs.len(), part.rows.len())).collect()
        };
        assert_eq!(sizes(100), [(2, 2)]);
        assert_eq!(sizes(10), [(2, 0), (0, 2)]);
        assert_eq!(sizes(1), [(1, 0), (1, 0), (0, 1), (0, 1)]);
    }
}
