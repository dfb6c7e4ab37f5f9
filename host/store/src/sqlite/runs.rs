use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};

use super::connection::{Prepared, bind};
use super::decode::{Columns, all, first};
use super::tags;
use crate::query::first_id_at;
use crate::schema::runs::{BACKWARDS, COLUMNS, TABLE, blank};
use crate::schema::{names, on_conflict, read_names};
use crate::{Due, Readable, StoreError, Write, Written};
use forge_journal::{Run, RunId, Timestamp, WorkflowStatus};

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let (names, values) = (names(COLUMNS), ", ?".repeat(COLUMNS.len()));
    format!("INSERT INTO forge_runs (id, {names}) VALUES (?{values})")
});

static INSERT_UNLESS_KEY_TAKEN: LazyLock<String> = LazyLock::new(|| {
    let key = "(tenant, workflow_name, idempotency_key) WHERE idempotency_key IS NOT NULL";
    format!("{} ON CONFLICT {key} DO NOTHING", *INSERT)
});

static INSERT_UNLESS_IT_EXISTS: LazyLock<String> =
    LazyLock::new(|| format!("{} ON CONFLICT (id) DO NOTHING", *INSERT));

static UPSERT: LazyLock<String> =
    LazyLock::new(|| format!("{}{}", *INSERT, on_conflict(TABLE, "id", COLUMNS, BACKWARDS)));

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT id, {} FROM forge_runs", read_names(COLUMNS)));

static GET: LazyLock<String> = LazyLock::new(|| format!("{} WHERE id = ?", *SELECT));

static WITH_KEY: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE tenant = ? AND workflow_name = ? AND idempotency_key = ?", *SELECT));

const NUMBER: &str = "SELECT number FROM forge_runs WHERE id = ?";

const DUE: &str = "SELECT due_at, id, tenant FROM forge_runs WHERE due_at IS NOT NULL AND due_at <= ?1 \
     AND (due_at, number) > (?2, coalesce((SELECT number FROM forge_runs WHERE id = ?3), -1)) \
     ORDER BY due_at, number LIMIT ?4";

const UNFINISHED: &str = "SELECT count(*) FROM (SELECT 1 FROM forge_runs WHERE due_at IS NOT NULL LIMIT ?)";

/// Inserts the runs that start in this batch, and returns the outcome of each write.
pub(super) fn start(connection: &Connection, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
    let mut insert = Prepared::new(connection, &INSERT_UNLESS_KEY_TAKEN);
    let mut written = Vec::with_capacity(batch.len());
    for write in batch {
        if let Some((run, old)) = write.restart() {
            release_key(connection, run, old)?;
        }
        // The only node executes all runs.
        let taken = match write.start() {
            Some((run, _)) if put(connection, insert.get()?, run)? == 0 => key_holder(connection, run)?,
            _ => None,
        };
        written.push(taken.map_or(Written::Done, Written::KeyTaken));
    }
    Ok(written)
}

/// Takes the key of a run that can be restarted away from it.
fn release_key(connection: &Connection, run: &Run, old: RunId) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE forge_runs SET idempotency_key = NULL, restarted_as = ?1 \
         WHERE id = ?2 AND tenant = ?3 AND workflow_name = ?4 AND idempotency_key = ?5 \
           AND status IN ('failed', 'compensated') AND stuck IS NULL",
    )?;
    let (new, old) = (run.id.to_string(), old.to_string());
    statement.execute(rusqlite::params![new, old, run.tenant, run.workflow, run.key])?;
    Ok(())
}

fn key_holder(connection: &Connection, run: &Run) -> Result<Option<RunId>, StoreError> {
    let holder = with_key(connection, &run.tenant, &run.workflow, run.key.as_deref().unwrap_or_default())?;
    Ok(holder.map(|holder| holder.id))
}

/// Writes the runs that changed in this batch.
pub(super) fn save(connection: &Connection, batch: &[Write]) -> Result<(), StoreError> {
    let mut upsert = Prepared::new(connection, &UPSERT);
    for write in batch {
        if let Write::Save(_, changes) = write
            && let Some(run) = &changes.run
            && put(connection, upsert.get()?, run)? == 0
        {
            return Err(StoreError::Outdated);
        }
    }
    Ok(())
}

/// Returns the number of a run, which is part of the keys of its rows. Runs are numbered in the order in which they began.
pub(super) fn number(connection: &Connection, id: RunId) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached(NUMBER)?;
    first(&mut statement, [id.to_string()], TABLE, |columns| columns.number())
}

