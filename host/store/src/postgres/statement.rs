//! The SQL statement that writes a batch, and its parameters.
//!
//! There are eighteen variants: a statement that does not mention a table costs nothing for it, and inserts of new rows cost
//! less than upserts.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};

use super::batch::{Batch, Owner};
use super::connection::PgQuery;
use super::text;
use crate::Epoch;
use crate::StoreError;
use crate::schema::{Access, Column, SQL_TYPES, logs, names, on_conflict, runs, steps};

/// What a statement must present to write, and how other nodes are notified.
pub(super) struct FencingToken<'p> {
    pub(super) epoch: Epoch,
    /// The number of the write connection in the epoch.
    pub(super) writer: i64,
    pub(super) channel: &'p str,
    /// The payload that notifies all nodes of unowned runs.
    pub(super) unowned: &'p str,
}

/// What is known about the rows that a batch declares as new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// They are new, unless the batch was committed before. PostgreSQL then reports a duplicate.
    MayBeNew,
    /// They may exist, and are updated.
    MayExist,
}

/// How a statement writes to one of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Insert,
    Upsert,
}

const PARTS: [Part; 3] = [Part::Nothing, Part::Insert, Part::Upsert];

/// The statements, by the part of runs, the part of rows, and whether there are lines.
static STATEMENTS: LazyLock<[[[String; 2]; 3]; 3]> =
    LazyLock::new(|| PARTS.map(|runs| PARTS.map(|rows| [false, true].map(|lines| sql(runs, rows, lines)))));

/// The number of parts that a tenant's total of stored bytes has. Nodes whose epochs differ by less add to different parts,
/// and so do not wait for each other's commits.
pub(super) const STORAGE_PARTS: i64 = 16;

