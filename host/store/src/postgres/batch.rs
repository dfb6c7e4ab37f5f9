//! A batch reduced to the last state of each run and row: one statement cannot change a row twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::operations::children;
use crate::Write;
use forge_journal::{Growth, LogLine, Row, Run, RunId};

/// Approximate bytes of documents in one statement. PostgreSQL's limit is 1 GiB, and it needs several times as much
/// memory as a statement has bytes.
const STATEMENT_BYTES: usize = 64 << 20;

/// The owner of a run that is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The epoch that writes.
    This,
    Nobody,
}

/// The last state of a run in a batch.
#[derive(Debug)]
pub(super) struct RunState<'w> {
    pub(super) run: &'w Run,
    pub(super) owner: Owner,
    /// It is inserted unless it exists, or a run with its key exists. It may exist because this batch was committed
    /// before; then another node may have claimed it since.
    pub(super) begins: bool,
    /// The database has no such run, unless this batch was committed before and the answer was lost.
    pub(super) is_new: bool,
}

/// The last state of a row of a run.
#[derive(Debug)]
pub(super) struct RowState<'w> {
    pub(super) run: RunId,
    pub(super) row: &'w Row,
    /// The database has no such row, unless this batch was committed before and the answer was lost.
    pub(super) is_new: bool,
}

/// A line of a run.
#[derive(Debug)]
pub(super) struct Line<'w> {
    pub(super) run: RunId,
    pub(super) line: &'w LogLine,
}

/// What one statement writes. Its runs have different ids and different keys, its rows different primary keys.
#[derive(Debug, Default)]
pub(super) struct Batch<'w> {
    pub(super) runs: Vec<RunState<'w>>,
    pub(super) rows: Vec<RowState<'w>>,
    /// The lines, each of which is new.
    pub(super) lines: Vec<Line<'w>>,
    /// What is added to the totals of each tenant, without the runs that [`begin`](RunState::begins).
    pub(super) grown: BTreeMap<&'w str, Growth>,
}

/// Tenant, workflow and idempotency key of a run, which are unique together.
pub(super) type Key<'r> = (&'r Arc<str>, &'r Arc<str>, &'r Arc<str>);

pub(super) fn key(run: &Run) -> Option<Key<'_>> {
    run.key.as_ref().map(|key| (&run.tenant, &run.workflow, key))
}

impl<'w> Batch<'w> {
    pub(super) fn of(writes: &'w [Write]) -> Self {
        let mut batch = Self::default();
        let mut places = Places::default();
        for write in writes {
            batch.grow(write);
            if let Some((run, unowned)) = write.start() {
                let owner = if unowned { Owner::Nobody } else { Owner::This };
                batch.begin(run, owner, run.key.is_some() || unowned, &mut places);
            }
            match write {
                Write::Start(_)
                | Write::InsertUnowned(_)
                | Write::StartWithEvent { .. }
                | Write::Send(_)
                | Write::Transaction(_) => {}
                Write::Save(id, changes) => {
                    for child in children(changes) {
                        batch.begin(child, Owner::This, true, &mut places);
                    }
                    if let Some(run) = &changes.run {
                        batch.save(run, changes.new_run, &mut places);
                    }
                    let known = changes.rows.len().saturating_sub(changes.new_rows);
                    for (place, row) in changes.rows.iter().enumerate() {
                        batch.put(*id, row, place >= known, &mut places);
                    }
                    batch.lines.extend(changes.lines.iter().map(|line| Line { run: *id, line }));
                }
            }
        }
        // Nodes that start runs with the same keys, or send to runs, lock them in the same order, so that they do not deadlock.
        batch.runs.sort_by(|one, other| (key(one.run), one.run.id).cmp(&(key(other.run), other.run.id)));
        batch
    }

    fn grow(&mut self, write: &'w Write) {
        let (tenant, growth) = write.grown();
        // The statement counts these itself: another run may have the key.
        let begins = write.start().is_some_and(|(run, unowned)| run.key.is_some() || unowned);
        if !begins && !growth.is_none() {
            *self.grown.entry(tenant).or_default() += growth;
        }
    }

    fn begin(&mut self, run: &'w Run, owner: Owner, begins: bool, places: &mut Places<'w>) {
        let first = key(run).is_none_or(|key| places.keys.insert(key, ()).is_none());
        if first && !places.runs.contains_key(&run.id) {
            places.runs.insert(run.id, self.runs.len());
            self.runs.push(RunState { run, owner, begins, is_new: !begins });
        }
    }

