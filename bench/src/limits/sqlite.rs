//! SQLite alone: the rows that the host wrote, in a fresh database, with the host's pragmas.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::Commits;
use crate::stats;

/// Where a host keeps the rows of its journal: the first of these that is a table.
const JOURNALS: [&str; 2] = ["forge_steps", "forge_workflow_steps"];

/// Rows that are enough to measure with.
const ENOUGH: usize = 50_000;

/// Pages after which SQLite moves its log into the database, unless it is told otherwise.
const LOG_PAGES: u32 = 1_000;

/// Pages in a commit while the log is filled.
const WARM_UP_PAGES: u32 = 100;

/// A journal's rows as a host stored them, and the table and indexes that hold them.
pub(crate) struct Journal {
    schema: Vec<String>,
    insert: String,
    /// In the order of their keys, which is the order of time.
    rows: Vec<Vec<Value>>,
}

impl Journal {
    /// Reads it from the database of a host that has stopped.
    pub(crate) fn read(database: &Path) -> Result<Self> {
        let connection = read_only(database)?;
        let mut found = None;
        for name in JOURNALS {
            let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
            if connection.query_row(sql, [name], |row| row.get::<_, i64>(0))? > 0 {
                found = Some(name);
                break;
            }
        }
        let table =
            found.with_context(|| format!("the host's database has no table {}", JOURNALS.join(" or ")))?;
        let schema = texts(
            &connection,
            "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND type IN ('table', 'index') AND sql IS NOT NULL \
             ORDER BY type = 'index'",
            table,
        )?;
        // Generated columns are hidden, in this pragma's words.
        let columns = texts(&connection, "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0", table)?;
        let names = columns.join(", ");
        let places = vec!["?"; columns.len()].join(", ");
        let mut select = connection.prepare(&format!("SELECT {names} FROM {table} LIMIT {ENOUGH}"))?;
        let rows = select.query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect())?;
        let rows: Vec<Vec<Value>> = rows.collect::<rusqlite::Result<_>>()?;
        ensure!(!rows.is_empty(), "the host's journal {table} is empty");
        Ok(Self { schema, insert: format!("INSERT INTO {table} ({names}) VALUES ({places})"), rows })
    }

    /// Rows a second, in commits of so many.
    pub(crate) fn rows_per_second(&self, folder: &Path, batch: usize) -> Result<f64> {
        let (_folder, mut database) = self.fresh(folder)?;
        let began = Instant::now();
        for rows in self.rows.chunks(batch) {
            let transaction = database.transaction()?;
            let mut insert = transaction.prepare_cached(&self.insert)?;
            for row in rows {
                insert.execute(params_from_iter(row))?;
            }
            drop(insert);
            transaction.commit()?;
        }
        Ok(self.rows.len() as f64 / began.elapsed().as_secs_f64())
    }

    /// Commits of one row, one after the other, and each after something else.
    pub(crate) async fn commits(
        &self,
        folder: &Path,
        time: Duration,
        mut before: impl AsyncFnMut() -> Result<()>,
    ) -> Result<Commits> {
        let (_folder, database) = self.fresh(folder)?;
        let mut insert = database.prepare(&self.insert)?;
        let mut latencies = Vec::new();
        let began = Instant::now();
        for row in &self.rows {
            let sent = Instant::now();
            before().await?;
            insert.execute(params_from_iter(row))?;
            latencies.push(sent.elapsed());
            if began.elapsed() >= time {
                break;
            }
        }
        let rate = latencies.len() as f64 / began.elapsed().as_secs_f64();
        let median = stats::median(&stats::microseconds(&latencies)).context("no row was committed")?;
        Ok(Commits { rate, median })
    }

    /// A database of its own with the same table, as the host would open it. Foreign keys are not
    /// checked: that is work, but not the disk's.
    fn fresh(&self, folder: &Path) -> Result<(tempfile::TempDir, Connection)> {
        let folder = tempfile::Builder::new().prefix("sqlite-").tempdir_in(folder)?;
        let database = Connection::open(folder.path().join("raw.db"))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "foreign_keys", "OFF")?;
        for statement in &self.schema {
            database.execute_batch(statement)?;
        }
        warm_up(&database)?;
        Ok((folder, database))
    }
}

/// Fills the write-ahead log up to where SQLite begins it anew. From then on commits write over what is
/// allocated, as in a host that has run for a while; a file that grows makes every sync dearer.
fn warm_up(database: &Connection) -> Result<()> {
    database.execute_batch("CREATE TABLE warm_up (page BLOB)")?;
    for _ in 0..LOG_PAGES.div_ceil(WARM_UP_PAGES) {
        let sql = "WITH RECURSIVE pages(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM pages WHERE n < ?1) \
                   INSERT INTO warm_up SELECT zeroblob(4000) FROM pages";
        database.execute(sql, [WARM_UP_PAGES])?;
    }
    Ok(())
}

/// A connection that changes nothing. The host may be running.
pub(crate) fn read_only(database: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("cannot open {}", database.display()))?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

fn texts(connection: &Connection, sql: &str, parameter: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let texts = statement.query_map([parameter], |row| row.get(0))?;
    Ok(texts.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::at_once;

    fn database(folder: &Path, schema: &str) -> std::path::PathBuf {
        let path = folder.join("forge.db");
        Connection::open(&path).unwrap().execute_batch(schema).unwrap();
        path
    }

    #[tokio::test]
    async fn rows_are_copied_without_generated_columns_and_with_the_indexes() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(
            folder.path(),
            "CREATE TABLE forge_steps (run BLOB, seq INTEGER, id TEXT GENERATED ALWAYS AS (seq) VIRTUAL, name TEXT,
                 PRIMARY KEY (run, seq)) WITHOUT ROWID;
             CREATE INDEX by_name ON forge_steps (name);
             CREATE VIEW forge_workflow_steps AS SELECT * FROM forge_steps;
             INSERT INTO forge_steps VALUES (x'01', 1, 'a'), (x'01', 2, 'b'), (x'02', 1, NULL);",
        );
        let journal = Journal::read(&path).unwrap();
        assert_eq!(journal.insert, "INSERT INTO forge_steps (run, seq, name) VALUES (?, ?, ?)");
        assert_eq!((journal.rows.len(), journal.schema.len()), (3, 2));
        assert!(journal.rows_per_second(folder.path(), 2).unwrap() > 0.0);
        assert!(journal.commits(folder.path(), Duration::from_secs(1), at_once).await.unwrap().rate > 0.0);
    }

    #[test]
    fn a_database_without_a_journal_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path(), "CREATE TABLE other (id INTEGER)");
        let error = Journal::read(&path).err().unwrap().to_string();
        assert_eq!(error, "the host's database has no table forge_steps or forge_workflow_steps");
    }
}
