//! The host's database, read with plain SQL.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

/// A connection to the database file.
pub struct Database(Connection);

impl Database {
    /// Opens the file, which must exist.
    pub async fn open(file: &Path) -> Self {
        assert!(file.exists(), "{} is not there", file.display());
        let connection = Connection::open(file).expect("the database can be opened");
        connection.busy_timeout(Duration::from_secs(10)).expect("it can wait");
        Self(connection)
    }

    /// Returns the rows of a query.
    pub async fn rows<T>(&mut self, sql: &'static str, arguments: &[&str]) -> Vec<T>
    where
        T: for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error>,
    {
        let rows = self.0.prepare(sql).and_then(|mut statement| {
            let rows = statement.query_map(params_from_iter(arguments), |row| T::try_from(row))?;
            rows.collect()
        });
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Returns the only row of a query.
    pub async fn row<T>(&mut self, sql: &'static str, arguments: &[&str]) -> T
    where
        T: for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error>,
    {
        let mut rows = self.rows(sql, arguments).await;
        assert_eq!(rows.len(), 1, "{sql} gives one row");
        rows.remove(0)
    }

    /// Executes a statement and returns the number of changed rows. The host must not be running.
    pub async fn change(&mut self, sql: &str, arguments: &[Argument]) -> usize {
        let changed = self.0.execute(sql, params_from_iter(arguments));
        changed.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.0.close().map_err(|(_, error)| error).expect("the database can be closed");
    }
}

/// An argument of a statement.
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

impl ToSql for Argument {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.clone() {
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        };
        Ok(ToSqlOutput::Owned(value))
    }
}