    fn save(&mut self, run: &'w Run, is_new: bool, places: &mut Places<'w>) {
        match places.runs.get(&run.id).and_then(|place| self.runs.get_mut(*place)) {
            Some(state) => state.run = run,
            None => {
                places.runs.insert(run.id, self.runs.len());
                self.runs.push(RunState { run, owner: Owner::This, begins: false, is_new });
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

    pub(super) fn has_unowned(&self) -> bool {
        self.runs.iter().any(|state| state.owner == Owner::Nobody)
    }

    /// Returns the part of the batch that writes runs.
    pub(super) fn runs_only(self) -> Self {
        Self { rows: Vec::new(), lines: Vec::new(), ..self }
    }

    /// Returns the part of the batch that writes rows and lines.
    pub(super) fn rows_only(self) -> Self {
        Self { rows: self.rows, lines: self.lines, ..Self::default() }
    }

    /// Splits the batch into parts for one statement each.
    pub(super) fn parts(self) -> Vec<Self> {
        self.parts_of(STATEMENT_BYTES)
    }

    fn parts_of(self, most: usize) -> Vec<Self> {
        let mut parts = vec![Self { grown: self.grown, ..Self::default() }];
        let mut bytes = 0;
        for state in self.runs {
            let run = state.run;
            let size = length(Some(&run.input)) + length(run.output.as_ref()) + run.published.json_length();
            part_for(&mut parts, &mut bytes, size, most).runs.push(state);
        }
        for state in self.rows {
            let size = length(state.row.input.as_ref()) + length(state.row.result.as_ref());
            part_for(&mut parts, &mut bytes, size, most).rows.push(state);
        }
        for line in self.lines {
            let size = line.line.message.len();
            part_for(&mut parts, &mut bytes, size, most).lines.push(line);
        }
        parts
    }
}

/// The indexes of the states in a batch.
#[derive(Default)]
struct Places<'w> {
    runs: HashMap<RunId, usize>,
    rows: HashMap<(RunId, u64), usize>,
    keys: HashMap<Key<'w>, ()>,
}

fn length(document: Option<&Arc<str>>) -> usize {
    document.map_or(0, |document| document.len())
}

/// Returns the last part, or a new one if `size` bytes do not fit into the last part.
fn part_for<'p, 'w>(
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
    use crate::schema;
    use forge_journal::{Changes, WorkflowStatus};

    fn run(number: u128, key: Option<&str>) -> Run {
        let id = RunId(uuid::Uuid::from_u128(number));
        Run { input: "12345".into(), key: key.map(Into::into), ..schema::runs::blank(id) }
    }

    fn row(seq: u64, attempt: u32) -> Row {
        Row { result: Some("12345".into()), attempt, ..schema::steps::blank(seq) }
    }

    fn save(run: Run, rows: Vec<Row>) -> Write {
        Write::Save(
            run.id,
            Changes { run: Some(Box::new(run)), rows, new_run: false, new_rows: 0, ..Changes::default() },
        )
    }

    #[test]
    fn the_last_state_of_each_run_and_row_is_kept() {
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
            [(WorkflowStatus::Completed, Owner::This, false), (WorkflowStatus::Created, Owner::Nobody, true)]
        );
        let rows: Vec<_> = batch.rows.iter().map(|state| (state.row.seq, state.row.attempt)).collect();
        assert_eq!(rows, [(1, 2), (2, 1)]);
        assert!(batch.has_unowned());
    }

    #[test]
    fn a_row_is_new_until_the_batch_that_inserts_it_is_committed() {
        let save = |rows: Vec<Row>, new_rows| {
            Write::Save(run(1, None).id, Changes { rows, new_rows, ..Changes::default() })
        };
        let writes = [save(vec![row(1, 2), row(2, 1)], 1), save(vec![row(2, 2)], 0)];
        let batch = Batch::of(&writes);
        let rows: Vec<_> =
            batch.rows.iter().map(|state| (state.row.seq, state.row.attempt, state.is_new)).collect();
        assert_eq!(rows, [(1, 2, false), (2, 2, true)]);
    }

    #[test]
    fn the_first_of_several_runs_with_the_same_key_is_kept() {
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
    fn a_batch_is_split_into_parts_that_fit_into_a_statement() {
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
