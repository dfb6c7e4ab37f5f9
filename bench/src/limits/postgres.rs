//! PostgreSQL alone: the rows that the host wrote, in a fresh table of the same form, over one connection.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Row as _};
use uuid::Uuid;

use super::Commits;
use crate::database::connect;
use crate::stats;

/// Where a host keeps the rows of its journal.
const JOURNAL: &str = "forge_steps";

/// The table of the same form: columns, indexes, and how full its pages get.
const FRESH: &str = "DROP TABLE IF EXISTS bench_steps; \
     CREATE TABLE bench_steps (LIKE forge_steps INCLUDING ALL); \
     DO $$ BEGIN EXECUTE (SELECT coalesce('ALTER TABLE bench_steps SET (' || array_to_string(reloptions, ', ') || ')', \
         'SELECT') FROM pg_class WHERE oid = 'forge_steps'::REGCLASS); END $$";

/// What the host's connection has.
const SET_UP: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off";

const COLUMNS: &str = "SELECT attname::TEXT, format_type(atttypid, NULL) FROM pg_attribute \
     WHERE attrelid = 'forge_steps'::REGCLASS AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

/// Rows that are enough to measure with.
const ENOUGH: usize = 50_000;

/// A journal's rows as a host stored them, by column.
pub(crate) struct Journal {
    connection: PgConnection,
    insert_one: Arc<str>,
    insert_many: Arc<str>,
    columns: Vec<Column>,
    rows: usize,
}

/// The values of a column.
enum Column {
    Uuid(Vec<Option<Uuid>>),
    Bigint(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
}

impl Column {
    fn read(kind: &str, rows: &[PgRow], place: usize) -> Result<Self> {
        Ok(match kind {
            "uuid" => Self::Uuid(values(rows, place)?),
            "bigint" => Self::Bigint(values(rows, place)?),
            "boolean" => Self::Boolean(values(rows, place)?),
            "text" => Self::Text(values(rows, place)?),
            other => bail!("{JOURNAL} has a column of type {other}, which is not known here"),
        })
    }
}

fn values<'r, T>(rows: &'r [PgRow], place: usize) -> Result<Vec<Option<T>>>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    rows.iter().map(|row| Ok(row.try_get(place)?)).collect()
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

impl Journal {
    /// Reads it from the database of a host that has stopped.
    pub(crate) async fn read(url: &str) -> Result<Self> {
        let mut connection = connect(url).await?;
        connection.execute(sqlx::raw_sql(SET_UP)).await?;
        let found = sqlx::query_as::<_, (String, String)>(COLUMNS).fetch_all(&mut connection).await;
        let found = found.with_context(|| format!("the host's database has no table {JOURNAL}"))?;
        let names = found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let select = AssertSqlSafe(format!("SELECT {names} FROM {JOURNAL} LIMIT {ENOUGH}"));
        let rows = sqlx::query(select).fetch_all(&mut connection).await?;
        ensure!(!rows.is_empty(), "the host's journal {JOURNAL} is empty");
        let columns = found.iter().enumerate().map(|(place, (_, kind))| Column::read(kind, &rows, place));
        let places = |form: &dyn Fn(usize, &str) -> String| {
            let places = (1..).zip(&found).map(|(number, (_, kind))| form(number, kind));
            places.collect::<Vec<_>>().join(", ")
        };
        let (ones, arrays) = (
            places(&|number, _| format!("${number}")),
            places(&|number, kind| format!("${number}::{kind}[]")),
        );
        Ok(Self {
            insert_one: format!("INSERT INTO bench_steps ({names}) VALUES ({ones})").into(),
            insert_many: format!("INSERT INTO bench_steps ({names}) SELECT * FROM unnest({arrays})").into(),
            columns: columns.collect::<Result<_>>()?,
            rows: rows.len(),
            connection,
        })
    }

