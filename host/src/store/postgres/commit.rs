//! A batch is one statement, so one way to the server and back.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};
use uuid::Uuid;

use super::batch::{Batch, Owner, RowState, RunState, key};
use super::connection::{Connection, End, PgQuery};
use super::decode::Columns;
use super::error::QueryError;
use super::text;
use crate::journal::{RunId, StepOptions};
use crate::store::{Epoch, StoreError, Write, Written};

/// `$1` is the epoch, `$2` the connection's number in it, `$3` and `$4` the channel and the notice for runs that are
/// nobody's. No row is the answer if the epoch is over, or another connection writes in it: nothing else was done
/// then. What never changes of a run or a row is left alone.
const WRITE: &str = "WITH fence AS MATERIALIZED ( \
    SELECT epoch FROM forge_nodes WHERE epoch = $1 AND writer = $2 AND ended_at IS NULL FOR KEY SHARE \
), runs AS MATERIALIZED ( \
    SELECT run.* FROM fence, unnest($5::BOOL[], $6::UUID[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], \
        $11::BIGINT[], $12::BIGINT[], $13::BIGINT[], $14::TEXT[], $15::TEXT[], $16::TEXT[], $17::TEXT[], $18::TEXT[], \
        $19::TEXT[], $20::TEXT[], $21::TEXT[], $22::TEXT[], $23::TEXT[], $24::TEXT[], $25::TEXT[], $26::TEXT[], \
        $27::TEXT[]) AS run (begins, id, owner, version, started_at, deadline, completed_at, wake_at, due_at, \
        workflow_name, digest, status, input, auth, output, error, failure, stuck, pause_reason, pause_message, \
        pause_from, idempotency_key, trace_id) \
), begun AS ( \
    INSERT INTO forge_runs (id, owner, version, started_at, deadline, completed_at, wake_at, due_at, \
        workflow_name, digest, status, input, auth, output, error, failure, stuck, pause_reason, pause_message, \
        pause_from, idempotency_key, trace_id) \
    SELECT id, owner, version, started_at, deadline, completed_at, wake_at, due_at, \
        workflow_name, digest, status, input, auth, output, error, failure, stuck, pause_reason, pause_message, \
        pause_from, idempotency_key, trace_id FROM runs WHERE begins \
    ON CONFLICT DO NOTHING RETURNING id \
), saved AS ( \
    INSERT INTO forge_runs AS run (id, owner, version, started_at, deadline, completed_at, wake_at, due_at, \
        workflow_name, digest, status, input, auth, output, error, failure, stuck, pause_reason, pause_message, \
        pause_from, idempotency_key, trace_id) \
    SELECT id, owner, version, started_at, deadline, completed_at, wake_at, due_at, \
        workflow_name, digest, status, input, auth, output, error, failure, stuck, pause_reason, pause_message, \
        pause_from, idempotency_key, trace_id FROM runs WHERE NOT begins \
    ON CONFLICT (id) DO UPDATE SET output = excluded.output, status = excluded.status, \
        completed_at = excluded.completed_at, wake_at = excluded.wake_at, due_at = excluded.due_at, \
        error = excluded.error, failure = excluded.failure, stuck = excluded.stuck, \
        pause_reason = excluded.pause_reason, pause_message = excluded.pause_message, \
        pause_from = excluded.pause_from \
), steps AS ( \
    INSERT INTO forge_steps (run_id, seq, fingerprint, started_at, scope_step, scope_attempt, attempt, call_index, \
        call_order, completed_at, wake_at, error_retryable, kind, status, name, input, result, error, error_kind, options, \
        attempt_orders) \
    SELECT step.* FROM fence, unnest($28::UUID[], $29::BIGINT[], $30::BIGINT[], $31::BIGINT[], $32::BIGINT[], \
        $33::BIGINT[], $34::BIGINT[], $35::BIGINT[], $36::BIGINT[], $37::BIGINT[], $38::BIGINT[], $39::BOOL[], \
        $40::TEXT[], $41::TEXT[], $42::TEXT[], $43::TEXT[], $44::TEXT[], $45::TEXT[], $46::TEXT[], $47::TEXT[], \
        $48::TEXT[]) AS step \
    ON CONFLICT (run_id, seq) DO UPDATE SET status = excluded.status, result = excluded.result, \
        completed_at = excluded.completed_at, error = excluded.error, error_kind = excluded.error_kind, \
        error_retryable = excluded.error_retryable, attempt = excluded.attempt, \
        attempt_orders = excluded.attempt_orders, call_order = excluded.call_order, wake_at = excluded.wake_at \
) SELECT ARRAY(SELECT id FROM begun), CASE WHEN $4::TEXT IS NOT NULL THEN pg_notify($3, $4) END FROM fence";

