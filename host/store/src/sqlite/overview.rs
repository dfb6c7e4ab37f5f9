//! The last steps of a run: each row names the last step before it. The first events that a run has not taken.

use rusqlite::Connection;

use super::decode::{Columns, all, first};
use super::runs;
use super::steps::KEYS;
use crate::StoreError;
use crate::overview::{
    MOST_EVENTS, MOST_RESULT_BYTES, Overview, RecentStep, RecentSteps, UntakenEvent, UntakenEvents,
};
use crate::schema::runs::TABLE as RUNS;
use crate::schema::steps::TABLE;
use forge_journal::{Kind, RunId};

/// The last row of a journal.
const LAST: &str =
    "SELECT key, kind, step_before FROM forge_steps WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT 1";

/// A step. The second parameter is the number of bytes that its result may have.
const STEP: &str = "SELECT name, status, step_before, coalesce(octet_length(result), 0), \
     CASE WHEN octet_length(result) <= ?2 THEN result END FROM forge_steps WHERE key = ?1";

/// The last step before a row that an earlier version wrote.
const STEP_BEFORE: &str =
    "SELECT key FROM forge_steps WHERE key BETWEEN ?1 AND ?2 AND kind = 'step' ORDER BY key DESC LIMIT 1";

/// The number of a run, and the events that it has not taken.
const INBOX: &str = "SELECT number, inbox_events, inbox_bytes FROM forge_runs WHERE id = ?";

/// The first of these events.
const EVENTS: &str = "SELECT key & 16777215, name, dedupe, at, octet_length(payload) FROM forge_inbox \
     WHERE key > ?1 AND key <= ?2 AND taken IS NULL AND kind = 'event' ORDER BY key LIMIT ?3";

pub(super) fn overview(connection: &Connection, id: RunId) -> Result<Option<Overview>, StoreError> {
    let Some(run) = runs::get(connection, id)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(INBOX)?;
    let inbox = first(&mut statement, [id.to_string()], RUNS, |columns| {
        Ok((columns.number::<i64>()?, columns.bits()?, columns.bits()?))
    })?;
    let Some((number, count, bytes)) = inbox else { return Ok(None) };
    let first = if count > 0 { first_events(connection, number * KEYS)? } else { Vec::new() };
    let events = UntakenEvents { count, bytes, first };
    Ok(Some(Overview { run, events, recent: recent(connection, number * KEYS)? }))
}

/// Returns the first events that the run has not taken whose entries have keys above `base`.
fn first_events(connection: &Connection, base: i64) -> Result<Vec<UntakenEvent>, StoreError> {
    let keys = [base, base + KEYS - 1, MOST_EVENTS.into()];
    all(&mut *connection.prepare_cached(EVENTS)?, keys, "forge_inbox", |columns| {
        Ok(UntakenEvent {
            seq: columns.bits()?,
            name: columns.text()?,
            key: columns.text()?,
            at: columns.time()?,
            bytes: columns.bits()?,
        })
    })
}

/// Returns the last steps of the run whose rows have keys above `base`.
fn recent(connection: &Connection, base: i64) -> Result<RecentSteps, StoreError> {
    let mut recent = RecentSteps::default();
    let decode = |columns: &mut Columns<'_>| {
        Ok((columns.number::<i64>()?, columns.parsed::<Kind>()?, columns.optional_number::<i64>()?))
    };
    let last = first(&mut *connection.prepare_cached(LAST)?, [base, base + KEYS - 1], TABLE, decode)?;
    let Some((last, kind, before)) = last else { return Ok(recent) };
    recent.calls = u64::try_from(last - base).unwrap_or_default();
    let mut next = if kind == Kind::Step { last } else { before_row(connection, base, last, before)? };
    let mut statement = connection.prepare_cached(STEP)?;
    let mut bytes = 0;
    while next > base {
        let room = MOST_RESULT_BYTES.saturating_sub(bytes);
        let found = first(&mut statement, [next, room.cast_signed()], TABLE, |columns| {
            let (name, status) = (columns.text()?, columns.parsed()?);
            let (before, size) = (columns.optional_number::<i64>()?, columns.number::<u64>()?);
            let result = columns.optional_string()?.map(Into::into);
            Ok((RecentStep { name, status, result }, before, size))
        })?;
        let Some((step, before, size)) = found else { break };
        bytes += size;
        if !recent.has_room(bytes) {
            break;
        }
        recent.steps.push(step);
        next = before_row(connection, base, next, before)?;
    }
    Ok(recent)
}

/// Returns the key of the last step before a row; `base` if there is none.
fn before_row(connection: &Connection, base: i64, key: i64, before: Option<i64>) -> Result<i64, StoreError> {
    match before {
        Some(before) => Ok(base + before),
        None => {
            let mut statement = connection.prepare_cached(STEP_BEFORE)?;
            let found = first(&mut statement, [base, key - 1], TABLE, |columns| columns.number())?;
            Ok(found.unwrap_or(base))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn a_status_reads_rows_by_their_keys() {
        let connection = migrated();
        let by_keys = "SEARCH forge_steps USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        assert_eq!(plan(&connection, LAST), [by_keys]);
        assert_eq!(plan(&connection, STEP), ["SEARCH forge_steps USING INTEGER PRIMARY KEY (rowid=?)"]);
        assert_eq!(plan(&connection, STEP_BEFORE), [by_keys]);
        assert!(plan(&connection, INBOX).iter().all(|step| step.starts_with("SEARCH forge_runs USING ")));
        let pending = "SEARCH forge_inbox USING INDEX forge_inbox_pending (key>? AND key<?)";
        assert_eq!(plan(&connection, EVENTS), [pending]);
    }
}
