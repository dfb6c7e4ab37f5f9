use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, ToSql, params_from_iter};

use super::connection::Prepared;
use super::decode::Columns;
use crate::{Due, StoreError, Write, Written};
use crate::{RunFilter, RunSummary};
use forge_journal::DEFAULT_TENANT;
use forge_journal::{Pause, Run, RunId, Timestamp};

const TABLE: &str = "forge_runs";

macro_rules! insert {
    () => {
        "INSERT INTO forge_runs (id, workflow_name, version, digest, input, output, status, started_at, \
         completed_at, deadline, wake_at, due_at, error, failure, stuck, pause_reason, pause_message, pause_from, \
         idempotency_key, auth, trace_id, tenant, fuel) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    };
}

const INSERT_UNLESS_KEY_TAKEN: &str = concat!(
    insert!(),
    " ON CONFLICT (tenant, workflow_name, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING"
);

/// What never changes is left alone.
const UPSERT: &str = concat!(
    insert!(),
    " ON CONFLICT (id) DO UPDATE SET output = excluded.output, status = excluded.status, \
     completed_at = excluded.completed_at, wake_at = excluded.wake_at, due_at = excluded.due_at, \
     error = excluded.error, failure = excluded.failure, stuck = excluded.stuck, \
     pause_reason = excluded.pause_reason, pause_message = excluded.pause_message, pause_from = excluded.pause_from, \
     fuel = excluded.fuel"
);

const SELECT: &str = "SELECT id, workflow_name, version, digest, input, output, status, started_at, completed_at, \
     deadline, wake_at, failure, stuck, pause_reason, pause_message, pause_from, idempotency_key, auth, trace_id, \
     tenant, fuel FROM forge_runs";

/// Runs that began before one, whether it is there or not.
const BEFORE: &str = " AND number < \
     coalesce((SELECT number FROM forge_runs WHERE id >= ? ORDER BY id LIMIT 1), 9223372036854775807)";

/// Inserts the runs that begin in this batch, and says for each write what became of it.
pub(super) fn start(connection: &Connection, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
    let mut insert = Prepared::new(connection, INSERT_UNLESS_KEY_TAKEN);
    let mut written = Vec::with_capacity(batch.len());
    for write in batch {
        let taken = match write {
            // There is one node, which is there for all runs.
            Write::Start(run) | Write::InsertUnowned(run) if put(insert.get()?, run)? == 0 => {
                key_holder(connection, run)?
            }
            Write::Start(_) | Write::InsertUnowned(_) | Write::Save(..) => None,
        };
        written.push(taken.map_or(Written::Done, Written::KeyTaken));
    }
    Ok(written)
}

fn key_holder(connection: &Connection, run: &Run) -> Result<Option<RunId>, StoreError> {
    let holder = with_key(connection, &run.tenant, &run.workflow, run.key.as_deref().unwrap_or_default())?;
    Ok(holder.map(|holder| holder.id))
}

/// Writes the runs that changed in this batch.
pub(super) fn save(connection: &Connection, batch: &[Write]) -> Result<(), StoreError> {
    let mut upsert = Prepared::new(connection, UPSERT);
    for write in batch {
        if let Write::Save(_, changes) = write
            && let Some(run) = &changes.run
        {
            put(upsert.get()?, run)?;
        }
    }
    Ok(())
}

/// The place of a run in the order in which they began, which is part of its rows' keys.
pub(super) fn number(connection: &Connection, id: RunId) -> Result<Option<i64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT number FROM forge_runs WHERE id = ?")?;
    Ok(statement.query_row([id.to_string()], |row| row.get(0)).optional()?)
}

fn put(statement: &mut CachedStatement<'_>, run: &Run) -> Result<usize, StoreError> {
    let failure = run.failure.as_ref().and_then(|failure| serde_json::to_string(failure).ok());
    let pause = run.pause.as_ref();
    Ok(statement.execute(rusqlite::params![
        run.id.to_string(),
        &*run.workflow,
        run.version,
        &*run.digest,
        &*run.input,
        run.output.as_deref(),
        run.status.as_str(),
        run.started_at.0,
        run.completed_at.map(|time| time.0),
        run.deadline.0,
        run.wake_at.map(|time| time.0),
        run.due_at().map(|time| time.0),
        run.error(),
        failure,
        run.failed_compensations.as_deref(),
        pause.map(|pause| pause.reason.as_str()),
        pause.map(|pause| pause.message.as_str()),
        pause.map(|pause| pause.from.as_str()),
        run.key.as_deref(),
        &*run.auth,
        run.trace_id.as_deref(),
        &*run.tenant,
        run.fuel.cast_signed(),
    ])?)
}

