//! The host's database, read with plain SQL as any other program may.

use std::path::Path;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{Connection, FromRow, SqliteConnection};

/// A connection of our own to the file.
pub struct Database(SqliteConnection);

impl Database {
    /// Opens the file, which must be there.
    pub async fn open(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file);
        Self(SqliteConnection::connect_with(&options).await.expect("the database can be opened"))
    }

    /// The rows that a query gives.
    pub async fn rows<T>(&mut self, sql: &'static str, arguments: &[&str]) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let query =
            arguments.iter().fold(sqlx::query_as(sql), |query, argument| query.bind(argument.to_string()));
        query.fetch_all(&mut self.0).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The only row that a query gives.
    pub async fn row<T>(&mut self, sql: &'static str, arguments: &[&str]) -> T
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let mut rows = self.rows(sql, arguments).await;
        assert_eq!(rows.len(), 1, "{sql} gives one row");
        rows.remove(0)
    }

    /// Changes something behind the host's back; how many rows. The host must not be running.
    pub async fn change<'q>(&mut self, query: sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>) -> u64 {
        query.execute(&mut self.0).await.expect("the change is possible").rows_affected()
    }

    /// Closes it, so that nothing of the file is left in use.
    pub async fn close(self) {
        self.0.close().await.expect("the database can be closed");
    }
}
