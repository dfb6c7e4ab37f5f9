//! Runs that are written to a database without being executed.

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{SQLITE, connect};

/// The time of the first run, in milliseconds since 1970: the beginning of 2026. The others follow a second apart.
const FIRST: u64 = 1_767_225_600_000;

/// The milliseconds between two runs.
const APART: u64 = 1_000;

/// The parts of an id: its time, the version and its number.
const ID: &str = "'%08x-%04x-7000-8000-%012x'";

/// Writes this many final runs of the workflows `a` and `b`. A tenth has failed. Each has a tag `order` of its own, and a tenth
/// of the runs has the same tag `customer`. The host must not run.
pub(crate) async fn fill(url: &str, runs: u64) -> Result<()> {
    let columns = "id, workflow_name, version, digest, input, output, status, started_at, completed_at, deadline, error, failure, \
         error_kind, auth, tenant, revision, tags";
    let failed = "n / 10 % 10 = 0";
    let time = format!("{FIRST} + n * {APART}");
    let failure = r#"'{"kind":"timeout","message":"late","retryable":false}'"#;
    let values = format!(
        "CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END, 1 + n % 3, 'd', '{{\"amount\":5}}', CASE WHEN {failed} THEN NULL ELSE '1' END, \
         CASE WHEN {failed} THEN 'failed' ELSE 'completed' END, {time}, {time}, {time}, CASE WHEN {failed} THEN 'late' END, \
         CASE WHEN {failed} THEN {failure} END, CASE WHEN {failed} THEN 'timeout' END, '{{}}', 'default', 1, \
         '{{\"customer\":\"' || (n % 10) || '\",\"order\":\"' || n || '\"}}'"
    );
    if let Some(file) = url.strip_prefix(SQLITE) {
        let id = format!("printf({ID}, ({time}) >> 16, ({time}) & 65535, n)");
        let sql = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {runs}) \
             INSERT INTO forge_runs ({columns}) SELECT {id}, {values} FROM numbers"
        );
        return Connection::open(file)?.execute_batch(&sql).context("cannot write runs");
    }
    let hex = |value: &str, digits: u32| format!("lpad(to_hex({value}), {digits}, '0')");
    let (high, low) = (hex(&format!("({time}) >> 16"), 8), hex(&format!("({time}) & 65535"), 4));
    let id = format!("({high} || {low} || '70008000' || {})::UUID", hex("n", 12));
    let sql = format!(
        "INSERT INTO forge_runs (owner, {columns}) SELECT 0, {id}, {values} FROM generate_series(0, {runs}::BIGINT - 1) AS n"
    );
    let mut connection = connect(url).await?;
    connection.execute(AssertSqlSafe(sql)).await.context("cannot write runs")?;
    // As a server does by itself soon after.
    connection.execute("VACUUM ANALYZE forge_runs").await?;
    connection.execute("VACUUM ANALYZE forge_run_tags").await?;
    Ok(())
}
