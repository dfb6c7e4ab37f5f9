use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool};

use super::decode::Columns;
use crate::journal::{Failure, Row, RunId, Scope, StepOptions};
use crate::store::{StoreError, Write};

const TABLE: &str = "forge_workflow_steps";

/// Rows in one statement: 21 columns each stay far below SQLite's 32,766 parameters.
const CHUNK: usize = 500;

/// Inserts and updates the journal rows that changed in this batch.
pub(super) async fn save(connection: &mut SqliteConnection, batch: &[Write]) -> Result<(), StoreError> {
    let mut changed: BTreeMap<(RunId, u64), &Row> = BTreeMap::new();
    for write in batch {
        if let Write::Save(id, changes) = write {
            changed.extend(changes.rows.iter().map(|row| ((*id, row.seq), row)));
        }
    }
    let changed: Vec<(RunId, &Row)> = changed.into_iter().map(|((id, _), row)| (id, row)).collect();
    for chunk in changed.chunks(CHUNK) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO forge_workflow_steps (workflow_run_id, seq, kind, step_name, status, input, result, \
             started_at, completed_at, error, error_kind, error_retryable, scope_step, scope_attempt, call_index, \
             fingerprint, options, attempt, attempt_orders, call_order, wake_at) ",
        );
        push_rows(&mut query, chunk);
        query.push(
            " ON CONFLICT (workflow_run_id, seq) DO UPDATE SET status = excluded.status, result = excluded.result, \
             completed_at = excluded.completed_at, error = excluded.error, error_kind = excluded.error_kind, \
             error_retryable = excluded.error_retryable, attempt = excluded.attempt, \
             attempt_orders = excluded.attempt_orders, call_order = excluded.call_order, wake_at = excluded.wake_at",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn push_rows(query: &mut QueryBuilder<Sqlite>, rows: &[(RunId, &Row)]) {
    query.push_values(rows, |mut values, (run, row)| {
        let failure = row.failure.as_ref();
        let options = (row.options != StepOptions::default())
            .then(|| serde_json::to_string(&row.options).unwrap_or_default());
        let attempt_orders = (!row.attempt_orders.is_empty())
            .then(|| serde_json::to_string(&row.attempt_orders).unwrap_or_default());
        values
            .push_bind(run.to_string())
            .push_bind(row.seq.cast_signed())
            .push_bind(row.kind.as_str())
            .push_bind(row.name.to_string())
            .push_bind(row.status.as_str())
            .push_bind(row.input.as_deref().map(str::to_owned))
            .push_bind(row.result.as_deref().map(str::to_owned))
            .push_bind(row.started_at.to_rfc3339())
            .push_bind(row.completed_at.map(|time| time.to_rfc3339()))
            .push_bind(failure.map(|failure| failure.message.clone()))
            .push_bind(failure.map(|failure| failure.kind.clone()))
            .push_bind(failure.map(|failure| failure.retryable))
            .push_bind(row.scope.step.cast_signed())
            .push_bind(i64::from(row.scope.attempt))
            .push_bind(row.index.map(i64::from))
            .push_bind(row.fingerprint.cast_signed())
            .push_bind(options)
            .push_bind(i64::from(row.attempt))
            .push_bind(attempt_orders)
            .push_bind(row.order.map(u64::cast_signed))
            .push_bind(row.wake_at.map(|time| time.to_rfc3339()));
    });
}

pub(super) async fn of_run(pool: &SqlitePool, run: RunId) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query("SELECT * FROM forge_workflow_steps WHERE workflow_run_id = ? ORDER BY seq")
        .bind(run.to_string())
        .fetch_all(pool)
        .await?;
    rows.iter().map(decode).collect()
}

fn decode(row: &SqliteRow) -> Result<Row, StoreError> {
    let columns = Columns { table: TABLE, row };
    let failure = match columns.optional_text("error")? {
        Some(message) => Some(Failure {
            kind: columns.text("error_kind")?.to_string(),
            message: message.to_string(),
            retryable: row.try_get::<Option<bool>, _>("error_retryable")?.unwrap_or(true),
        }),
        None => None,
    };
    Ok(Row {
        seq: columns.number("seq")?,
        scope: Scope { step: columns.number("scope_step")?, attempt: columns.number("scope_attempt")? },
        index: columns.optional_number("call_index")?,
        kind: columns.parsed("kind")?,
        name: columns.text("step_name")?,
        fingerprint: columns.integer("fingerprint")?.cast_unsigned(),
        options: columns.json("options")?.unwrap_or_default(),
        input: columns.optional_text("input")?,
        status: columns.parsed("status")?,
        result: columns.optional_text("result")?,
        failure,
        attempt: columns.number("attempt")?,
        attempt_orders: columns.json("attempt_orders")?.unwrap_or_default(),
        order: columns.optional_number("call_order")?,
        wake_at: columns.optional_time("wake_at")?,
        started_at: columns.time("started_at")?,
        completed_at: columns.optional_time("completed_at")?,
    })
}
