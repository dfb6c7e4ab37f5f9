//! Runs with their journals. One statement reads both, so that they are of one moment: a row of the answer is a
//! run or a row of a journal, with NULL for the columns of the other.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::connection::Connections;
use super::decode::Columns;
use super::runs;
use crate::{Epoch, Loaded, StoreError};
use forge_journal::{Failure, Row, RunId, Scope};

const TABLE: &str = "forge_steps";

/// The columns of a row that [`decode_row`] takes, texts before numbers.
macro_rules! row_columns {
    () => {
        "kind, name, options, input, status, result, error, error_kind, attempt_orders, scope_step, scope_attempt, \
         call_index, fingerprint, attempt, call_order, wake_at, started_at, completed_at"
    };
}

/// `$2` is the epoch of who asks: whether it is live is in every row of a run. Texts and numbers of both stand below each
/// other as far as there are as many, because each column that is NULL costs as much as another one.
const LOAD: &str = concat!(
    "SELECT NULL::BIGINT, owner = $2, EXISTS (SELECT FROM forge_nodes WHERE epoch = $2 AND ended_at IS NULL), ",
    runs::columns!(),
    ", NULL::BIGINT, NULL::BIGINT, NULL::BIGINT FROM forge_runs WHERE id = ANY ($1) \
     UNION ALL SELECT seq, error_retryable, NULL, run_id, NULL, NULL, NULL, NULL, NULL, ",
    row_columns!(),
    " FROM forge_steps WHERE run_id = ANY ($1)"
);

/// Where the columns of runs begin, the id first, and those of rows.
const RUN: usize = 3;
const ROW: usize = RUN + 6;

/// A run as it was found, and whose it is.
pub(super) struct Found {
    pub(super) loaded: Result<Loaded, StoreError>,
    /// It belongs to the epoch that asked.
    pub(super) mine: bool,
    /// The epoch that asked is not over.
    pub(super) live: bool,
}

/// Those of the runs that exist.
pub(super) async fn load(
    readers: &Connections,
    epoch: Epoch,
    ids: &[RunId],
) -> Result<HashMap<RunId, Found>, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let answer = readers.map(|| sqlx::query(LOAD).bind(&wanted).bind(epoch.0), |row| decode(&row)).await?;
    let mut found = HashMap::with_capacity(ids.len());
    let mut journals: HashMap<RunId, Vec<(u64, _)>> = HashMap::with_capacity(ids.len());
    for part in answer {
        match part? {
            Part::Run(id, run) => drop(found.insert(id, run)),
            Part::Row(id, seq, row) => journals.entry(id).or_default().push((seq, row)),
        }
    }
    for (id, mut journal) in journals {
        if let Some(Found { loaded: Ok(loaded), .. }) = found.get_mut(&id) {
            journal.sort_unstable_by_key(|(seq, _)| *seq);
            loaded.rows = journal.into_iter().map(|(_, row)| row).collect();
        }
    }
    Ok(found)
}

/// A row of the answer: whose it is, and what it says.
enum Part {
    Run(RunId, Found),
    Row(RunId, u64, Result<Row, StoreError>),
}

fn decode(row: &PgRow) -> Result<Part, StoreError> {
    let of_run = || Columns::of_union(runs::TABLE, row, RUN, runs::columns!());
    let id = of_run().run_id()?;
    let mut columns = Columns::of_union(TABLE, row, 0, "seq, error_retryable");
    Ok(match columns.optional_bits()? {
        Some(seq) => {
            let retryable = columns.optional_flag();
            let mut columns = Columns::of_union(TABLE, row, ROW, row_columns!());
            Part::Row(id, seq, retryable.and_then(|retryable| decode_row(seq, retryable, &mut columns)))
        }
        None => {
            let (mine, live) = (columns.flag()?, columns.flag()?);
            let loaded = runs::decode(&mut of_run()).map(|run| Loaded { run, rows: Ok(Vec::new()) });
            Part::Run(id, Found { loaded, mine, live })
        }
    })
}

/// Takes the columns of [`row_columns`].
fn decode_row(seq: u64, retryable: Option<bool>, columns: &mut Columns<'_>) -> Result<Row, StoreError> {
    Ok(Row {
        seq,
        kind: columns.parsed()?,
        name: columns.text()?,
        options: columns.json()?,
        input: columns.optional_text()?,
        status: columns.parsed()?,
        result: columns.optional_text()?,
        failure: failure(columns, retryable)?.map(Box::new),
        attempt_orders: columns.json()?.unwrap_or_default(),
        scope: Scope { step: columns.bits()?, attempt: columns.number()? },
        index: columns.optional_number()?,
        fingerprint: columns.bits()?,
        attempt: columns.number()?,
        order: columns.optional_bits()?,
        wake_at: columns.optional_time()?,
        started_at: columns.time()?,
        completed_at: columns.optional_time()?,
    })
}

fn failure(columns: &mut Columns<'_>, retryable: Option<bool>) -> Result<Option<Failure>, StoreError> {
    let message = columns.optional_text()?;
    let kind = columns.optional_text()?.unwrap_or_default();
    let retryable = retryable.unwrap_or(true);
    Ok(message.map(|message| Failure { kind: kind.to_string(), message: message.to_string(), retryable }))
}
