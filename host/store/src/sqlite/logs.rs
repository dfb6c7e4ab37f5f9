//! The lines that runs have logged: `forge_logs`.

use std::sync::LazyLock;

use rusqlite::{Connection, params};

use super::connection::{Prepared, bind};
use super::decode::{each, first};
use super::runs;
use super::steps::KEYS;
use crate::schema::logs::{COLUMNS, TABLE, blank, severity};
use crate::schema::{names, read_names};
use crate::{LogFilter, LogPage, StoreError, Write};
use forge_journal::RunId;

/// A batch may be committed twice.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, values) = (names(COLUMNS), ", ?".repeat(COLUMNS.len()));
    format!("INSERT INTO forge_logs (key, {names}) VALUES (?{values}) ON CONFLICT (key) DO NOTHING")
});

static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT key & 16777215, {} FROM forge_logs WHERE key > ?1 AND key <= ?2 AND level >= ?3 AND revision > ?4 \
             AND {OF_STEP} ORDER BY key LIMIT ?6",
        read_names(COLUMNS)
    )
});

/// Later passes of a step in a loop have `name#2`, `name#3` and so on.
const OF_STEP: &str = "(?5 IS NULL OR step = ?5 OR rtrim(step, '0123456789') = ?5 || '#')";

const RUN: &str = "SELECT number, tenant FROM forge_runs WHERE id = ?";

/// Writes the lines of this batch.
pub(super) fn save(connection: &Connection, batch: &[Write]) -> Result<(), StoreError> {
    let mut insert = Prepared::new(connection, &INSERT);
    for write in batch {
        let Some((id, changes)) = write.changes().filter(|(_, changes)| !changes.lines.is_empty()) else {
            continue;
        };
        let deleted = || StoreError::Corrupt { table: "forge_runs", why: format!("run {id} was deleted") };
        let run = runs::number(connection, id)?.ok_or_else(deleted)?;
        for line in &changes.lines {
            let statement = insert.get()?;
            // The journal keeps no more lines than there are keys.
            statement.raw_bind_parameter(1, run * KEYS + line.seq.cast_signed().min(KEYS - 1))?;
            bind(statement, 2, TABLE, COLUMNS, line)?;
            statement.raw_execute()?;
        }
    }
    Ok(())
}

/// Returns a page of the lines of a run.
pub(super) fn page(
    connection: &Connection,
    id: RunId,
    filter: &LogFilter,
) -> Result<Option<LogPage>, StoreError> {
    let mut found = connection.prepare_cached(RUN)?;
    let found = first(&mut found, [id.to_string()], "forge_runs", |columns| {
        Ok((columns.number::<i64>()?, columns.text()?))
    })?;
    let Some((run, tenant)) = found else { return Ok(None) };
    let after = i64::try_from(filter.after).unwrap_or(KEYS).min(KEYS - 1) + run * KEYS;
    let since = i64::try_from(filter.since).unwrap_or(i64::MAX);
    // One more than asked for tells whether there are later ones.
    let limit = i64::from(filter.limit) + 1;
    let values = params![after, run * KEYS + KEYS - 1, severity(filter.level), since, filter.step, limit];
    let (mut page, mut bytes) = (LogPage::new(tenant), 0);
    each(&mut *connection.prepare_cached(&PAGE)?, values, TABLE, |columns| {
        let mut line = blank(columns.bits()?);
        columns.fill(COLUMNS, &mut line)?;
        Ok(page.add(line, filter, &mut bytes))
    })?;
    Ok(Some(page))
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn a_page_of_lines_is_a_range_of_keys() {
        let by_keys = "SEARCH forge_logs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        assert_eq!(plan(&migrated(), &PAGE), [by_keys]);
    }
}
