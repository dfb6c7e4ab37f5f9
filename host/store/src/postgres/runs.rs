use std::sync::LazyLock;

use sqlx::postgres::PgRow;

use super::connection::Connections;
use super::decode::{Columns, Groups};
use super::journals::{groups, select_list, widths};
use super::text;
use crate::query::first_id_at;
use crate::schema::runs::{COLUMNS, TABLE, blank};
use crate::{Due, Epoch, Readable, StoreError};
use forge_journal::{Run, RunId, Timestamp, WorkflowStatus};

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT id, {} FROM forge_runs", select_list(COLUMNS, widths(COLUMNS))));

static GROUPS: LazyLock<Groups> = LazyLock::new(|| groups(1, widths(COLUMNS)));

static GET: LazyLock<String> = LazyLock::new(|| format!("{} WHERE id = $1", *SELECT));

static WITH_KEY: LazyLock<String> = LazyLock::new(|| {
    format!("{} WHERE tenant = $1 AND workflow_name = $2 AND idempotency_key = $3", *SELECT)
});

const DUE: &str = "SELECT due_at, id, tenant FROM forge_runs \
     WHERE owner = $1 AND due_at IS NOT NULL AND due_at <= $2 AND (due_at, id) > ($3, $4) \
     ORDER BY due_at, id LIMIT $5";

const UNFINISHED: &str =
    "SELECT count(*) FROM (SELECT FROM forge_runs WHERE due_at IS NOT NULL LIMIT $1) AS unfinished";

pub(super) async fn get(readers: &Connections, id: RunId) -> Result<Option<Run>, StoreError> {
    let row = readers.first(|| sqlx::query(&**GET).bind(id.0)).await?;
    row.map(|row| decode(&row)).transpose()
}

/// Returns what can be read of a run.
pub(super) async fn readable(readers: &Connections, id: RunId) -> Result<Option<Readable>, StoreError> {
    let Some(row) = readers.first(|| sqlx::query(&**GET).bind(id.0)).await? else { return Ok(None) };
    let mut columns = Columns::new(TABLE, &row);
    let mut run = blank(columns.run_id()?);
    let problems = columns.fill_readable(COLUMNS, *GROUPS, &mut run);
    Ok(Some(Readable { run, problems }))
}

pub(super) async fn with_key(
    readers: &Connections,
    tenant: &str,
    workflow: &str,
    key: &str,
) -> Result<Option<Run>, StoreError> {
    let [tenant, workflow, key] = [tenant, workflow, key].map(text::encode);
    let query = || sqlx::query(&**WITH_KEY).bind(&*tenant).bind(&*workflow).bind(&*key);
    let row = readers.first(query).await?;
    row.map(|row| decode(&row)).transpose()
}

fn decode(row: &PgRow) -> Result<Run, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    let mut run = blank(columns.run_id()?);
    columns.fill(COLUMNS, *GROUPS, &mut run)?;
    Ok(run)
}

pub(super) async fn due(
    readers: &Connections,
    epoch: Epoch,
    after: Option<(Timestamp, RunId)>,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let (time, id) = after.map_or((i64::MIN, uuid::Uuid::nil()), |(time, id)| (time.0, id.0));
    let query = || sqlx::query(DUE).bind(epoch.0).bind(until.0).bind(time).bind(id).bind(i64::from(limit));
    let rows = readers.all(query).await?;
    rows.iter().map(decode_due).collect()
}

pub(super) fn decode_due(row: &PgRow) -> Result<Due, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    Ok(Due { at: columns.time()?, run: columns.run_id()?, tenant: columns.text()? })
}

/// The order is that of the index on the ids of a workflow's runs with one status, backwards.
const EXPIRED: &str = "SELECT id FROM forge_runs WHERE tenant = $1 AND workflow_name = $2 AND status = $3 \
     AND completed_at < $4 AND stuck IS NULL AND id < $5 ORDER BY id NULLS FIRST LIMIT $6";

pub(super) async fn expired(
    readers: &Connections,
    tenant: &str,
    workflow: &str,
    status: WorkflowStatus,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let [tenant, workflow] = [tenant, workflow].map(text::encode);
    let query = || {
        let query = sqlx::query(EXPIRED).bind(&*tenant).bind(&*workflow).bind(status.as_str());
        query.bind(before.0).bind(first_id_at(before)).bind(i64::from(limit))
    };
    let rows = readers.all(query).await?;
    rows.iter().map(|row| Columns::new(TABLE, row).run_id()).collect()
}

/// Deletes the runs that are final. A trigger deletes their rows.
const DELETE: &str = "DELETE FROM forge_runs \
     WHERE id = ANY ($1) AND status IN ('completed', 'compensated', 'failed') RETURNING id";

pub(super) async fn delete(connections: &Connections, ids: &[RunId]) -> Result<Vec<RunId>, StoreError> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = connections.all(|| sqlx::query(DELETE).bind(&ids)).await?;
    rows.iter().map(|row| Columns::new(TABLE, row).run_id()).collect()
}

pub(super) async fn unfinished(readers: &Connections, most: u32) -> Result<u64, StoreError> {
    let row = readers.first(|| sqlx::query(UNFINISHED).bind(i64::from(most))).await?;
    row.map_or(Ok(0), |row| Columns::new(TABLE, &row).bits())
}
