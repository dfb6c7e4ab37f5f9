use std::collections::{BTreeMap, HashSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool};

use super::decode::Columns;
use crate::executor::{RunFilter, RunSummary};
use crate::journal::{Pause, Run, RunId};
use crate::store::{StoreError, Write, Written};

/// Runs in one statement: 19 columns each stay far below SQLite's 32,766 parameters.
const CHUNK: usize = 500;

const INSERT: &str = "INSERT INTO forge_runs (id, workflow_name, version, digest, input, output, status, started_at, \
     completed_at, deadline, error, failure, stuck, pause_reason, pause_message, pause_from, \
     idempotency_key, auth, trace_id) ";

/// Inserts the runs that begin in this batch, and says for each write what became of it.
pub(super) async fn start(
    connection: &mut SqliteConnection,
    batch: &[Write],
) -> Result<Vec<Written>, StoreError> {
    let runs: Vec<&Run> = batch.iter().filter_map(started).collect();
    let mut inserted = HashSet::new();
    for chunk in runs.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new(INSERT);
        push_runs(&mut query, chunk);
        query.push(
            " ON CONFLICT (workflow_name, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING \
              RETURNING id",
        );
        for row in query.build().fetch_all(&mut *connection).await? {
            inserted.insert(row.try_get::<String, _>(0)?);
        }
    }
    let mut written = Vec::with_capacity(batch.len());
    for write in batch {
        let taken = match started(write) {
            Some(run) if !inserted.contains(&run.id.to_string()) => by_key(connection, run).await?,
            _ => None,
        };
        written.push(taken.map_or(Written::Done, Written::KeyTaken));
    }
    Ok(written)
}

fn started(write: &Write) -> Option<&Run> {
    match write {
        Write::Start(run) => Some(run),
        Write::Save(..) => None,
    }
}

async fn by_key(connection: &mut SqliteConnection, run: &Run) -> Result<Option<RunId>, StoreError> {
    let row = sqlx::query("SELECT id FROM forge_runs WHERE workflow_name = ? AND idempotency_key = ?")
        .bind(&*run.workflow)
        .bind(run.key.as_deref())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Columns { table: "forge_runs", row: &row }.parsed("id")).transpose()
}

/// Updates the runs that changed in this batch.
pub(super) async fn save(connection: &mut SqliteConnection, batch: &[Write]) -> Result<(), StoreError> {
    let mut changed = BTreeMap::new();
    for write in batch {
        if let Write::Save(id, changes) = write
            && let Some(run) = &changes.run
        {
            changed.insert(*id, run.as_ref());
        }
    }
    let changed: Vec<&Run> = changed.into_values().collect();
    for chunk in changed.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new(INSERT);
        push_runs(&mut query, chunk);
        query.push(
            " ON CONFLICT (id) DO UPDATE SET output = excluded.output, status = excluded.status, \
              completed_at = excluded.completed_at, error = excluded.error, failure = excluded.failure, \
              stuck = excluded.stuck, pause_reason = excluded.pause_reason, \
              pause_message = excluded.pause_message, pause_from = excluded.pause_from",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn push_runs(query: &mut QueryBuilder<Sqlite>, runs: &[&Run]) {
    query.push_values(runs, |mut values, run| {
        let failure = run.failure.as_ref().and_then(|failure| serde_json::to_string(failure).ok());
        let pause = run.pause.as_ref();
        values
            .push_bind(run.id.to_string())
            .push_bind(run.workflow.to_string())
            .push_bind(i64::from(run.version))
            .push_bind(run.digest.to_string())
            .push_bind(run.input.to_string())
            .push_bind(run.output.as_deref().map(str::to_owned))
            .push_bind(run.status.as_str())
            .push_bind(run.started_at.to_rfc3339())
            .push_bind(run.completed_at.map(|time| time.to_rfc3339()))
            .push_bind(run.deadline.to_rfc3339())
            .push_bind(run.error())
            .push_bind(failure)
            .push_bind(run.stuck.as_deref().map(str::to_owned))
            .push_bind(pause.map(|pause| pause.reason.as_str()))
            .push_bind(pause.map(|pause| pause.message.clone()))
            .push_bind(pause.map(|pause| pause.from.as_str()))
            .push_bind(run.key.as_deref().map(str::to_owned))
            .push_bind(run.auth.to_string())
            .push_bind(run.trace_id.as_deref().map(str::to_owned));
    });
}

pub(super) async fn get(pool: &SqlitePool, id: RunId) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query("SELECT * FROM forge_runs WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(decode).transpose()
}

pub(super) async fn with_key(
    pool: &SqlitePool,
    workflow: &str,
    key: &str,
) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query("SELECT * FROM forge_runs WHERE workflow_name = ? AND idempotency_key = ?")
        .bind(workflow)
        .bind(key)
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(decode).transpose()
}

fn decode(row: &SqliteRow) -> Result<Run, StoreError> {
    let columns = Columns { table: "forge_runs", row };
    let pause = match columns.optional_parsed("pause_reason")? {
        Some(reason) => Some(Pause {
            reason,
            message: columns.text("pause_message")?.to_string(),
            from: columns.parsed("pause_from")?,
        }),
        None => None,
    };
    Ok(Run {
        id: columns.parsed("id")?,
        workflow: columns.text("workflow_name")?,
        version: columns.number("version")?,
        digest: columns.text("digest")?,
        input: columns.text("input")?,
        output: columns.optional_text("output")?,
        status: columns.parsed("status")?,
        started_at: columns.time("started_at")?,
        completed_at: columns.optional_time("completed_at")?,
        deadline: columns.time("deadline")?,
        failure: columns.json("failure")?,
        stuck: columns.optional_text("stuck")?,
        pause,
        key: columns.optional_text("idempotency_key")?,
        auth: columns.text("auth")?,
        trace_id: columns.optional_text("trace_id")?,
    })
}

pub(super) async fn list(pool: &SqlitePool, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT id, workflow_name, version, status, started_at, completed_at, error FROM forge_runs WHERE 1",
    );
    if let Some(workflow) = &filter.workflow {
        query.push(" AND workflow_name = ").push_bind(workflow.clone());
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(cursor) = filter.cursor {
        query.push(" AND id < ").push_bind(cursor.to_string());
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.limit));
    let rows = query.build().fetch_all(pool).await?;
    rows.iter().map(decode_summary).collect()
}

fn decode_summary(row: &SqliteRow) -> Result<RunSummary, StoreError> {
    let columns = Columns { table: "forge_runs", row };
    Ok(RunSummary {
        id: columns.parsed::<RunId>("id")?.0,
        workflow_name: columns.text("workflow_name")?.to_string(),
        version: columns.number("version")?,
        status: columns.parsed("status")?,
        started_at: columns.time("started_at")?.to_datetime(),
        completed_at: columns.optional_time("completed_at")?.map(|time| time.to_datetime()),
        error: columns.optional_text("error")?.map(|error| error.to_string()),
    })
}

pub(super) async fn unfinished(
    pool: &SqlitePool,
    after: Option<RunId>,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let rows = sqlx::query(
        "SELECT id FROM forge_runs WHERE status IN ('created', 'running', 'waiting', 'compensating') \
         AND id > ? ORDER BY id LIMIT ?",
    )
    .bind(after.map(|id| id.to_string()).unwrap_or_default())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Columns { table: "forge_runs", row }.parsed("id")).collect()
}
