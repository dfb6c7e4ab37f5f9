use std::path::Path;

use anyhow::{Context as _, Result};
use chrono::DateTime;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::limits::sqlite::read_only;

/// Read from the file.
pub(crate) struct Database(Connection);

impl Database {
    pub(super) fn open(file: &Path) -> Result<Self> {
        read_only(file).map(Self)
    }

    pub(super) fn completed(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM forge_workflow_runs WHERE status = 'completed'";
        let count: i64 = self.0.query_row(sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    pub(super) fn lateness(&self) -> Result<Vec<f64>> {
        self.times("", &[])
    }

    pub(super) fn lateness_of(&self, run: &str) -> Result<Option<f64>> {
        Ok(self.times("AND runs.id = ?1", &[run])?.first().copied())
    }

    fn times(&self, condition: &str, parameters: &[&str]) -> Result<Vec<f64>> {
        let mut statement = self.0.prepare(&format!(
            "SELECT runs.completed_at, steps.wake_at FROM forge_workflow_steps AS steps \
             JOIN forge_workflow_runs AS runs ON runs.id = steps.workflow_run_id \
             WHERE steps.kind = 'sleep' AND runs.status = 'completed' {condition}"
        ))?;
        let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
        let mut times = Vec::new();
        while let Some(row) = rows.next()? {
            let (completed_at, wake_at) = (milliseconds(&row.get(0)?)?, milliseconds(&row.get(1)?)?);
            times.push((completed_at - wake_at) as f64);
        }
        Ok(times)
    }
}

fn milliseconds(time: &Value) -> Result<i64> {
    match time {
        Value::Integer(milliseconds) => Ok(*milliseconds),
        Value::Text(text) => {
            let time = DateTime::parse_from_rfc3339(text);
            Ok(time.with_context(|| format!("`{text}` is no time"))?.timestamp_millis())
        }
        other => anyhow::bail!("{other:?} is no time"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Database, Place};
    use super::*;

    #[tokio::test]
    async fn lateness_is_the_end_of_a_run_less_the_time_at_which_it_should_wake_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forge.db");
        let schema = "
            CREATE TABLE forge_workflow_runs (id TEXT, status TEXT, completed_at TEXT);
            CREATE TABLE forge_workflow_steps (workflow_run_id TEXT, kind TEXT, wake_at TEXT);
            INSERT INTO forge_workflow_runs VALUES
                ('a', 'completed', '2026-11-23T04:05:29.158Z'), ('b', 'waiting', NULL);
            INSERT INTO forge_workflow_steps VALUES
                ('a', 'step', NULL), ('a', 'sleep', '2026-11-23T04:05:29.150Z'),
                ('b', 'sleep', '2026-11-23T04:05:29.150Z');";
        Connection::open(&path).unwrap().execute_batch(schema).unwrap();
        let mut database = Database::open(&Place::Sqlite(path)).await.unwrap();
        assert_eq!(database.lateness().await.unwrap(), [8.0]);
        assert_eq!(database.lateness_of("a").await.unwrap(), Some(8.0));
        assert_eq!(database.lateness_of("b").await.unwrap(), None);
        database.until_completed(1, Duration::ZERO).await.unwrap();
        let error = database.until_completed(2, Duration::ZERO).await.unwrap_err().to_string();
        assert_eq!(error, "1 of 2 runs completed within 0 s");
    }

    #[test]
    fn a_time_may_be_a_number_of_milliseconds() {
        assert_eq!(milliseconds(&Value::Integer(5)).unwrap(), 5);
        assert_eq!(milliseconds(&Value::Text("1970-01-01T00:00:00.005Z".to_owned())).unwrap(), 5);
        assert!(milliseconds(&Value::Null).is_err());
    }
}
