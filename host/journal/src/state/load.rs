use super::Journal;
use super::stored::Counted;
use crate::index::Index;
use crate::{Kind, Row, Run, RunId, Scope};

/// A bound for delivery numbers, higher than all attempts of all calls of a run can reach.
const MOST_ORDERS: u64 = 1 << 48;

/// The error for rows that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal of run {run} is corrupt at row {seq}: {why}")]
pub struct CorruptJournal {
    /// The run.
    pub run: RunId,
    /// The row.
    pub seq: u64,
    /// The contradiction.
    pub why: String,
}

impl Journal {
    /// Creates the journal of a run from its stored rows.
    ///
    /// # Errors
    /// [`CorruptJournal`] if rows are missing, out of order or contradict each other.
    pub fn load(run: Run, rows: Vec<Row>) -> Result<Self, CorruptJournal> {
        let mut index = Index::with_capacity(rows.len());
        let mut orders: Vec<(u64, u64)> = Vec::with_capacity(rows.len());
        for (row, expected) in rows.iter().zip(1..) {
            let corrupt = |why: &str| CorruptJournal { run: run.id, seq: row.seq, why: why.to_owned() };
            if row.seq != expected {
                return Err(corrupt("a row before it is missing"));
            }
            if row.scope.step >= row.seq {
                return Err(corrupt("it belongs to a step that begins later"));
            }
            if row.attempt == 0 || row.attempt > Scope::MAX_ATTEMPT {
                return Err(corrupt("its attempt is out of range"));
            }
            if row.attempt_orders.len() as u64 + 1 != u64::from(row.attempt) {
                return Err(corrupt("its attempts and their order do not match"));
            }
            orders.extend(row.attempt_orders.iter().chain(&row.order).map(|order| (*order, row.seq)));
            if let Some(parent) = row.scope.step.checked_sub(1).and_then(|i| rows.get(i as usize)) {
                let compensates = row.kind == Kind::Compensation && parent.kind == Kind::Step;
                if !parent.kind.has_scope() || (!compensates && row.scope.attempt == 0) {
                    return Err(corrupt("it belongs to a call that has no calls of its own"));
                }
            } else if row.kind == Kind::Compensation {
                return Err(corrupt("it compensates nothing"));
            }
            if !index.insert(row) {
                return Err(corrupt("another row is the same call"));
            }
        }
        orders.sort_unstable();
        if let Some((_, seq)) = orders.last().filter(|(order, _)| *order > MOST_ORDERS) {
            let why = "its delivery number is out of range".to_owned();
            return Err(CorruptJournal { run: run.id, seq: *seq, why });
        }
        if let Some(twice) = orders.array_windows().find(|[(order, _), (next, _)]| order == next) {
            let why = "another row has the same delivery number".to_owned();
            return Err(CorruptJournal { run: run.id, seq: twice[1].1, why });
        }
        let last_order = orders.last().map_or(0, |(order, _)| *order);
        let times = rows.iter().map(|row| row.completed_at.unwrap_or(row.started_at).max(row.started_at));
        let latest = times.max().map_or(run.started_at, |latest| latest.max(run.started_at));
        let revision = rows.iter().map(|row| row.revision).fold(run.revision, u64::max);
        let last_step = rows.iter().rev().find(|row| row.kind == Kind::Step).map_or(0, |row| row.seq);
        let last_stored = rows.len() as u64;
        let counted = Counted::of(&run, &rows);
        Ok(Self {
            last_stored,
            rows,
            index,
            last_order,
            last_step,
            latest,
            revision,
            counted,
            ..Self::new(run)
        })
    }
}