/// Inserts the run that a call starts, unless that was done before.
pub(super) fn start_child(connection: &Connection, run: &Run) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(&INSERT_UNLESS_IT_EXISTS)?;
    Ok(put(connection, &mut statement, run)? > 0)
}

/// Writes a run and its tags. Returns the number of runs that were written.
fn put(connection: &Connection, statement: &mut CachedStatement<'_>, run: &Run) -> Result<usize, StoreError> {
    statement.raw_bind_parameter(1, run.id.to_string())?;
    bind(statement, 2, TABLE, COLUMNS, run)?;
    let written = statement.raw_execute()?;
    if written > 0 {
        tags::put(connection, run)?;
    }
    Ok(written)
}

pub(super) fn get(connection: &Connection, id: RunId) -> Result<Option<Run>, StoreError> {
    first(&mut *connection.prepare_cached(&GET)?, [id.to_string()], TABLE, decode)
}

/// Returns what can be read of a run.
pub(super) fn readable(connection: &Connection, id: RunId) -> Result<Option<Readable>, StoreError> {
    first(&mut *connection.prepare_cached(&GET)?, [id.to_string()], TABLE, |columns| {
        let mut run = blank(columns.parsed()?);
        let problems = columns.fill_readable(COLUMNS, &mut run);
        Ok(Readable { run, problems })
    })
}

pub(super) fn with_key(
    connection: &Connection,
    tenant: &str,
    workflow: &str,
    key: &str,
) -> Result<Option<Run>, StoreError> {
    first(&mut *connection.prepare_cached(&WITH_KEY)?, [tenant, workflow, key], TABLE, decode)
}

fn decode(columns: &mut Columns<'_>) -> Result<Run, StoreError> {
    let mut run = blank(columns.parsed()?);
    columns.fill(COLUMNS, &mut run)?;
    Ok(run)
}

pub(super) fn due(
    connection: &Connection,
    after: Option<(Timestamp, RunId)>,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(DUE)?;
    let (time, id) = after.map_or((i64::MIN, String::new()), |(time, id)| (time.0, id.to_string()));
    all(&mut statement, rusqlite::params![until.0, time, id, limit], TABLE, |columns| {
        Ok(Due { at: columns.time()?, run: columns.parsed()?, tenant: columns.text()? })
    })
}

/// Runs that were started after the time are not read: their numbers are higher.
const EXPIRED: &str = "SELECT id FROM forge_runs \
     WHERE tenant = ? AND workflow_name = ? AND status = ? AND completed_at < ? AND stuck IS NULL AND number < \
         coalesce((SELECT number FROM forge_runs WHERE id >= ? ORDER BY id LIMIT 1), 9223372036854775807) \
     ORDER BY number LIMIT ?";

pub(super) fn expired(
    connection: &Connection,
    tenant: &str,
    workflow: &str,
    status: WorkflowStatus,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let first = first_id_at(before).to_string();
    let values = rusqlite::params![tenant, workflow, status.as_str(), before.0, first, limit];
    all(&mut *connection.prepare_cached(EXPIRED)?, values, TABLE, |columns| columns.parsed())
}

/// Deletes the runs that are final. Triggers delete their rows and lines.
pub(super) fn delete(connection: &Connection, ids: &[RunId]) -> Result<Vec<RunId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM forge_runs WHERE id = ? AND status IN ('completed', 'compensated', 'failed')",
    )?;
    let mut deleted = Vec::with_capacity(ids.len());
    for id in ids {
        if statement.execute([id.to_string()])? > 0 {
            deleted.push(*id);
        }
    }
    Ok(deleted)
}

pub(super) fn unfinished(connection: &Connection, most: u32) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(UNFINISHED)?;
    Ok(first(&mut statement, [most], TABLE, |columns| columns.bits())?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn no_read_of_runs_scans_the_table() {
        let connection = migrated();
        for sql in [&*GET, &*WITH_KEY, NUMBER, DUE, EXPIRED, UNFINISHED] {
            for step in plan(&connection, sql).iter().filter(|step| step.contains("forge_runs")) {
                let is_search = step.starts_with("SEARCH forge_runs USING");
                // The runs that are due, in their order, up to a limit.
                assert!(is_search || step.contains("USING COVERING INDEX forge_runs_due"), "{sql}: {step}");
            }
            assert!(!plan(&connection, sql).iter().any(|step| step.contains("TEMP B-TREE")), "{sql}");
        }
    }
}
