use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgHasArrayType, PgRow};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, Postgres, Row as _, TypeInfo as _};

use super::{JOURNAL, MOST_ROWS};
use crate::database::connect;

/// The settings of the host's connection.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off";

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A journal in the database of a host, over one connection.
pub(crate) struct Journal {
    connection: PgConnection,
    insert_one: Arc<str>,
    insert_many: Arc<str>,
    columns: Vec<Box<dyn Values>>,
    pub(super) rows: usize,
}

/// The values of a column.
trait Values {
    /// Binds the value of a row, or an array of the values of several.
    fn bind<'q>(&'q self, statement: Statement<'q>, rows: Range<usize>) -> Statement<'q>;
}

impl<T> Values for Vec<Option<T>>
where
    T: for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + PgHasArrayType + Clone + Sync + 'static,
{
    fn bind<'q>(&'q self, statement: Statement<'q>, rows: Range<usize>) -> Statement<'q> {
        if rows.len() == 1 { statement.bind(&self[rows.start]) } else { statement.bind(&self[rows]) }
    }
}

fn values_of(column: &PgColumn, rows: &[PgRow]) -> Result<Box<dyn Values>> {
    fn values<T>(rows: &[PgRow], index: usize) -> Result<Vec<Option<T>>>
    where
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        rows.iter().map(|row| Ok(row.try_get(index)?)).collect()
    }
    let index = column.ordinal();
    Ok(match column.type_info().name() {
        "UUID" => Box::new(values::<Uuid>(rows, index)?),
        "INT8" => Box::new(values::<i64>(rows, index)?),
        "BOOL" => Box::new(values::<bool>(rows, index)?),
        "TEXT" => Box::new(values::<String>(rows, index)?),
        other => bail!("{JOURNAL} has a column of the unknown type {other}: add it to the benchmark"),
    })
}

impl Journal {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let mut connection = connect(url).await?;
        connection.execute(sqlx::raw_sql(SETTINGS)).await?;
        let select = AssertSqlSafe(format!("SELECT * FROM {JOURNAL} LIMIT {MOST_ROWS}"));
        let rows = sqlx::query(select).fetch_all(&mut connection).await;
        let rows = rows.with_context(|| format!("the host's database has no table {JOURNAL}"))?;
        let columns = rows.first().map(PgRow::columns).unwrap_or_default();
        let list = |item: &dyn Fn(usize, &PgColumn) -> String| {
            (1..).zip(columns).map(|(number, column)| item(number, column)).collect::<Vec<_>>().join(", ")
        };
        let names = list(&|_, column| column.name().to_owned());
        let values = list(&|number, _| format!("${number}"));
        let arrays = list(&|number, column| format!("${number}::{}[]", column.type_info().name()));
        Ok(Self {
            insert_one: format!("INSERT INTO {JOURNAL} ({names}) VALUES ({values})").into(),
            insert_many: format!("INSERT INTO {JOURNAL} ({names}) SELECT * FROM unnest({arrays})").into(),
            columns: columns.iter().map(|column| values_of(column, &rows)).collect::<Result<_>>()?,
            rows: rows.len(),
            connection,
        })
    }

    pub(super) async fn empty(&mut self) -> Result<()> {
        self.connection.execute(AssertSqlSafe(format!("TRUNCATE {JOURNAL}"))).await?;
        Ok(())
    }

    pub(super) async fn insert(&mut self, rows: Range<usize>) -> Result<()> {
        let sql = if rows.len() == 1 { &self.insert_one } else { &self.insert_many };
        let statement = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
        let bound =
            self.columns.iter().fold(statement, |statement, values| values.bind(statement, rows.clone()));
        bound.execute(&mut self.connection).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Journal as AnyJournal;
    use crate::database::PostgresServer;

    #[tokio::test]
    async fn the_same_rows_are_inserted_again_in_batches_and_one_by_one() {
        let server = PostgresServer::start(&std::env::temp_dir()).unwrap();
        let url = server.create_database().unwrap();
        let error = AnyJournal::open(&url).await.err().unwrap().to_string();
        assert_eq!(error, "the host's database has no table forge_steps");

        let schema = "CREATE TABLE forge_steps (run_id UUID, seq BIGINT, retryable BOOLEAN, name TEXT);
                      INSERT INTO forge_steps SELECT gen_random_uuid(), seq, NULL, 'a' FROM generate_series(1, 3) AS seq;
                      CREATE TABLE original AS SELECT * FROM forge_steps";
        server.sql(&url, schema).unwrap();
        let mut journal = AnyJournal::open(&url).await.unwrap();
        let same = "SELECT count(*) FROM (TABLE original INTERSECT TABLE forge_steps) AS same";
        assert!(journal.rows_per_second(2).await.unwrap() > 0.0);
        assert_eq!(server.sql(&url, same).unwrap(), "3");
        assert!(journal.commit_latency(Duration::from_secs(1)).await.unwrap() > 0.0);
        assert_eq!(server.sql(&url, same).unwrap(), "3");
    }
}