/// Returns a statement. `$1` is the epoch, `$2` the number of the write connection, `$3` the channel, `$4` the
/// notification for unowned runs, `$5` tenants whose totals change, `$6` and
/// `$7` their bytes and unfinished runs. The statement returns no row and writes nothing if the epoch has ended or another
/// connection writes in it, and fails with [`OUTDATED`](super::error::OUTDATED) if a row in the database is newer than what is written to it.
///
/// `unnest` stands in the select list: in the FROM clause, PostgreSQL would copy each array first.
fn sql(runs: Part, rows: Part, lines: bool) -> String {
    let mut sql = "WITH fence AS MATERIALIZED ( \
         SELECT epoch FROM forge_nodes WHERE epoch = $1 AND writer = $2 AND ended_at IS NULL FOR KEY SHARE)"
        .to_owned();
    let mut parameters = 7;
    let mut begun = "ARRAY[]::UUID[]";
    // What new runs add to the totals of their tenants, which is what `Run::growth` returns for them.
    let mut of_begun = "";
    // Each is a condition with which a row was not written.
    let mut outdated = Vec::new();
    let columns = format!("id, owner, {}", names(runs::COLUMNS));
    let keys = [("id", "UUID"), ("owner", "BIGINT")];
    match runs {
        Part::Nothing => {}
        Part::Insert => {
            let values = values(&keys, runs::COLUMNS, &mut parameters);
            sql.push_str(&format!(
                ", saved AS (INSERT INTO forge_runs ({columns}) SELECT {values} FROM fence)"
            ));
        }
        Part::Upsert => {
            let on_conflict = on_conflict(runs::TABLE, "id", runs::COLUMNS, runs::BACKWARDS);
            let keys = [keys[0], keys[1], ("begins", "BOOL")];
            let values = values(&keys, runs::COLUMNS, &mut parameters);
            sql.push_str(&format!(
                ", runs AS MATERIALIZED ( \
                     SELECT {values} FROM fence \
                 ), begun AS ( \
                     INSERT INTO forge_runs ({columns}) SELECT {columns} FROM runs WHERE begins \
                     ON CONFLICT DO NOTHING RETURNING id, tenant, \
                         256 + octet_length(input) + 2 * coalesce(octet_length(tags), 0) AS bytes \
                 ), saved AS ( \
                     INSERT INTO forge_runs ({columns}) SELECT {columns} FROM runs WHERE NOT begins \
                     {on_conflict} RETURNING 1)"
            ));
            outdated.push(
                "(SELECT count(*) FROM saved) < (SELECT count(*) FROM runs WHERE NOT begins)".to_owned(),
            );
            begun = "ARRAY(SELECT id FROM begun)";
            of_begun = " UNION ALL SELECT tenant, bytes, 1 FROM begun";
        }
    }
    if rows != Part::Nothing {
        let columns = names(steps::COLUMNS);
        let first = parameters + 1;
        let values = values(&[("run_id", "UUID"), ("seq", "BIGINT")], steps::COLUMNS, &mut parameters);
        // With ON CONFLICT, PostgreSQL looks up each row before it inserts it.
        let on_conflict = match rows {
            Part::Upsert => {
                outdated.push(format!("(SELECT count(*) FROM steps) < cardinality(${first}::UUID[])"));
                let on_conflict = on_conflict(steps::TABLE, "run_id, seq", steps::COLUMNS, steps::BACKWARDS);
                format!("{on_conflict} RETURNING 1")
            }
            Part::Insert | Part::Nothing => String::new(),
        };
        sql.push_str(&format!(
            ", steps AS (INSERT INTO forge_steps (run_id, seq, {columns}) SELECT {values} FROM fence{on_conflict})"
        ));
    }
    if lines {
        let columns = names(logs::COLUMNS);
        let values = values(&[("run_id", "UUID"), ("seq", "BIGINT")], logs::COLUMNS, &mut parameters);
        // A batch may be committed twice.
        sql.push_str(&format!(
            ", lines AS (INSERT INTO forge_logs (run_id, seq, {columns}) SELECT {values} FROM fence \
                 ON CONFLICT (run_id, seq) DO NOTHING)"
        ));
    }
    sql.push_str(&format!(
        ", grown AS ( \
             INSERT INTO forge_storage AS total (tenant, part, bytes, unfinished) \
             SELECT tenant, $1 % {STORAGE_PARTS}, sum(bytes), sum(unfinished) FROM ( \
                 SELECT unnest($5::TEXT[]) AS tenant, unnest($6::BIGINT[]) AS bytes, unnest($7::BIGINT[]) AS unfinished \
                   FROM fence{of_begun} \
             ) AS sizes GROUP BY tenant ORDER BY tenant \
             ON CONFLICT (tenant, part) DO UPDATE \
             SET bytes = total.bytes + excluded.bytes, unfinished = total.unfinished + excluded.unfinished)"
    ));
    let outdated = if outdated.is_empty() { "FALSE".to_owned() } else { outdated.join(" OR ") };
    sql.push_str(&format!(
        " SELECT {begun}, CASE WHEN {outdated} THEN forge_outdated() END, \
             CASE WHEN $4::TEXT IS NOT NULL THEN pg_notify($3, $4) END FROM fence"
    ));
    sql
}

/// Returns the select list that unnests an array parameter for each key and column.
fn values<T>(keys: &[(&str, &str)], columns: &[Column<T>], parameters: &mut usize) -> String {
    let columns = columns.iter().map(|column| (column.name, SQL_TYPES[column.access.sql_type()]));
    let value = |(name, sql_type)| {
        *parameters += 1;
        format!("unnest(${parameters}::{sql_type}[]) AS {name}")
    };
    keys.iter().copied().chain(columns).map(value).collect::<Vec<_>>().join(", ")
}

