//! The query plans of PostgreSQL, for tests.

use std::time::Duration;

use forge_postgres::Server;
use sqlx::{AssertSqlSafe, Row as _};

use super::connection::{Connection, Endpoint};
use super::{PostgresOptions, PostgresStore};

/// Runs of three tenants, most of them completed, and some rows of each journal.
const FILL: &str = "INSERT INTO forge_runs (id, owner, version, started_at, deadline, completed_at, workflow_name, digest, \
        status, input, auth, tenant, error_kind, tags) \
    SELECT lpad(to_hex(n), 32, '0')::UUID, 0, 1, n, n, n, CASE n % 7 WHEN 0 THEN 'refund' ELSE 'payment' END, 'd', \
        CASE n % 100 WHEN 0 THEN 'failed' WHEN 1 THEN 'waiting' ELSE 'completed' END, '{}', '{}', \
        CASE n % 1000 WHEN 0 THEN 'acme' WHEN 1 THEN 'other' ELSE 'default' END, \
        CASE n % 100 WHEN 0 THEN 'timeout' END, \
        CASE n % 3 WHEN 0 THEN json_build_object('order', n::TEXT, 'customer', (n % 5)::TEXT)::TEXT END \
    FROM generate_series(1, 20000) AS n; \
    INSERT INTO forge_steps (run_id, seq, fingerprint, started_at, scope_step, scope_attempt, attempt, kind, status, name) \
    SELECT lpad(to_hex(n), 32, '0')::UUID, seq, 0, 0, 0, 0, 1, 'step', 'completed', 'a' \
    FROM generate_series(1, 20) AS n, generate_series(1, 1000) AS seq";

/// Entries of three tenants, most of them of one.
const FILL_DB: &str = "INSERT INTO forge_db (tenant, key, version, value, updated_at) \
    SELECT CASE n % 1000 WHEN 0 THEN 'acme' WHEN 1 THEN 'other' ELSE 'default' END, 'k' || n, n, '{}', n \
    FROM generate_series(1, 20000) AS n; \
    INSERT INTO forge_db_totals (tenant) SELECT 't' || n FROM generate_series(1, 2000) AS n";

/// Lines of some runs.
const FILL_LOGS: &str = "INSERT INTO forge_logs (run_id, seq, at, level, scope_step, scope_attempt, revision, message) \
    SELECT lpad(to_hex(n), 32, '0')::UUID, seq, 0, seq % 5, 0, 0, seq, 'a line' \
    FROM generate_series(1, 20) AS n, generate_series(1, 1000) AS seq";

/// A database with many runs, and a connection with the settings of the store.
pub(super) struct Plans {
    connection: Connection,
}

impl Plans {
    pub(super) async fn of_many_runs() -> Self {
        let url = Server::shared().unwrap().create_database().unwrap();
        PostgresStore::migrate(&url).await.unwrap();
        let endpoint = Endpoint::new(PostgresOptions::new(&url, "plans").connect().unwrap());
        let mut connection = Connection::open(&endpoint, Duration::from_secs(60)).await.unwrap();
        connection.batch(FILL).await.unwrap();
        Self { connection }
    }

    /// Fills the stores of three tenants.
    pub(super) async fn fill_db(&mut self) {
        self.connection.batch(FILL_DB).await.unwrap();
    }

    /// Fills the logs of some runs.
    pub(super) async fn fill_logs(&mut self) {
        self.connection.batch(FILL_LOGS).await.unwrap();
    }

    pub(super) async fn analyze(&mut self) {
        self.connection
            .batch(
                "ANALYZE forge_runs; ANALYZE forge_run_tags; ANALYZE forge_steps; ANALYZE forge_logs; ANALYZE forge_db; \
                 ANALYZE forge_db_totals",
            )
            .await
            .unwrap();
    }

    /// Returns the lines of a statement's generic plan, without costs.
    pub(super) async fn plan(&mut self, sql: &str, arguments: &str) -> Vec<String> {
        let connection = &mut self.connection;
        let prepare = format!("PREPARE planned AS {sql}");
        connection.all(sqlx::query(AssertSqlSafe(prepare))).await.unwrap();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE planned ({arguments})");
        let lines = connection.all(sqlx::query(AssertSqlSafe(explain))).await.unwrap();
        connection.batch("DEALLOCATE planned").await.unwrap();
        let line = |line: &sqlx::postgres::PgRow| {
            line.get::<String, _>(0).trim().trim_start_matches("->").trim().to_owned()
        };
        lines.iter().map(line).collect()
    }
}