/// Which runs were begun with these workflows and keys.
const HOLDERS: &str = "SELECT run.id, wanted.place FROM unnest($1::TEXT[], $2::TEXT[]) \
     WITH ORDINALITY AS wanted (workflow_name, idempotency_key, place) \
     JOIN forge_runs run USING (workflow_name, idempotency_key)";

/// A batch that another node's batch was in the way of is tried so often.
const TRIES: u32 = 5;

/// Why a batch is not in the database, or may not be.
pub(super) enum NotWritten {
    /// The epoch is over, or another connection writes in it.
    Fenced,
    Failed(QueryError),
    /// What came back makes no sense, or a run was deleted at that moment.
    Odd(StoreError),
}

impl From<QueryError> for NotWritten {
    fn from(error: QueryError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self::Odd(error)
    }
}

/// Who writes, and how others hear of it.
pub(super) struct Pen<'p> {
    pub(super) epoch: Epoch,
    /// The connection's number in the epoch.
    pub(super) writer: i64,
    pub(super) channel: &'p str,
    /// Tells all that there are runs that are nobody's.
    pub(super) free: &'p str,
}

/// Writes a batch. The same batch may be written twice.
pub(super) async fn write(
    connection: &mut Connection,
    pen: &Pen<'_>,
    writes: &[Write],
) -> Result<Vec<Written>, NotWritten> {
    let mut tries = 0;
    let begun = loop {
        tries += 1;
        match write_once(connection, pen, writes).await {
            Err(NotWritten::Failed(error)) if error.is_conflict() && tries < TRIES => {
                connection.finish(End::Rollback).await?;
            }
            done => break done?,
        }
    };
    answers(connection, writes, &begun).await
}

/// The runs that began.
async fn write_once(
    connection: &mut Connection,
    pen: &Pen<'_>,
    writes: &[Write],
) -> Result<Vec<Uuid>, NotWritten> {
    let parts = Batch::of(writes).parts();
    if let [part] = parts.as_slice() {
        return write_part(connection, pen, part).await;
    }
    let mut begun = Vec::new();
    connection.begin("BEGIN").await?;
    for part in &parts {
        begun.append(&mut write_part(connection, pen, part).await?);
    }
    connection.finish(End::Commit).await?;
    Ok(begun)
}

async fn write_part(
    connection: &mut Connection,
    pen: &Pen<'_>,
    part: &Batch<'_>,
) -> Result<Vec<Uuid>, NotWritten> {
    let mut query = Arrays::default();
    query.add(pen.epoch.0)?;
    query.add(pen.writer)?;
    query.add(pen.channel)?;
    query.add(part.has_offers().then_some(pen.free))?;
    query.runs(pen.epoch, &part.runs)?;
    query.rows(&part.rows)?;
    let row = connection.first(query.into_query()).await?.ok_or(NotWritten::Fenced)?;
    Ok(Columns::new("forge_runs", &row).ids()?)
}

/// What became of each write.
async fn answers(
    connection: &mut Connection,
    writes: &[Write],
    begun: &[Uuid],
) -> Result<Vec<Written>, NotWritten> {
    let mut written = vec![Written::Done; writes.len()];
    let mut losers = Vec::new();
    for (place, write) in writes.iter().enumerate() {
        if let Write::Start(run) | Write::Offer(run) = write
            && let Some((workflow, key)) = key(run)
            && !begun.contains(&run.id.0)
        {
            losers.push((place, run.id, text::encode(workflow), text::encode(key)));
        }
    }
    if losers.is_empty() {
        return Ok(written);
    }
    let (workflows, keys): (Vec<_>, Vec<_>) =
        losers.iter().map(|(_, _, workflow, key)| (workflow.clone(), key.clone())).unzip();
    let rows = connection.all(sqlx::query(HOLDERS).bind(workflows).bind(keys)).await?;
    let mut holders = vec![None; losers.len()];
    for row in &rows {
        let mut columns = Columns::new("forge_runs", row);
        let holder = columns.run_id()?;
        let place = columns.number::<usize>()?;
        if let Some(found) = place.checked_sub(1).and_then(|place| holders.get_mut(place)) {
            *found = Some(holder);
        }
    }
    for ((place, id, ..), holder) in losers.into_iter().zip(holders) {
        let deleted = || StoreError::Unavailable("a run was deleted while another took its key".to_owned());
        let holder: RunId = holder.ok_or_else(deleted)?;
        // An earlier try of this batch may have begun it.
        if holder != id {
            written[place] = Written::KeyTaken(holder);
        }
    }
    Ok(written)
}

/// The arguments of [`WRITE`].
#[derive(Default)]
struct Arrays {
    arguments: PgArguments,
}

type OptionalText<'t> = Option<Cow<'t, str>>;

