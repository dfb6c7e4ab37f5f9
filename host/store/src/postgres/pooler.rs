//! Detects a pooler that does not give each connection a session of its own.

use std::time::Duration;

use sqlx::Row as _;

use super::connection::{Connection, End, Endpoint};
use super::error::QueryError;

const SESSION: &str = "SELECT pg_backend_pid()";

/// Checks that each connection has a session of the server for itself. A pooler in transaction mode gives connections a
/// session for one transaction at a time: settings, prepared statements and `LISTEN` would reach another connection.
///
/// While one connection has a transaction open, no other one can have its session, and the session of the other one is the
/// same before and after.
///
/// # Errors
/// [`QueryError::Pooler`] if it has not.
pub(super) async fn refuse(
    connection: &mut Connection,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<(), QueryError> {
    let before = session(connection).await?;
    let mut other = Connection::open(endpoint, limit).await?;
    other.begin("BEGIN").await?;
    let is_shared = session(&mut other).await? == before || session(connection).await? != before;
    other.finish(End::Rollback).await?;
    other.close().await;
    if is_shared { Err(QueryError::Pooler) } else { Ok(()) }
}

/// Returns the process of the session that executes a statement now.
async fn session(connection: &mut Connection) -> Result<i32, QueryError> {
    let row = connection.first(sqlx::query(SESSION)).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get(0)?)
}
