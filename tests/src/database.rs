//! The host's database, read with plain SQL as any other program may.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, FromRow, SqliteConnection};

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
    pub async fn change(&mut self, sql: &str, arguments: &[Argument]) -> u64 {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for argument in arguments.iter().cloned() {
            query = match argument {
                Argument::Text(text) => query.bind(text),
                Argument::Blob(bytes) => query.bind(bytes),
            };
        }
        query.execute(&mut self.0).await.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected()
    }

    /// Closes it, so that nothing of the file is left in use.
    pub async fn close(self) {
        self.0.close().await.expect("the database can be closed");
    }
}

/// What a statement is given.
#[derive(Clone)]
pub enum Argument {
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Argument {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}