fn optional(text: Option<&str>) -> OptionalText<'_> {
    text.map(text::encode)
}

fn document(text: &Option<Arc<str>>) -> OptionalText<'_> {
    optional(text.as_deref())
}

fn json(value: &impl serde::Serialize) -> OptionalText<'static> {
    Some(Cow::Owned(serde_json::to_string(value).unwrap_or_default()))
}

impl Arrays {
    fn add<'a, T: Encode<'a, Postgres> + Type<Postgres>>(&mut self, value: T) -> Result<(), QueryError> {
        self.arguments.add(value).map_err(|error| sqlx::Error::Encode(error).into())
    }

    fn column<'s, S, T>(&mut self, states: &'s [S], column: impl Fn(&'s S) -> T) -> Result<(), QueryError>
    where
        Vec<T>: Encode<'s, Postgres> + Type<Postgres>,
    {
        let values: Vec<T> = states.iter().map(column).collect();
        self.add(values)
    }

    fn runs(&mut self, epoch: Epoch, runs: &[RunState<'_>]) -> Result<(), QueryError> {
        let owner = |state: &RunState<'_>| match state.owner {
            Owner::Me => epoch.0,
            Owner::Nobody => 0,
        };
        self.column(runs, |state| state.begins)?;
        self.column(runs, |state| state.run.id.0)?;
        self.column(runs, owner)?;
        self.column(runs, |state| i64::from(state.run.version))?;
        self.column(runs, |state| state.run.started_at.0)?;
        self.column(runs, |state| state.run.deadline.0)?;
        self.column(runs, |state| state.run.completed_at.map(|time| time.0))?;
        self.column(runs, |state| state.run.wake_at.map(|time| time.0))?;
        self.column(runs, |state| state.run.due_at().map(|time| time.0))?;
        self.column(runs, |state| text::encode(&state.run.workflow))?;
        self.column(runs, |state| text::encode(&state.run.digest))?;
        self.column(runs, |state| state.run.status.as_str())?;
        self.column(runs, |state| text::encode(&state.run.input))?;
        self.column(runs, |state| text::encode(&state.run.auth))?;
        self.column(runs, |state| document(&state.run.output))?;
        self.column(runs, |state| state.run.error().map(|error| text::encode(&error).into_owned()))?;
        self.column(runs, |state| state.run.failure.as_ref().and_then(json))?;
        self.column(runs, |state| document(&state.run.stuck))?;
        self.column(runs, |state| state.run.pause.as_ref().map(|pause| pause.reason.as_str()))?;
        self.column(runs, |state| optional(state.run.pause.as_ref().map(|pause| pause.message.as_str())))?;
        self.column(runs, |state| state.run.pause.as_ref().map(|pause| pause.from.as_str()))?;
        self.column(runs, |state| document(&state.run.key))?;
        self.column(runs, |state| document(&state.run.trace_id))
    }

    fn rows(&mut self, rows: &[RowState<'_>]) -> Result<(), QueryError> {
        self.column(rows, |state| state.run.0)?;
        self.column(rows, |state| state.row.seq.cast_signed())?;
        self.column(rows, |state| state.row.fingerprint.cast_signed())?;
        self.column(rows, |state| state.row.started_at.0)?;
        self.column(rows, |state| state.row.scope.step.cast_signed())?;
        self.column(rows, |state| i64::from(state.row.scope.attempt))?;
        self.column(rows, |state| i64::from(state.row.attempt))?;
        self.column(rows, |state| state.row.index.map(i64::from))?;
        self.column(rows, |state| state.row.order.map(u64::cast_signed))?;
        self.column(rows, |state| state.row.completed_at.map(|time| time.0))?;
        self.column(rows, |state| state.row.wake_at.map(|time| time.0))?;
        self.column(rows, |state| state.row.failure.as_ref().map(|failure| failure.retryable))?;
        self.column(rows, |state| state.row.kind.as_str())?;
        self.column(rows, |state| state.row.status.as_str())?;
        self.column(rows, |state| text::encode(&state.row.name))?;
        self.column(rows, |state| document(&state.row.input))?;
        self.column(rows, |state| document(&state.row.result))?;
        self.column(rows, |state| optional(state.row.failure.as_ref().map(|failure| &*failure.message)))?;
        self.column(rows, |state| optional(state.row.failure.as_ref().map(|failure| &*failure.kind)))?;
        self.column(rows, |state| {
            (state.row.options != StepOptions::default()).then(|| json(&state.row.options)).flatten()
        })?;
        self.column(rows, |state| {
            (!state.row.attempt_orders.is_empty()).then(|| json(&state.row.attempt_orders)).flatten()
        })
    }

    fn into_query(self) -> PgQuery<'static> {
        sqlx::query_with(WRITE, self.arguments)
    }
}
