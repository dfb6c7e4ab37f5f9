//! From columns to types. A value that does not fit is a typed error: rows can be corrupt, or come
//! from a newer version.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::journal::Timestamp;
use crate::store::StoreError;

/// A row of `table` to take columns from.
pub(super) struct Columns<'r> {
    pub(super) table: &'static str,
    pub(super) row: &'r SqliteRow,
}

impl Columns<'_> {
    pub(super) fn text(&self, column: &str) -> Result<Arc<str>, StoreError> {
        self.row.try_get::<String, _>(column).map(Arc::from).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<Arc<str>>, StoreError> {
        let text =
            self.row.try_get::<Option<String>, _>(column).map_err(|error| self.corrupt(column, error))?;
        Ok(text.map(Arc::from))
    }

    /// A column whose text has a meaning of its own.
    pub(super) fn parsed<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        self.text(column)?.parse().map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn optional_parsed<T>(&self, column: &str) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.optional_text(column)?;
        text.map(|text| text.parse()).transpose().map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text = self.optional_text(column)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn integer(&self, column: &str) -> Result<i64, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&self, column: &str) -> Result<T, StoreError> {
        T::try_from(self.integer(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn optional_number<T: TryFrom<i64, Error: Display>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, StoreError> {
        let number =
            self.row.try_get::<Option<i64>, _>(column).map_err(|error| self.corrupt(column, error))?;
        number.map(T::try_from).transpose().map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        Timestamp::from_rfc3339(&self.text(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let text = self.optional_text(column)?;
        let time = text.map(|text| Timestamp::from_rfc3339(&text)).transpose();
        time.map_err(|error| self.corrupt(column, error))
    }

    fn corrupt(&self, column: &str, why: impl Display) -> StoreError {
        StoreError::Corrupt { table: self.table, why: format!("column {column}: {why}") }
    }
}
