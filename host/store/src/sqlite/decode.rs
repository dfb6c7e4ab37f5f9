//! Reads columns as the types of the host. A value that does not fit is a [`StoreError::Corrupt`]: the row was changed by
//! another program, or written by a newer version.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Params, Row, Statement};

use crate::StoreError;
use crate::schema::{Access, Column};
use forge_journal::Timestamp;

/// Returns the first row of the answer.
pub(super) fn first<T>(
    statement: &mut Statement<'_>,
    parameters: impl Params,
    table: &'static str,
    decode: impl FnOnce(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(|row| decode(&mut Columns { table, row, next: 0 })).transpose()
}

/// Calls `visit` with the rows of the answer until it returns false.
pub(super) fn each(
    statement: &mut Statement<'_>,
    parameters: impl Params,
    table: &'static str,
    mut visit: impl FnMut(&mut Columns<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        if !visit(&mut Columns { table, row, next: 0 })? {
            break;
        }
    }
    Ok(())
}

/// Returns all rows of the answer.
pub(super) fn all<T>(
    statement: &mut Statement<'_>,
    parameters: impl Params,
    table: &'static str,
    mut decode: impl FnMut(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = statement.query(parameters)?;
    let mut decoded = Vec::new();
    while let Some(row) = rows.next()? {
        decoded.push(decode(&mut Columns { table, row, next: 0 })?);
    }
    Ok(decoded)
}

/// A row of `table`, whose columns are read one after the other.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    /// Reads the columns of a list into `item`.
    pub(super) fn fill<T>(&mut self, columns: &[Column<T>], item: &mut T) -> Result<(), StoreError> {
        columns.iter().filter(|column| column.is_read()).try_for_each(|column| self.fill_one(column, item))
    }

    /// Reads those columns of a list into `item` that can be read. Returns why the others cannot.
    pub(super) fn fill_readable<T>(&mut self, columns: &[Column<T>], item: &mut T) -> Vec<String> {
        let read = columns.iter().filter(|column| column.is_read());
        read.filter_map(|column| self.fill_one(column, item).err().map(StoreError::of_column)).collect()
    }

    fn fill_one<T>(&mut self, column: &Column<T>, item: &mut T) -> Result<(), StoreError> {
        let done = match &column.access {
            Access::Text { set, .. } => set(item, self.optional_str()?),
            Access::Integer { set, .. } => set(item, self.optional_number()?),
            Access::Flag { set, .. } => set(item, self.optional_number()?.map(|flag: i64| flag != 0)),
        };
        done.map_err(|why| self.corrupt(why))
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        self.str().map(Arc::from)
    }

    pub(super) fn string(&mut self) -> Result<String, StoreError> {
        self.str().map(str::to_owned)
    }

    pub(super) fn optional_string(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.optional_str()?.map(str::to_owned))
    }

    /// Reads a text that stands for another type.
    pub(super) fn parsed<T>(&mut self) -> Result<T, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        self.str()?.parse().map_err(|error| self.corrupt(error))
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

    /// Reads an unsigned number that was written with its bits as a signed one.
    pub(super) fn bits(&mut self) -> Result<u64, StoreError> {
        self.number().map(i64::cast_unsigned)
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreError> {
        self.number().map(|flag: i64| flag != 0)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.number().map(Timestamp)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_number()?.map(Timestamp))
    }

    pub(super) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes.to_vec())),
            other => Err(self.corrupt(format!("it is {}, not a blob", other.data_type()))),
        }
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

    /// Returns the error for the column that was read last.
    fn corrupt(&self, why: impl Display) -> StoreError {
        let column = self.row.as_ref().column_name(self.next - 1).unwrap_or("?");
        StoreError::Corrupt { table: self.table, why: format!("column {column}: {why}") }
    }
}
