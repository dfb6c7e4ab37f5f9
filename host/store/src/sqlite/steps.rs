use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};

use super::connection::{Prepared, bind};
use super::decode::{Columns, all};
use super::runs;
use crate::schema::steps::{BACKWARDS, COLUMNS, TABLE, blank};
use crate::schema::{names, on_conflict, read_names};
use crate::{StoreError, Write};
use forge_journal::{Row, RunId};

/// The number of keys that each run has. The migrations contain this number, too.
const KEYS: i64 = 1 << 24;

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, values) = (names(COLUMNS), ", ?".repeat(COLUMNS.len()));
    let on_conflict = on_conflict(TABLE, "key", COLUMNS, BACKWARDS);
    format!("INSERT INTO forge_steps (key, {names}) VALUES (?{values}){on_conflict}")
});

static SELECT: LazyLock<String> = LazyLock::new(|| {
    let names = read_names(COLUMNS);
    format!("SELECT key & 16777215, {names} FROM forge_steps WHERE key BETWEEN ?1 AND ?2 ORDER BY key")
});

/// Writes the journal rows that changed in this batch.
pub(super) fn save(connection: &Connection, batch: &[Write]) -> Result<(), StoreError> {
    let mut upsert = Prepared::new(connection, &UPSERT);
    for write in batch {
        if let Write::Save(id, changes) = write {
            if changes.rows.is_empty() {
                continue;
            }
            let deleted =
                || StoreError::Corrupt { table: "forge_runs", why: format!("run {id} was deleted") };
            let run = runs::number(connection, *id)?.ok_or_else(deleted)?;
            for row in &changes.rows {
                put(upsert.get()?, key(run, row.seq)?, row)?;
            }
        }
    }
    Ok(())
}

/// Returns the key of a row. Rows of later runs have higher keys, so that new rows are appended.
fn key(run: i64, seq: u64) -> Result<i64, StoreError> {
    match i64::try_from(seq) {
        Ok(seq) if seq < KEYS => Ok(run * KEYS + seq),
        _ => Err(StoreError::Rejected(format!("a run can have at most {} calls", KEYS - 1))),
    }
}

fn put(statement: &mut CachedStatement<'_>, key: i64, row: &Row) -> Result<(), StoreError> {
    statement.raw_bind_parameter(1, key)?;
    bind(statement, 2, TABLE, COLUMNS, row)?;
    if statement.raw_execute()? == 0 { Err(StoreError::Outdated) } else { Ok(()) }
}

/// Returns the journal of a run, in the order of `seq`.
pub(super) fn of_run(connection: &Connection, run: RunId) -> Result<Vec<Row>, StoreError> {
    let Some(run) = runs::number(connection, run)? else { return Ok(Vec::new()) };
    let keys = [run * KEYS, run * KEYS + KEYS - 1];
    let mut rows = all(&mut *connection.prepare_cached(&SELECT)?, keys, TABLE, decode)?;
    // The run keeps its journal in memory.
    rows.shrink_to_fit();
    Ok(rows)
}

fn decode(columns: &mut Columns<'_>) -> Result<Row, StoreError> {
    let mut row = blank(columns.number()?);
    columns.fill(COLUMNS, &mut row)?;
    Ok(row)
}