/// Returns the query that writes a batch. Its answer contains the runs that began, or no row; see [`sql`].
///
/// # Errors
/// [`StoreError::Rejected`] if a value cannot be encoded.
pub(super) fn query(
    token: &FencingToken<'_>,
    batch: &Batch<'_>,
    known: Rows,
) -> Result<PgQuery<'static>, StoreError> {
    let part = |is_empty: bool, is_new: bool| match (is_empty, is_new && known == Rows::MayBeNew) {
        (true, _) => Part::Nothing,
        (false, true) => Part::Insert,
        (false, false) => Part::Upsert,
    };
    let Batch { runs, rows, lines, .. } = batch;
    let runs_part = part(runs.is_empty(), runs.iter().all(|state| state.is_new));
    let rows_part = part(rows.is_empty(), rows.iter().all(|state| state.is_new));
    let mut parameters = Parameters::default();
    parameters.add(token.epoch.0)?;
    parameters.add(token.writer)?;
    parameters.add(token.channel)?;
    parameters.add(batch.has_unowned().then_some(token.unowned))?;
    // What was committed before was counted then.
    let grown: Vec<_> = batch.grown.iter().filter(|_| known == Rows::MayBeNew).collect();
    parameters.array(&grown, |(tenant, _)| text::encode(tenant))?;
    parameters.array(&grown, |(_, growth)| growth.bytes)?;
    parameters.array(&grown, |(_, growth)| growth.unfinished)?;
    if runs_part != Part::Nothing {
        let owner = |owner| if owner == Owner::This { token.epoch.0 } else { 0 };
        parameters.array(runs, |state| state.run.id.0)?;
        parameters.array(runs, |state| owner(state.owner))?;
        if runs_part == Part::Upsert {
            parameters.array(runs, |state| state.begins)?;
        }
        parameters.arrays(runs::TABLE, runs::COLUMNS, runs, |state| state.run)?;
    }
    if rows_part != Part::Nothing {
        parameters.array(rows, |state| state.run.0)?;
        parameters.array(rows, |state| state.row.seq.cast_signed())?;
        parameters.arrays(steps::TABLE, steps::COLUMNS, rows, |state| state.row)?;
    }
    if !lines.is_empty() {
        parameters.array(lines, |line| line.run.0)?;
        parameters.array(lines, |line| line.line.seq.cast_signed())?;
        parameters.arrays(logs::TABLE, logs::COLUMNS, lines, |line| line.line)?;
    }
    let sql: &'static str =
        &STATEMENTS[runs_part as usize][rows_part as usize][usize::from(!lines.is_empty())];
    Ok(sqlx::query_with(sql, parameters.0))
}

#[derive(Default)]
struct Parameters(PgArguments);

impl Parameters {
    fn add<'a, V: Encode<'a, Postgres> + Type<Postgres>>(&mut self, value: V) -> Result<(), StoreError> {
        self.0.add(value).map_err(|error| StoreError::Rejected(error.to_string()))
    }

    fn array<'s, S, V>(&mut self, states: &'s [S], value: impl Fn(&'s S) -> V) -> Result<(), StoreError>
    where
        Vec<V>: Encode<'s, Postgres> + Type<Postgres>,
    {
        self.add(states.iter().map(value).collect::<Vec<V>>())
    }

    /// Adds an array for each column.
    fn arrays<'s, S, T>(
        &mut self,
        table: &'static str,
        columns: &[Column<T>],
        states: &'s [S],
        item: fn(&'s S) -> &'s T,
    ) -> Result<(), StoreError> {
        for Column { name, access, .. } in columns {
            let rejected = |error| StoreError::cannot_encode(table, name, &error);
            let items = states.iter().map(item);
            match access {
                Access::Text { get, .. } => {
                    let texts = items.map(|item| Ok(get(item)?.map(text::encode_owned)));
                    self.add(texts.collect::<Result<Vec<Option<Cow<'s, str>>>, _>>().map_err(rejected)?)?;
                }
                Access::Integer { get, .. } => {
                    self.add(items.map(get).collect::<Result<Vec<_>, _>>().map_err(rejected)?)?;
                }
                Access::Flag { get, .. } => {
                    self.add(items.map(get).collect::<Result<Vec<_>, _>>().map_err(rejected)?)?;
                }
            }
        }
        Ok(())
    }
}