    /// Rows a second, in commits of so many.
    pub(crate) async fn rows_per_second(&mut self, batch: usize) -> Result<f64> {
        self.connection.execute(sqlx::raw_sql(FRESH)).await?;
        let began = Instant::now();
        for first in (0..self.rows).step_by(batch) {
            let batch = first..self.rows.min(first + batch);
            many(&self.insert_many, &self.columns, batch).execute(&mut self.connection).await?;
        }
        Ok(self.rows as f64 / began.elapsed().as_secs_f64())
    }

    /// Commits of one row, one after the other, and each after something else.
    pub(crate) async fn commits(
        &mut self,
        time: Duration,
        mut before: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Commits> {
        self.connection.execute(sqlx::raw_sql(FRESH)).await?;
        let mut latencies = Vec::new();
        let began = Instant::now();
        for row in 0..self.rows {
            let sent = Instant::now();
            before().await?;
            one(&self.insert_one, &self.columns, row).execute(&mut self.connection).await?;
            latencies.push(sent.elapsed());
            if began.elapsed() >= time {
                break;
            }
        }
        let rate = latencies.len() as f64 / began.elapsed().as_secs_f64();
        let median = stats::median(&stats::microseconds(&latencies)).context("no row was committed")?;
        Ok(Commits { rate, median })
    }
}

fn many<'q>(sql: &Arc<str>, columns: &'q [Column], rows: Range<usize>) -> Statement<'q> {
    columns.iter().fold(sqlx::query(AssertSqlSafe(Arc::clone(sql))), |query, column| match column {
        Column::Uuid(values) => query.bind(&values[rows.clone()]),
        Column::Bigint(values) => query.bind(&values[rows.clone()]),
        Column::Boolean(values) => query.bind(&values[rows.clone()]),
        Column::Text(values) => query.bind(&values[rows.clone()]),
    })
}

fn one<'q>(sql: &Arc<str>, columns: &'q [Column], row: usize) -> Statement<'q> {
    columns.iter().fold(sqlx::query(AssertSqlSafe(Arc::clone(sql))), |query, column| match column {
        Column::Uuid(values) => query.bind(values[row]),
        Column::Bigint(values) => query.bind(values[row]),
        Column::Boolean(values) => query.bind(values[row]),
        Column::Text(values) => query.bind(values[row].as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::PostgresServer;
    use crate::limits::at_once;

    #[tokio::test]
    async fn rows_are_copied_into_a_table_of_the_same_form() {
        let server = PostgresServer::start(&std::env::temp_dir()).unwrap();
        let url = server.create_database().unwrap();
        let mut connection = connect(&url).await.unwrap();
        let schema = "CREATE TABLE forge_steps (run_id UUID, seq BIGINT, retryable BOOLEAN, name TEXT,
                          PRIMARY KEY (run_id, seq)) WITH (fillfactor = 90);
                      INSERT INTO forge_steps SELECT gen_random_uuid(), seq, NULL, 'a' FROM generate_series(1, 3) AS seq";
        connection.execute(sqlx::raw_sql(schema)).await.unwrap();
        let mut journal = Journal::read(&url).await.unwrap();
        assert!(journal.rows_per_second(2).await.unwrap() > 0.0);
        let copied =
            "SELECT count(*) FROM (SELECT * FROM bench_steps INTERSECT SELECT * FROM forge_steps) AS same";
        assert_eq!(sqlx::query_scalar::<_, i64>(copied).fetch_one(&mut connection).await.unwrap(), 3);
        assert!(journal.commits(Duration::from_secs(1), at_once).await.unwrap().rate > 0.0);
        let form = "SELECT reloptions::TEXT || relhasindex FROM pg_class WHERE relname = 'bench_steps'";
        let form: String = sqlx::query_scalar(form).fetch_one(&mut connection).await.unwrap();
        assert_eq!(form, "{fillfactor=90}true");
    }

    #[tokio::test]
    async fn a_database_without_a_journal_is_named() {
        let server = PostgresServer::start(&std::env::temp_dir()).unwrap();
        let error = Journal::read(&server.create_database().unwrap()).await.err().unwrap().to_string();
        assert_eq!(error, "the host's database has no table forge_steps");
    }
}
