use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};

use super::connection::{Prepared, bind};
use super::decode::{Columns, all, each, first};
use super::runs;
use crate::committed::with_outcomes;
use crate::schema::steps::{BACKWARDS, COLUMNS, PAYLOADS, TABLE, blank};
use crate::schema::{names, on_conflict, read_names, read_names_without};
use crate::{StepFilter, StepPage, StoreError, Write, Written};
use forge_journal::{Row, RunId};

/// The number of keys that each run has. The migrations contain this number, too.
pub(super) const KEYS: i64 = 1 << 24;

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, values) = (names(COLUMNS), ", ?".repeat(COLUMNS.len()));
    let on_conflict = on_conflict(TABLE, "key", COLUMNS, BACKWARDS);
    format!("INSERT INTO forge_steps (key, {names}) VALUES (?{values}){on_conflict}")
});

static SELECT: LazyLock<String> = LazyLock::new(|| {
    let names = read_names(COLUMNS);
    format!("SELECT key & 16777215, {names} FROM forge_steps WHERE key BETWEEN ?1 AND ?2 ORDER BY key")
});

/// Returns the statement for a page of a journal. `?1` is the key after which it begins, `?2` the last key of the run.
fn page_sql(payloads: bool) -> String {
    let names = page_columns(payloads);
    format!(
        "SELECT key & 16777215, {names} FROM forge_steps WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3"
    )
}

/// Returns the columns of a page, which [`decode`] reads.
pub(super) fn page_columns(payloads: bool) -> String {
    if payloads { read_names(COLUMNS) } else { read_names_without(COLUMNS, &PAYLOADS) }
}

static PAGES: LazyLock<[String; 2]> = LazyLock::new(|| [false, true].map(page_sql));

/// Writes the journal rows that changed in this batch.
pub(super) fn save(connection: &Connection, batch: &[Write], written: &[Written]) -> Result<(), StoreError> {
    let mut upsert = Prepared::new(connection, &UPSERT);
    for (write, written) in batch.iter().zip(written) {
        if let Write::Save(id, changes) = write {
            if changes.rows.is_empty() {
                continue;
            }
            let deleted =
                || StoreError::Corrupt { table: "forge_runs", why: format!("run {id} was deleted") };
            let run = runs::number(connection, *id)?.ok_or_else(deleted)?;
            for row in &*with_outcomes(changes, written) {
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

/// Returns a page of the journal of a run.
pub(super) fn page(
    connection: &Connection,
    id: RunId,
    filter: StepFilter,
) -> Result<Option<StepPage>, StoreError> {
    let mut found = connection.prepare_cached("SELECT number, tenant FROM forge_runs WHERE id = ?")?;
    let found = first(&mut found, [id.to_string()], TABLE, |columns| {
        Ok((columns.number::<i64>()?, columns.text()?))
    })?;
    let Some((run, tenant)) = found else { return Ok(None) };
    let last = run * KEYS + KEYS - 1;
    let after = i64::try_from(filter.after).unwrap_or(KEYS).min(KEYS - 1) + run * KEYS;
    let mut page = StepPage { tenant, rows: Vec::new(), has_more: false };
    let mut bytes = 0;
    // One more than asked for tells whether there are later ones.
    let parameters = [after, last, i64::from(filter.limit) + 1];
    let mut statement = connection.prepare_cached(&PAGES[usize::from(filter.payloads)])?;
    each(&mut statement, parameters, TABLE, |columns| {
        let row = decode(columns)?;
        bytes += row.payload_bytes();
        let is_full = page.rows.len() >= filter.limit as usize || bytes > filter.bytes;
        page.has_more = is_full && !page.rows.is_empty();
        if !page.has_more {
            page.rows.push(row);
        }
        Ok(!page.has_more)
    })?;
    Ok(Some(page))
}

/// Reads a row: its position, and the columns.
pub(super) fn decode(columns: &mut Columns<'_>) -> Result<Row, StoreError> {
    let mut row = blank(columns.number()?);
    columns.fill(COLUMNS, &mut row)?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn a_page_of_a_journal_is_a_range_of_keys() {
        let by_keys = "SEARCH forge_steps USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        for sql in PAGES.iter().chain([&*SELECT]) {
            assert_eq!(plan(&migrated(), sql), [by_keys]);
        }
    }
}
