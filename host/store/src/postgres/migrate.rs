//! Migrations of the schema. Each migration only adds to the schema, so that hosts of the previous version can still use it.

use std::time::Duration;

use sqlx::Row as _;

use super::PostgresStore;
use super::connection::{Connection, End, Endpoint};
use super::error::QueryError;
use super::options::{PostgresOptions, connect_options};
use crate::PostgresUrl;
use crate::StoreError;

struct Migration {
    sql: &'static str,
    /// The schema version that a host must know to use a schema with this migration.
    needs: i32,
}

const MIGRATIONS: [Migration; 18] = [
    Migration { sql: include_str!("../../../../migrations/postgres/0001_workflows.sql"), needs: 1 },
    // A host without tenants would run their workflows without their limits.
    Migration { sql: include_str!("../../../../migrations/postgres/0002_tenants.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0003_reads.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0004_in_doubt.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0005_operators.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0006_settled.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0007_reach.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0008_directory_changes.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0009_totals.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0010_compile_time.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0011_runs_by_key.sql"), needs: 2 },
    // A host that does not know inboxes would let a run sleep that has got an event.
    Migration { sql: include_str!("../../../../migrations/postgres/0012_inbox.sql"), needs: 12 },
    Migration { sql: include_str!("../../../../migrations/postgres/0013_db.sql"), needs: 2 },
    // A host that does not count unfinished runs would leave a number that is wrong for ever.
    Migration { sql: include_str!("../../../../migrations/postgres/0014_unfinished_runs.sql"), needs: 14 },
    // A host without logs keeps no lines of the runs that it executes.
    Migration { sql: include_str!("../../../../migrations/postgres/0015_logs.sql"), needs: 2 },
    // A host that does not know the kinds of errors would leave failed runs out of lists by kind.
    Migration { sql: include_str!("../../../../migrations/postgres/0016_tags.sql"), needs: 16 },
    Migration { sql: include_str!("../../../../migrations/postgres/0017_signing_secret.sql"), needs: 2 },
    Migration { sql: include_str!("../../../../migrations/postgres/0018_input_schemas.sql"), needs: 2 },
];

/// The time limit of a migration. Creating an index on many runs takes long.
const LIMIT: Duration = Duration::from_secs(3_600);

/// Sets the same limit on the server.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '1h'";

/// Limits the time for which a migration waits for a table lock, because all other statements wait behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '10s'";

/// Serializes the migrations of a schema. The lock is released with the transaction.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(1179603527, current_schema()::regnamespace::oid::int8::bit(32)::int4)";

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS forge_schema (
    version    INT PRIMARY KEY,
    needs      INT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
)";

/// Returns whether there are migrations, whether there is a schema, whether the encoding is UTF-8, and the server's version.
const STATE: &str = "SELECT to_regclass('forge_schema') IS NOT NULL, current_schema() IS NOT NULL, \
     current_setting('server_encoding') = 'UTF8', current_setting('server_version_num')::int4, current_setting('server_version')";

/// The oldest supported server: PostgreSQL 14.
const OLDEST: i32 = 140_000;

impl PostgresStore {
    /// Applies pending migrations, and returns the versions that were applied. The role must own the schema; the hosts' role
    /// needs only to read and write its tables.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be reached or used, or the role may not change the schema.
    pub async fn migrate(url: impl Into<PostgresUrl>) -> Result<Vec<i32>, StoreError> {
        let url = url.into();
        let endpoint = Endpoint::new(connect_options(&url, "forge migrate")?);
        let database = url.to_string();
        let mut connection = connect(&endpoint, &database, PostgresOptions::TIMEOUT).await?;
        let applied = migrate(&mut connection, &database).await?;
        connection.close().await;
        Ok(applied)
    }
}

pub(super) async fn connect(
    endpoint: &Endpoint,
    database: &str,
    limit: Duration,
) -> Result<Connection, StoreError> {
    let connection = Connection::open(endpoint, limit).await;
    connection.map_err(|error| cannot_open(database, error))
}

pub(super) fn cannot_open(database: &str, error: QueryError) -> StoreError {
    StoreError::CannotOpen { database: database.to_owned(), why: error.to_string() }
}

/// Applies pending migrations, and returns the versions that were applied.
pub(super) async fn migrate(connection: &mut Connection, database: &str) -> Result<Vec<i32>, StoreError> {
    let failed = |error: QueryError| match error {
        error if error.is_forbidden() => StoreError::CannotOpen {
            database: database.to_owned(),
            why: format!(
                "its schema is not up to date: run `forge migrate` with a role that owns the schema ({error})"
            ),
        },
        error => cannot_open(database, error),
    };
    let usable = usable(connection, database).await?;
    if usable && pending(connection, database).await?.is_empty() {
        return Ok(Vec::new());
    }
    let limit = connection.set_limit(LIMIT);
    connection.begin(BEGIN).await.map_err(failed)?;
    connection.batch(LOCK).await.map_err(failed)?;
    connection.batch(LOCK_TIMEOUT).await.map_err(failed)?;
    connection.batch(VERSIONS).await.map_err(failed)?;
    let pending = pending(connection, database).await?;
    for (version, migration) in &pending {
        connection.batch(migration.sql).await.map_err(failed)?;
        let done = sqlx::query("INSERT INTO forge_schema (version, needs) VALUES ($1, $2)");
        connection.all(done.bind(version).bind(migration.needs)).await.map_err(failed)?;
    }
    connection.finish(End::Commit).await.map_err(failed)?;
    connection.set_limit(limit);
    Ok(pending.into_iter().map(|(version, _)| version).collect())
}

/// Returns whether migrations were applied to the database before.
///
/// # Errors
/// [`StoreError::CannotOpen`] if Forge cannot use the database.
async fn usable(connection: &mut Connection, database: &str) -> Result<bool, StoreError> {
    let read = |error| cannot_open(database, QueryError::from(error));
    let state = connection.first(sqlx::query(STATE)).await.map_err(|error| cannot_open(database, error))?;
    let Some(state) = state else { return Ok(false) };
    let refuse = |why: String| Err(StoreError::CannotOpen { database: database.to_owned(), why });
    if !state.try_get::<bool, _>(1).map_err(read)? {
        return refuse("no schema in the search_path exists, or the role may not use it: create the schema, or grant USAGE on it".to_owned());
    }
    if !state.try_get::<bool, _>(2).map_err(read)? {
        return refuse("its encoding is not UTF8: create the database with ENCODING 'UTF8'".to_owned());
    }
    if state.try_get::<i32, _>(3).map_err(read)? < OLDEST {
        let found: String = state.try_get(4).map_err(read)?;
        return refuse(format!("it is PostgreSQL {found}: Forge needs 14 or later"));
    }
    state.try_get(0).map_err(read)
}

/// Returns the migrations that were not applied.
async fn pending(
    connection: &mut Connection,
    database: &str,
) -> Result<Vec<(i32, &'static Migration)>, StoreError> {
    let query = sqlx::query("SELECT coalesce(max(version), 0), coalesce(max(needs), 0) FROM forge_schema");
    let found = connection.first(query).await.map_err(|error| cannot_open(database, error))?;
    let number = |column: usize| match &found {
        Some(row) => row.try_get::<i32, _>(column).map_err(|error| cannot_open(database, error.into())),
        None => Ok(0),
    };
    let (found, needs) = (number(0)?, number(1)?);
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if needs > known {
        let (found, known) = (found.into(), known.into());
        return Err(StoreError::TooNew { database: database.to_owned(), found, known });
    }
    Ok((1..).zip(&MIGRATIONS).filter(|(version, _)| *version > found).collect())
}
