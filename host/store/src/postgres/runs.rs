use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe};

use super::connection::Connections;
use super::decode::Columns;
use super::text;
use crate::{Due, Epoch, StoreError};
use crate::{RunFilter, RunSummary};
use forge_journal::DEFAULT_TENANT;
use forge_journal::{Pause, Run, RunId, Timestamp};

pub(super) const TABLE: &str = "forge_runs";

/// The columns that [`decode`] takes: after the id those with texts, then those with numbers.
macro_rules! columns {
    () => {
        "id, workflow_name, digest, input, output, status, failure, stuck, pause_reason, pause_message, \
         pause_from, idempotency_key, auth, trace_id, tenant, version, started_at, completed_at, deadline, \
         wake_at, fuel"
    };
}
pub(super) use columns;

const GET: &str = concat!("SELECT ", columns!(), " FROM forge_runs WHERE id = $1");

const WITH_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM forge_runs WHERE tenant = $1 AND workflow_name = $2 AND idempotency_key = $3"
);

const DUE: &str = "SELECT due_at, id, tenant FROM forge_runs \
     WHERE owner = $1 AND due_at IS NOT NULL AND due_at <= $2 AND (due_at, id) > ($3, $4) \
     ORDER BY due_at, id LIMIT $5";

const UNFINISHED: &str = "SELECT count(*) FROM forge_runs WHERE due_at IS NOT NULL";

pub(super) async fn get(readers: &Connections, id: RunId) -> Result<Option<Run>, StoreError> {
    let row = readers.first(|| sqlx::query(GET).bind(id.0)).await?;
    row.map(|row| decode(&mut Columns::new(TABLE, &row))).transpose()
}

pub(super) async fn with_key(
    readers: &Connections,
    tenant: &str,
    workflow: &str,
    key: &str,
) -> Result<Option<Run>, StoreError> {
    let [tenant, workflow, key] = [tenant, workflow, key].map(text::encode);
    let row = readers.first(|| sqlx::query(WITH_KEY).bind(&*tenant).bind(&*workflow).bind(&*key)).await?;
    row.map(|row| decode(&mut Columns::new(TABLE, &row))).transpose()
}

/// Takes the columns of [`columns`].
pub(super) fn decode(columns: &mut Columns<'_>) -> Result<Run, StoreError> {
    Ok(Run {
        id: columns.run_id()?,
        workflow: columns.text()?,
        digest: columns.text()?,
        input: columns.text()?,
        output: columns.optional_text()?,
        status: columns.parsed()?,
        failure: columns.json()?,
        failed_compensations: columns.optional_text()?,
        pause: pause(columns)?,
        key: columns.optional_text()?,
        auth: columns.text()?,
        trace_id: columns.optional_text()?,
        tenant: columns.text()?,
        version: columns.number()?,
        started_at: columns.time()?,
        completed_at: columns.optional_time()?,
        deadline: columns.time()?,
        wake_at: columns.optional_time()?,
        fuel: columns.bits()?,
    })
}

fn pause(columns: &mut Columns<'_>) -> Result<Option<Pause>, StoreError> {
    let reason = columns.optional_parsed()?;
    let message = columns.optional_text()?.unwrap_or_default().to_string();
    let from = columns.optional_parsed()?;
    Ok(reason.zip(from).map(|(reason, from)| Pause { reason, message, from }))
}

pub(super) async fn list(
    readers: &Connections,
    tenant: &str,
    filter: &RunFilter,
) -> Result<Vec<RunSummary>, StoreError> {
    let mut sql =
        "SELECT id, workflow_name, version, status, started_at, completed_at, error FROM forge_runs \
                   WHERE tenant = $1"
            .to_owned();
    if tenant != DEFAULT_TENANT {
        // What lets PostgreSQL use the index.
        sql.push_str(" AND tenant <> 'default'");
    }
    let mut conditions = 1;
    for (condition, asked) in [
        ("workflow_name", filter.workflow.is_some()),
        ("status", filter.status.is_some()),
        ("id", filter.cursor.is_some()),
    ] {
        if asked {
            conditions += 1;
            let operator = if condition == "id" { '<' } else { '=' };
            sql.push_str(&format!(" AND {condition} {operator} ${conditions}"));
        }
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT ${}", conditions + 1));
    let arguments = || {
        let mut arguments = PgArguments::default();
        arguments.add(text::encode(tenant))?;
        if let Some(workflow) = &filter.workflow {
            arguments.add(text::encode(workflow))?;
        }
        if let Some(status) = filter.status {
            arguments.add(status.as_str())?;
        }
        if let Some(cursor) = filter.cursor {
            arguments.add(cursor)?;
        }
        arguments.add(i64::from(filter.limit))?;
        Ok::<_, sqlx::error::BoxDynError>(arguments)
    };
    // Checked here, because the query may be made twice.
    arguments().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let rows =
        readers.all(|| sqlx::query_with(AssertSqlSafe(sql.clone()), arguments().unwrap_or_default())).await?;
    rows.iter().map(decode_summary).collect()
}

fn decode_summary(row: &PgRow) -> Result<RunSummary, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    Ok(RunSummary {
        id: columns.run_id()?.0,
        workflow_name: columns.text()?.to_string(),
        version: columns.number()?,
        status: columns.parsed()?,
        started_at: columns.time()?.to_datetime(),
        completed_at: columns.optional_time()?.map(|time| time.to_datetime()),
        error: columns.optional_text()?.map(|error| error.to_string()),
    })
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

pub(super) async fn unfinished(readers: &Connections) -> Result<u64, StoreError> {
    let row = readers.first(|| sqlx::query(UNFINISHED)).await?;
    row.map_or(Ok(0), |row| Columns::new(TABLE, &row).bits())
}
