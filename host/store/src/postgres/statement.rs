//! The statement that writes a batch, as SQL and arguments. There are nine of it: what a
//! statement does not mention costs nothing, and rows that are new cost less than those that may be there.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};

use super::batch::{Batch, Owner, RowState, RunState};
use super::commit::FencingToken;
use super::connection::PgQuery;
use super::error::QueryError;
use super::text;
use crate::Epoch;

/// Columns and their types, in the order in which [`Arrays::runs`] adds them.
const RUN: [(&str, &str); 24] = [
    ("id", "UUID"),
    ("owner", "BIGINT"),
    ("version", "BIGINT"),
    ("started_at", "BIGINT"),
    ("deadline", "BIGINT"),
    ("completed_at", "BIGINT"),
    ("wake_at", "BIGINT"),
    ("due_at", "BIGINT"),
    ("workflow_name", "TEXT"),
    ("digest", "TEXT"),
    ("status", "TEXT"),
    ("input", "TEXT"),
    ("auth", "TEXT"),
    ("output", "TEXT"),
    ("error", "TEXT"),
    ("failure", "TEXT"),
    ("stuck", "TEXT"),
    ("pause_reason", "TEXT"),
    ("pause_message", "TEXT"),
    ("pause_from", "TEXT"),
    ("idempotency_key", "TEXT"),
    ("trace_id", "TEXT"),
    ("tenant", "TEXT"),
    ("fuel", "BIGINT"),
];

/// Those of a run that change.
const RUN_CHANGES: [&str; 12] = [
    "output",
    "status",
    "completed_at",
    "wake_at",
    "due_at",
    "error",
    "failure",
    "stuck",
    "pause_reason",
    "pause_message",
    "pause_from",
    "fuel",
];

/// The same for [`Arrays::rows`].
const ROW: [(&str, &str); 21] = [
    ("run_id", "UUID"),
    ("seq", "BIGINT"),
    ("fingerprint", "BIGINT"),
    ("started_at", "BIGINT"),
    ("scope_step", "BIGINT"),
    ("scope_attempt", "BIGINT"),
    ("attempt", "BIGINT"),
    ("call_index", "BIGINT"),
    ("call_order", "BIGINT"),
    ("completed_at", "BIGINT"),
    ("wake_at", "BIGINT"),
    ("error_retryable", "BOOL"),
    ("kind", "TEXT"),
    ("status", "TEXT"),
    ("name", "TEXT"),
    ("input", "TEXT"),
    ("result", "TEXT"),
    ("error", "TEXT"),
    ("error_kind", "TEXT"),
    ("options", "TEXT"),
    ("attempt_orders", "TEXT"),
];

const ROW_CHANGES: [&str; 10] = [
    "status",
    "result",
    "completed_at",
    "error",
    "error_kind",
    "error_retryable",
    "attempt",
    "attempt_orders",
    "call_order",
    "wake_at",
];

/// What is known of the rows that a batch has for new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// They are, unless the batch was written before. The database refuses it then.
    MayBeNew,
    /// They may be there, and are changed.
    MayBeThere,
}

/// What a statement inserts into one of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    New,
    Any,
}

const PARTS: [Part; 3] = [Part::Nothing, Part::New, Part::Any];

/// For all that may be written of runs, and of rows.
static STATEMENTS: LazyLock<[[String; 3]; 3]> =
    LazyLock::new(|| PARTS.map(|runs| PARTS.map(|rows| sql(runs, rows))));