pub(super) fn get(connection: &Connection, id: RunId) -> Result<Option<Run>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE id = ?"))?;
    statement.query_row([id.to_string()], |row| Ok(decode(row))).optional()?.transpose()
}

pub(super) fn with_key(
    connection: &Connection,
    tenant: &str,
    workflow: &str,
    key: &str,
) -> Result<Option<Run>, StoreError> {
    let sql = format!("{SELECT} WHERE tenant = ? AND workflow_name = ? AND idempotency_key = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row([tenant, workflow, key], |row| Ok(decode(row))).optional()?.transpose()
}

fn decode(row: &Row<'_>) -> Result<Run, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    Ok(Run {
        id: columns.parsed()?,
        workflow: columns.text()?,
        version: columns.number()?,
        digest: columns.text()?,
        input: columns.text()?,
        output: columns.optional_text()?,
        status: columns.parsed()?,
        started_at: columns.time()?,
        completed_at: columns.optional_time()?,
        deadline: columns.time()?,
        wake_at: columns.optional_time()?,
        failure: columns.json()?,
        failed_compensations: columns.optional_text()?,
        pause: pause(&mut columns)?,
        key: columns.optional_text()?,
        auth: columns.text()?,
        trace_id: columns.optional_text()?,
        tenant: columns.text()?,
        fuel: columns.number::<i64>()?.cast_unsigned(),
    })
}

fn pause(columns: &mut Columns<'_>) -> Result<Option<Pause>, StoreError> {
    let reason = columns.optional_parsed()?;
    let message = columns.optional_text()?.unwrap_or_default().to_string();
    let from = columns.optional_parsed()?;
    Ok(reason.zip(from).map(|(reason, from)| Pause { reason, message, from }))
}

pub(super) fn list(
    connection: &Connection,
    tenant: &str,
    filter: &RunFilter,
) -> Result<Vec<RunSummary>, StoreError> {
    let mut sql =
        "SELECT id, workflow_name, version, status, started_at, completed_at, error FROM forge_runs \
                   WHERE tenant = ?"
            .to_owned();
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(tenant.to_owned())];
    if tenant != DEFAULT_TENANT {
        // What lets SQLite use the index.
        sql.push_str(" AND tenant <> 'default'");
    }
    if let Some(workflow) = &filter.workflow {
        sql.push_str(" AND workflow_name = ?");
        values.push(Box::new(workflow.clone()));
    }
    if let Some(status) = filter.status {
        sql.push_str(" AND status = ?");
        values.push(Box::new(status.as_str()));
    }
    if let Some(cursor) = filter.cursor {
        sql.push_str(BEFORE);
        values.push(Box::new(cursor.to_string()));
    }
    sql.push_str(" ORDER BY number DESC LIMIT ?");
    values.push(Box::new(filter.limit));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(decode_summary(row)?);
    }
    Ok(runs)
}

fn decode_summary(row: &Row<'_>) -> Result<RunSummary, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    Ok(RunSummary {
        id: columns.parsed::<RunId>()?.0,
        workflow_name: columns.text()?.to_string(),
        version: columns.number()?,
        status: columns.parsed()?,
        started_at: columns.time()?.to_datetime(),
        completed_at: columns.optional_time()?.map(|time| time.to_datetime()),
        error: columns.optional_text()?.map(|error| error.to_string()),
    })
}

pub(super) fn due(
    connection: &Connection,
    after: Option<(Timestamp, RunId)>,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT due_at, id, tenant FROM forge_runs WHERE due_at IS NOT NULL AND due_at <= ?1 \
         AND (due_at, number) > (?2, coalesce((SELECT number FROM forge_runs WHERE id = ?3), -1)) \
         ORDER BY due_at, number LIMIT ?4",
    )?;
    let (time, id) = after.map_or((i64::MIN, String::new()), |(time, id)| (time.0, id.to_string()));
    let mut rows = statement.query(rusqlite::params![until.0, time, id, limit])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(TABLE, row);
        due.push(Due { at: columns.time()?, run: columns.parsed()?, tenant: columns.text()? });
    }
    Ok(due)
}

pub(super) fn unfinished(connection: &Connection) -> Result<u64, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM forge_runs WHERE due_at IS NOT NULL")?;
    let count: i64 = statement.query_row((), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}
