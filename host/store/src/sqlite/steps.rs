use rusqlite::{CachedStatement, Connection, params};

use super::connection::Prepared;
use super::decode::Columns;
use super::runs;
use crate::{StoreError, Write};
use forge_journal::{Failure, Row, RunId, Scope};

const TABLE: &str = "forge_steps";

/// Rows that a run has room for. The schema has this number, too.
const ROWS: i64 = 1 << 24;

/// What never changes is left alone.
const UPSERT: &str = "INSERT INTO forge_steps (key, kind, name, status, input, result, started_at, \
     completed_at, error, error_kind, error_retryable, scope_step, scope_attempt, call_index, fingerprint, options, \
     attempt, attempt_orders, call_order, wake_at) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (key) DO UPDATE SET status = excluded.status, result = excluded.result, \
     completed_at = excluded.completed_at, error = excluded.error, error_kind = excluded.error_kind, \
     error_retryable = excluded.error_retryable, attempt = excluded.attempt, \
     attempt_orders = excluded.attempt_orders, call_order = excluded.call_order, wake_at = excluded.wake_at";

const SELECT: &str = "SELECT key & 16777215, scope_step, scope_attempt, call_index, kind, name, fingerprint, options, input, \
     status, result, error, error_kind, error_retryable, attempt, attempt_orders, call_order, wake_at, started_at, \
     completed_at FROM forge_steps WHERE key BETWEEN ?1 AND ?2 ORDER BY key";

/// The position of a run's last row, which is how many it has.
const LAST: &str = "SELECT max(key) & 16777215 FROM forge_steps WHERE key BETWEEN ?1 AND ?2";

/// Rows to make room for at once. Longer journals are rare, and a row that is where none can be must not
/// cost memory.
const ROOM: usize = 1 << 16;

/// Writes the journal rows that changed in this batch.
pub(super) fn save(connection: &Connection, batch: &[Write]) -> Result<(), StoreError> {
    let mut upsert = Prepared::new(connection, UPSERT);
    for write in batch {
        if let Write::Save(id, changes) = write {
            if changes.rows.is_empty() {
                continue;
            }
            let gone = || StoreError::Corrupt { table: "forge_runs", why: format!("run {id} is gone") };
            let run = runs::number(connection, *id)?.ok_or_else(gone)?;
            for row in &changes.rows {
                put(upsert.get()?, key(run, row.seq)?, row)?;
            }
        }
    }
    Ok(())
}

/// Where a row is: behind those of all runs that began before its own.
fn key(run: i64, seq: u64) -> Result<i64, StoreError> {
    match i64::try_from(seq) {
        Ok(seq) if seq < ROWS => Ok(run * ROWS + seq),
        _ => Err(StoreError::Unavailable(format!("a run can have {} calls at most", ROWS - 1))),
    }
}

fn put(statement: &mut CachedStatement<'_>, key: i64, row: &Row) -> Result<(), StoreError> {
    let failure = row.failure.as_ref();
    let options = row.options.as_deref().map(|options| serde_json::to_string(options).unwrap_or_default());
    let attempt_orders = (!row.attempt_orders.is_empty())
        .then(|| serde_json::to_string(&row.attempt_orders).unwrap_or_default());
    statement.execute(params![
        key,
        row.kind.as_str(),
        &*row.name,
        row.status.as_str(),
        row.input.as_deref(),
        row.result.as_deref(),
        row.started_at.0,
        row.completed_at.map(|time| time.0),
        failure.map(|failure| failure.message.as_str()),
        failure.map(|failure| failure.kind.as_str()),
        failure.map(|failure| failure.retryable),
        row.scope.step.cast_signed(),
        row.scope.attempt,
        row.index,
        row.fingerprint.cast_signed(),
        options,
        row.attempt,
        attempt_orders,
        row.order.map(u64::cast_signed),
        row.wake_at.map(|time| time.0),
    ])?;
    Ok(())
}

/// Returns the journal of a run, in order.
pub(super) fn of_run(connection: &Connection, run: RunId) -> Result<Vec<Row>, StoreError> {
    let Some(run) = runs::number(connection, run)? else { return Ok(Vec::new()) };
    let keys = [run * ROWS, run * ROWS + ROWS - 1];
    let last: Option<i64> = connection.prepare_cached(LAST)?.query_row(keys, |row| row.get(0))?;
    let mut rows = Vec::with_capacity(usize::try_from(last.unwrap_or(0)).unwrap_or(ROOM).min(ROOM));
    let mut statement = connection.prepare_cached(SELECT)?;
    let mut found = statement.query(keys)?;
    while let Some(row) = found.next()? {
        rows.push(decode(&mut Columns::new(TABLE, row))?);
    }
    Ok(rows)
}

fn decode(columns: &mut Columns<'_>) -> Result<Row, StoreError> {
    Ok(Row {
        seq: columns.number()?,
        scope: Scope { step: columns.number()?, attempt: columns.number()? },
        index: columns.optional_number()?,
        kind: columns.parsed()?,
        name: columns.text()?,
        fingerprint: columns.number::<i64>()?.cast_unsigned(),
        options: columns.json()?,
        input: columns.optional_text()?,
        status: columns.parsed()?,
        result: columns.optional_text()?,
        failure: failure(columns)?.map(Box::new),
        attempt: columns.number()?,
        attempt_orders: columns.json()?.unwrap_or_default(),
        order: columns.optional_number()?,
        wake_at: columns.optional_time()?,
        started_at: columns.time()?,
        completed_at: columns.optional_time()?,
    })
}

fn failure(columns: &mut Columns<'_>) -> Result<Option<Failure>, StoreError> {
    let Some(message) = columns.optional_text()? else {
        columns.skip(2);
        return Ok(None);
    };
    let kind = columns.optional_text()?.unwrap_or_default();
    let retryable = columns.optional_number::<i64>()?.unwrap_or(1) != 0;
    Ok(Some(Failure { kind: kind.to_string(), message: message.to_string(), retryable }))
}
