use anyhow::{Context as _, Result};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::server::connect;

const COMPLETED: &str = "SELECT count(*) FROM forge_workflow_runs WHERE status = 'completed'";

/// Of all runs, or of one.
const LATENESS: &str = "SELECT (extract(epoch FROM runs.completed_at - steps.wake_at) * 1000)::DOUBLE PRECISION \
     FROM forge_workflow_steps AS steps JOIN forge_workflow_runs AS runs ON runs.id = steps.workflow_run_id \
     WHERE steps.kind = 'sleep' AND runs.status = 'completed' AND ($1::UUID IS NULL OR runs.id = $1)";

/// Read over a connection of its own.
pub(crate) struct Database(PgConnection);

impl Database {
    pub(super) async fn open(url: &str) -> Result<Self> {
        connect(url).await.map(Self)
    }

    pub(super) async fn completed(&mut self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar(COMPLETED).fetch_one(&mut self.0).await?;
        Ok(count.unsigned_abs())
    }

    pub(super) async fn lateness(&mut self) -> Result<Vec<f64>> {
        self.times(None).await
    }

    pub(super) async fn lateness_of(&mut self, run: &str) -> Result<Option<f64>> {
        let run = run.parse().with_context(|| format!("`{run}` is no id of a run"))?;
        Ok(self.times(Some(run)).await?.first().copied())
    }

    async fn times(&mut self, run: Option<Uuid>) -> Result<Vec<f64>> {
        let rows = sqlx::query(LATENESS).bind(run).fetch_all(&mut self.0).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::Executor as _;

    use super::super::{Database, Place, PostgresServer};
    use super::*;

    #[tokio::test]
    async fn lateness_is_the_end_of_a_run_less_the_time_at_which_it_should_wake_up() {
        let server = Arc::new(PostgresServer::start(&std::env::temp_dir()).unwrap());
        let url = server.create_database().unwrap();
        let schema = "
            CREATE TABLE forge_workflow_runs (id UUID, status TEXT, completed_at TIMESTAMPTZ);
            CREATE TABLE forge_workflow_steps (workflow_run_id UUID, kind TEXT, wake_at TIMESTAMPTZ);
            INSERT INTO forge_workflow_runs VALUES
                ('00000000-0000-0000-0000-00000000000a', 'completed', '2026-11-23T04:05:29.158Z'),
                ('00000000-0000-0000-0000-00000000000b', 'waiting', NULL);
            INSERT INTO forge_workflow_steps SELECT id, kind, '2026-11-23T04:05:29.150Z'
                FROM forge_workflow_runs, unnest('{step, sleep}'::TEXT[]) AS kind;";
        connect(&url).await.unwrap().execute(sqlx::raw_sql(schema)).await.unwrap();
        // The server lives as long as this.
        let place = Place::Postgres(server, url);
        let mut database = Database::open(&place).await.unwrap();
        assert_eq!(database.completed().await.unwrap(), 1);
        assert_eq!(database.lateness().await.unwrap(), [8.0]);
        let completed = "00000000-0000-0000-0000-00000000000a";
        assert_eq!(database.lateness_of(completed).await.unwrap(), Some(8.0));
        let asleep = "00000000-0000-0000-0000-00000000000b";
        assert_eq!(database.lateness_of(asleep).await.unwrap(), None);
    }
}
