//! Runs with their journals. One statement reads both, so that they are of one moment: a row of the answer is a
//! run or a row of a journal, with NULL for the columns of the other.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::connection::Connections;
use super::decode::Columns;
use super::runs;
use crate::journal::{Failure, Row, RunId, Scope};
use crate::store::{Epoch, Loaded, StoreError};

const TABLE: &str = "forge_steps";

/// `$2` is the epoch of who asks: whether it is live is in every row of a run.
const LOAD: &str = concat!(
    "SELECT id, NULL::BIGINT, owner = $2, EXISTS (SELECT FROM forge_nodes WHERE epoch = $2 AND ended_at IS NULL), ",
    runs::columns!(),
    ", NULL::BIGINT, NULL::BIGINT, NULL::BIGINT, NULL::TEXT, NULL::TEXT, NULL::BIGINT, NULL::TEXT, NULL::TEXT, \
     NULL::TEXT, NULL::TEXT, NULL::TEXT, NULL::TEXT, NULL::BOOL, NULL::BIGINT, NULL::TEXT, NULL::BIGINT, \
     NULL::BIGINT, NULL::BIGINT, NULL::BIGINT FROM forge_runs WHERE id = ANY ($1) \
     UNION ALL SELECT run_id, seq, NULL, NULL, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
     NULL, NULL, scope_step, scope_attempt, call_index, kind, name, fingerprint, options, input, status, result, error, error_kind, \
     error_retryable, attempt, attempt_orders, call_order, wake_at, started_at, completed_at \
     FROM forge_steps WHERE run_id = ANY ($1)"
);

/// Where the columns of runs begin, and those of rows.
const RUN: usize = 4;
const ROW: usize = RUN + 21;

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
    let mut columns = Columns::new(runs::TABLE, row);
    let id = columns.run_id()?;
    Ok(match columns.optional_bits()? {
        Some(seq) => Part::Row(id, seq, decode_row(seq, &mut Columns::from(TABLE, row, ROW))),
        None => {
            let (mine, live) = (columns.flag()?, columns.flag()?);
            let run = runs::decode(&mut Columns::from(runs::TABLE, row, RUN));
            let loaded = run.map(|run| Loaded { run, rows: Ok(Vec::new()) });
            Part::Run(id, Found { loaded, mine, live })
        }
    })
}

fn decode_row(seq: u64, columns: &mut Columns<'_>) -> Result<Row, StoreError> {
    Ok(Row {
        seq,
        scope: Scope { step: columns.bits()?, attempt: columns.number()? },
        index: columns.optional_number()?,
        kind: columns.parsed()?,
        name: columns.text()?,
        fingerprint: columns.bits()?,
        options: columns.json()?,
        input: columns.optional_text()?,
        status: columns.parsed()?,
        result: columns.optional_text()?,
        failure: failure(columns)?.map(Box::new),
        attempt: columns.number()?,
        attempt_orders: columns.json()?.unwrap_or_default(),
        order: columns.optional_bits()?,
        wake_at: columns.optional_time()?,
        started_at: columns.time()?,
        completed_at: columns.optional_time()?,
    })
}

fn failure(columns: &mut Columns<'_>) -> Result<Option<Failure>, StoreError> {
    let message = columns.optional_text()?;
    let kind = columns.optional_text()?.unwrap_or_default();
    let retryable = columns.optional_flag()?.unwrap_or(true);
    Ok(message.map(|message| Failure { kind: kind.to_string(), message: message.to_string(), retryable }))
}
