//! From columns to types. A value that does not fit is a typed error: rows can be corrupt, or come
//! from a newer version.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::StoreError;
use forge_journal::Timestamp;

/// A row of `table` to take columns from, one after the other.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn new(table: &'static str, row: &'r Row<'r>) -> Self {
        Self { table, row, next: 0 }
    }

    /// Goes past columns that mean nothing in this row.
    pub(super) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        self.str().map(Arc::from)
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.optional_str()?.map(Arc::from))
    }

    /// A column whose text has a meaning of its own.
    pub(super) fn parsed<T>(&mut self) -> Result<T, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        self.str()?.parse().map_err(|error| self.corrupt(error))
    }

    pub(super) fn optional_parsed<T>(&mut self) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.optional_str()?;
        text.map(str::parse).transpose().map_err(|error| self.corrupt(error))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        let text = self.optional_str()?;
        text.map(serde_json::from_str).transpose().map_err(|error| self.corrupt(error))
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, StoreError> {
        match self.optional_number()? {
            Some(number) => Ok(number),
            None => Err(self.corrupt("it is NULL")),
        }
    }

    pub(super) fn optional_number<T: TryFrom<i64, Error: Display>>(
        &mut self,
    ) -> Result<Option<T>, StoreError> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => T::try_from(number).map(Some).map_err(|error| self.corrupt(error)),
            other => Err(self.corrupt(format!("it is {}, not an integer", other.data_type()))),
        }
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.number().map(Timestamp)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_number()?.map(Timestamp))
    }

    fn str(&mut self) -> Result<&'r str, StoreError> {
        match self.optional_str()? {
            Some(text) => Ok(text),
            None => Err(self.corrupt("it is NULL")),
        }
    }

    fn optional_str(&mut self) -> Result<Option<&'r str>, StoreError> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|error| self.corrupt(error)),
            other => Err(self.corrupt(format!("it is {}, not a text", other.data_type()))),
        }
    }

    fn value(&mut self) -> Result<ValueRef<'r>, StoreError> {
        self.next += 1;
        Ok(self.row.get_ref(self.next - 1)?)
    }

    /// Something is wrong with the column that was taken last.
    fn corrupt(&self, why: impl Display) -> StoreError {
        let column = self.row.as_ref().column_name(self.next - 1).unwrap_or("?");
        StoreError::Corrupt { table: self.table, why: format!("column {column}: {why}") }
    }
}
