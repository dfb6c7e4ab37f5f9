//! What changed in a journal since a revision. No index has the revisions, because each write would maintain it: the calls
//! of the run are looked at from the one where the caller begins.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::decode::{each, first};
use super::steps::{KEYS, decode, page_columns};
use crate::position::lower_bound;
use crate::schema::steps::TABLE;
use crate::{ChangedFilter, ChangedPage, Position, StoreError};
use forge_journal::RunId;

const RUN: &str = "SELECT number, tenant, revision FROM forge_runs WHERE id = ?";

/// The highest revision of calls, the last of them whose revision is above `?3`, and the numbers of calls and of these.
const POSITION: &str = "SELECT coalesce(max(revision), 0), coalesce(max(CASE WHEN revision > ?3 THEN key & 16777215 END), 0), \
         count(*), count(CASE WHEN revision > ?3 THEN 1 END) \
     FROM forge_steps WHERE key > ?1 AND key <= ?2";

/// Returns the statement for a page of changed calls.
fn page_sql(payloads: bool) -> String {
    let names = page_columns(payloads);
    format!(
        "SELECT key & 16777215, {names} FROM forge_steps WHERE key > ?1 AND key <= ?2 AND revision > ?3 ORDER BY key LIMIT ?4"
    )
}

static PAGES: LazyLock<[String; 2]> = LazyLock::new(|| [false, true].map(page_sql));

/// Returns the keys between which the calls of a run are, after the call `after` and up to the call `until`.
fn keys(run: i64, after: u64, until: u64) -> [i64; 2] {
    [after, until].map(|seq| run * KEYS + i64::try_from(seq).unwrap_or(KEYS).min(KEYS - 1))
}

/// Returns the position of a journal.
pub(super) fn position(
    connection: &Connection,
    id: RunId,
    since: Option<u64>,
    after: u64,
) -> Result<Option<Position>, StoreError> {
    let found = first(&mut *connection.prepare_cached(RUN)?, [id.to_string()], TABLE, |columns| {
        Ok((columns.number::<i64>()?, columns.text()?, columns.bits()?))
    })?;
    let Some((run, tenant, of_run)) = found else { return Ok(None) };
    let [after, until] = keys(run, after, u64::MAX);
    let parameters = [after, until, lower_bound(since)];
    let of_calls = first(&mut *connection.prepare_cached(POSITION)?, parameters, TABLE, |columns| {
        Ok((columns.bits()?, columns.bits()?, columns.bits()?, columns.bits()?))
    })?;
    let (revision, last_changed, calls, changed) = of_calls.unwrap_or_default();
    Ok(Some(Position { tenant, revision: revision.max(of_run), last_changed, calls, changed }))
}

/// Returns a page of the calls that have changed.
pub(super) fn changed_steps(
    connection: &Connection,
    id: RunId,
    filter: ChangedFilter,
) -> Result<ChangedPage, StoreError> {
    let mut page = ChangedPage::default();
    let run = first(&mut *connection.prepare_cached(RUN)?, [id.to_string()], TABLE, |columns| {
        columns.number::<i64>()
    })?;
    let Some(run) = run else { return Ok(page) };
    let [after, until] = keys(run, filter.after, filter.until);
    // One more than asked for tells whether there are later ones.
    let parameters = [after, until, lower_bound(filter.since), i64::from(filter.limit) + 1];
    let mut bytes = 0;
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
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn what_changed_is_found_in_the_range_of_the_runs_calls() {
        let connection = migrated();
        let by_keys = "SEARCH forge_steps USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        for sql in PAGES.iter().map(String::as_str).chain([POSITION]) {
            assert_eq!(plan(&connection, sql), [by_keys]);
        }
        assert!(plan(&connection, RUN).iter().all(|step| step.starts_with("SEARCH forge_runs USING ")));
    }
}
