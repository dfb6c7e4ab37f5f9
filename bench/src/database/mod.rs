//! The hosts' databases, which are read through their views.

mod fill;
mod server;

use std::time::Duration;

use anyhow::{Context as _, Result};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

pub(crate) use fill::fill;
pub(crate) use server::{PostgresServer, connect};

/// The URL of a file begins with this.
pub(crate) const SQLITE: &str = "sqlite:";

/// The number of changes is at this position of SQLite's file `-shm` (<https://sqlite.org/walformat.html>).
const CHANGES: std::ops::Range<usize> = 8..12;

/// A kind of database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A file of one host.
    #[default]
    Sqlite,
    /// A server that several hosts share.
    Postgres,
}

/// A connection that changes nothing.
pub(crate) enum Reader {
    /// To this file.
    Sqlite(Box<Connection>, String),
    /// To a server.
    Postgres(PgConnection),
}

impl Reader {
    /// Opens a database by the URL that hosts have for it.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let Some(file) = url.strip_prefix(SQLITE) else { return Ok(Self::Postgres(connect(url).await?)) };
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("cannot open {file}"))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(Self::Sqlite(Box::new(connection), file.to_owned()))
    }

    /// Returns the number of completed runs.
    pub(crate) async fn completed(&mut self) -> Result<u64> {
        self.runs("status = 'completed'").await
    }

    /// Whether a run waits.
    pub(crate) async fn is_waiting(&mut self, run: &str) -> Result<bool> {
        Ok(self.runs(&format!("id = '{run}' AND status = 'waiting'")).await? > 0)
    }

    /// Returns the number of runs that wait.
    pub(crate) async fn waiting(&mut self) -> Result<u64> {
        self.runs("status = 'waiting'").await
    }

    /// Returns the time from a run's timer to its end in milliseconds: for each run that has a timer and completed, or
    /// for one of them.
    pub(crate) async fn lateness(&mut self, run: Option<&str>) -> Result<Vec<f64>> {
        let condition = run.map(|run| format!("AND runs.id = '{run}'")).unwrap_or_default();
        let milliseconds = match self {
            Self::Sqlite(..) => {
                "(unixepoch(runs.completed_at, 'subsec') - unixepoch(steps.wake_at, 'subsec')) * 1000"
            }
            Self::Postgres(_) => "extract(epoch FROM runs.completed_at - steps.wake_at) * 1000",
        };
        let sql = format!(
            "SELECT CAST(round({milliseconds}) AS DOUBLE PRECISION) FROM forge_workflow_steps AS steps \
             JOIN forge_workflow_runs AS runs ON runs.id = steps.workflow_run_id \
             WHERE steps.kind = 'sleep' AND runs.status = 'completed' {condition}"
        );
        self.numbers(&sql).await
    }

    /// Returns the number of transactions that changed the database; a server counts those of all its databases.
    pub(crate) async fn commits(&mut self) -> Result<f64> {
        let file = match self {
            Self::Sqlite(_, file) => format!("{file}-shm"),
            Self::Postgres(_) => {
                let next = "CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT)";
                return self.one(&format!("SELECT CAST({next} AS DOUBLE PRECISION)")).await;
            }
        };
        let index = std::fs::read(&file).with_context(|| format!("cannot read {file}"))?;
        let changes = index.get(CHANGES).and_then(|bytes| bytes.try_into().ok());
        Ok(u32::from_ne_bytes(changes.with_context(|| format!("{file} is too short"))?).into())
    }

    /// Reads all columns of the calls of a run; returns the number of calls.
    pub(crate) async fn read_calls(&mut self, run: &str) -> Result<usize> {
        let sql = format!("SELECT * FROM forge_workflow_steps WHERE workflow_run_id = '{run}' ORDER BY seq");
        match self {
            Self::Sqlite(connection, _) => {
                let mut statement = connection.prepare(&sql)?;
                let columns = statement.column_count();
                let rows = statement.query_map([], |row| {
                    (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<Vec<Value>>>()
                })?;
                Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.len())
            }
            Self::Postgres(connection) => Ok(connection.fetch_all(AssertSqlSafe(sql)).await?.len()),
        }
    }

    async fn runs(&mut self, condition: &str) -> Result<u64> {
        let sql = "SELECT CAST(count(*) AS DOUBLE PRECISION) FROM forge_workflow_runs WHERE";
        Ok(self.one(&format!("{sql} {condition}")).await? as u64)
    }

    async fn one(&mut self, sql: &str) -> Result<f64> {
        self.numbers(sql).await?.first().copied().context("the database returned no row")
    }

    async fn numbers(&mut self, sql: &str) -> Result<Vec<f64>> {
        Ok(match self {
            Self::Sqlite(connection, _) => {
                let mut statement = connection.prepare(sql)?;
                statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
            }
            Self::Postgres(connection) => {
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETED: &str = "00000000-0000-0000-0000-00000000000a";
    const WAITING: &str = "00000000-0000-0000-0000-00000000000b";

    fn schema(id: &str, time: &str) -> String {
        format!(
            "CREATE TABLE forge_workflow_runs (id {id}, status TEXT, completed_at {time});
             CREATE TABLE forge_workflow_steps (workflow_run_id {id}, kind TEXT, wake_at {time});
             INSERT INTO forge_workflow_runs VALUES
                 ('{COMPLETED}', 'completed', '2026-11-23T04:05:29.158Z'), ('{WAITING}', 'waiting', NULL);
             INSERT INTO forge_workflow_steps VALUES
                 ('{COMPLETED}', 'step', NULL), ('{COMPLETED}', 'sleep', '2026-11-23T04:05:29.150Z'),
                 ('{WAITING}', 'sleep', '2026-11-23T04:05:29.150Z');"
        )
    }

    /// Checks what a database that has the schema says; `insert` is a commit.
    async fn check(url: &str, insert: impl AsyncFn(&'static str)) {
        let mut reader = Reader::open(url).await.unwrap();
        assert_eq!(reader.lateness(None).await.unwrap(), [8.0]);
        assert_eq!(reader.lateness(Some(COMPLETED)).await.unwrap(), [8.0]);
        assert!(reader.lateness(Some(WAITING)).await.unwrap().is_empty());
        assert!(reader.is_waiting(WAITING).await.unwrap() && !reader.is_waiting(COMPLETED).await.unwrap());
        assert_eq!((reader.completed().await.unwrap(), reader.waiting().await.unwrap()), (1, 1));
        let before = reader.commits().await.unwrap();
        for _ in 0..3 {
            insert("INSERT INTO forge_workflow_runs DEFAULT VALUES").await;
        }
        assert_eq!(reader.commits().await.unwrap() - before, 3.0);
    }

    #[tokio::test]
    async fn sqlite_tells_how_late_runs_are_and_how_many_commits_there_were() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("forge.db");
        let host = Connection::open(&file).unwrap();
        host.pragma_update(None, "journal_mode", "WAL").unwrap();
        host.execute_batch(&schema("TEXT", "TEXT")).unwrap();
        check(&format!("{SQLITE}{}", file.display()), async |sql| host.execute_batch(sql).unwrap()).await;
    }

    #[tokio::test]
    async fn postgres_tells_how_late_runs_are_and_how_many_commits_there_were() {
        let server = PostgresServer::start(&std::env::temp_dir()).unwrap();
        let url = server.create_database().unwrap();
        server.sql(&url, &schema("UUID", "TIMESTAMPTZ")).unwrap();
        check(&url, async |sql| drop(server.sql(&url, sql).unwrap())).await;
    }
}
