use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::store::StoreError;

/// The connection that writes, one transaction at a time.
///
/// After an error it is closed and made anew: a failed write can leave SQLite in a transaction, out
/// of one, or with a log that it must recover, and a fresh connection knows which.
pub(super) struct WriteConnection {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
}

impl WriteConnection {
    pub(super) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self { options, connection: Some(connection) }
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        let connection = self.connection.insert(connection);
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        Ok(connection)
    }

    /// Commits the transaction if what was done in it succeeded.
    pub(super) async fn end<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        let done = match (done, &mut self.connection) {
            (Ok(done), Some(connection)) => {
                sqlx::query("COMMIT").execute(connection).await.map(|_| done).map_err(StoreError::from)
            }
            (done, _) => done,
        };
        if done.is_err() {
            self.discard().await;
        }
        done
    }

    /// Merges the write-ahead log into the database, so that one file is left, and closes.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await
        {
            tracing::warn!(%error, "the write-ahead log stays beside the database; nothing is lost");
        }
        self.discard().await;
    }

    /// Closes the connection; the next transaction makes a new one.
    pub(super) async fn discard(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close_hard().await
        {
            tracing::debug!(%error, "closing a connection that failed");
        }
    }
}