/// `$1` is the epoch, `$2` the connection's number in it, `$3` and `$4` the channel and the notice for runs that are
/// nobody's. No row is the answer if the epoch is over, or another connection writes in it: nothing else was done
/// then. What never changes of a run or a row is left alone.
///
/// The arrays are taken apart in the list of what is selected: behind `FROM`, PostgreSQL would first copy each of them.
fn sql(runs: Part, rows: Part) -> String {
    let mut sql = "WITH fence AS MATERIALIZED ( \
         SELECT epoch FROM forge_nodes WHERE epoch = $1 AND writer = $2 AND ended_at IS NULL FOR KEY SHARE)"
        .to_owned();
    let mut last = 4;
    let mut begun = "ARRAY[]::UUID[]";
    let columns = names(&RUN);
    match runs {
        Part::Nothing => {}
        Part::New => {
            let values = values(&RUN, &mut last);
            sql.push_str(&format!(
                ", saved AS (INSERT INTO forge_runs ({columns}) SELECT {values} FROM fence)"
            ));
        }
        Part::Any => {
            let changes = assignments(&RUN_CHANGES);
            let values = values(&[&RUN[..], &[("begins", "BOOL")]].concat(), &mut last);
            sql.push_str(&format!(
                ", runs AS MATERIALIZED ( \
                     SELECT {values} FROM fence \
                 ), begun AS ( \
                     INSERT INTO forge_runs ({columns}) SELECT {columns} FROM runs WHERE begins \
                     ON CONFLICT DO NOTHING RETURNING id \
                 ), saved AS ( \
                     INSERT INTO forge_runs ({columns}) SELECT {columns} FROM runs WHERE NOT begins \
                     ON CONFLICT (id) DO UPDATE SET {changes})"
            ));
            begun = "ARRAY(SELECT id FROM begun)";
        }
    }
    if rows != Part::Nothing {
        let columns = names(&ROW);
        let values = values(&ROW, &mut last);
        // Without this clause PostgreSQL looks for each row before it inserts it, and confirms it afterwards.
        let on_conflict = match rows {
            Part::Any => format!(" ON CONFLICT (run_id, seq) DO UPDATE SET {}", assignments(&ROW_CHANGES)),
            Part::New | Part::Nothing => String::new(),
        };
        sql.push_str(&format!(
            ", steps AS (INSERT INTO forge_steps ({columns}) SELECT {values} FROM fence{on_conflict})"
        ));
    }
    sql.push_str(&format!(
        " SELECT {begun}, CASE WHEN $4::TEXT IS NOT NULL THEN pg_notify($3, $4) END FROM fence"
    ));
    sql
}

fn names(columns: &[(&str, &str)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn assignments(columns: &[&str]) -> String {
    let assignments: Vec<String> = columns.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    assignments.join(", ")
}

/// The elements of an array for each column. The arrays are parameters, behind the last one.
fn values(columns: &[(&str, &str)], last: &mut usize) -> String {
    let mut value = |(name, array): &(&str, &str)| {
        *last += 1;
        format!("unnest(${last}::{array}[]) AS {name}")
    };
    let values: Vec<String> = columns.iter().map(&mut value).collect();
    values.join(", ")
}

/// The statement that writes this. Its answer has the runs that began, or no row; see [`sql`].
pub(super) fn of(
    pen: &FencingToken<'_>,
    batch: &Batch<'_>,
    rows: Rows,
) -> Result<PgQuery<'static>, QueryError> {
    let part = |is_empty: bool, is_new: bool| match (is_empty, is_new && rows == Rows::MayBeNew) {
        (true, _) => Part::Nothing,
        (false, true) => Part::New,
        (false, false) => Part::Any,
    };
    let runs = part(batch.runs.is_empty(), batch.runs.iter().all(|state| state.is_new));
    let rows = part(batch.rows.is_empty(), batch.rows.iter().all(|state| state.is_new));
    let sql: &'static str = &STATEMENTS[runs as usize][rows as usize];
    let mut arrays = Arrays::default();
    arrays.add(pen.epoch.0)?;
    arrays.add(pen.writer)?;
    arrays.add(pen.channel)?;
    arrays.add(batch.has_offers().then_some(pen.free))?;
    if runs != Part::Nothing {
        arrays.runs(pen.epoch, &batch.runs)?;
    }
    if runs == Part::Any {
        arrays.column(&batch.runs, |state| state.begins)?;
    }
    if rows != Part::Nothing {
        arrays.rows(&batch.rows)?;
    }
    Ok(sqlx::query_with(sql, arrays.arguments))
}

/// The arguments of a statement.
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
        self.column(runs, |state| document(&state.run.failed_compensations))?;
        self.column(runs, |state| state.run.pause.as_ref().map(|pause| pause.reason.as_str()))?;
        self.column(runs, |state| optional(state.run.pause.as_ref().map(|pause| pause.message.as_str())))?;
        self.column(runs, |state| state.run.pause.as_ref().map(|pause| pause.from.as_str()))?;
        self.column(runs, |state| document(&state.run.key))?;
        self.column(runs, |state| document(&state.run.trace_id))?;
        self.column(runs, |state| text::encode(&state.run.tenant))?;
        self.column(runs, |state| state.run.fuel.cast_signed())
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
        self.column(rows, |state| state.row.options.as_deref().and_then(json))?;
        self.column(rows, |state| {
            (!state.row.attempt_orders.is_empty()).then(|| json(&state.row.attempt_orders)).flatten()
        })
    }
}
