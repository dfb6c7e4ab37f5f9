//! Reads columns as the types of the host. A value that does not fit is a [`StoreError::Corrupt`]: the row was changed by
//! another program, or written by a newer version.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Column as _, Decode, Row as _, Type};
use uuid::Uuid;

use super::text;
use crate::StoreError;
use crate::schema::{Access, Column, SQL_TYPES};
use forge_journal::{RunId, Timestamp};

/// Where the columns of each SQL type begin in a row.
pub(super) type Groups = [usize; SQL_TYPES.len()];

/// A row of `table`, whose columns are read one after the other.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn new(table: &'static str, row: &'r PgRow) -> Self {
        Self { table, row, next: 0 }
    }

    /// Reads the columns of a list into `item`. The columns of each SQL type follow one another.
    pub(super) fn fill<T>(
        &mut self,
        columns: &[Column<T>],
        mut groups: Groups,
        item: &mut T,
    ) -> Result<(), StoreError> {
        let mut read = columns.iter().filter(|column| column.is_read());
        read.try_for_each(|column| self.fill_one(column, &mut groups, item))
    }

    /// Reads those columns of a list into `item` that can be read. Returns why the others cannot.
    pub(super) fn fill_readable<T>(
        &mut self,
        columns: &[Column<T>],
        mut groups: Groups,
        item: &mut T,
    ) -> Vec<String> {
        let read = columns.iter().filter(|column| column.is_read());
        read.filter_map(|column| self.fill_one(column, &mut groups, item).err().map(StoreError::of_column))
            .collect()
    }

    fn fill_one<T>(
        &mut self,
        column: &Column<T>,
        groups: &mut Groups,
        item: &mut T,
    ) -> Result<(), StoreError> {
        let group = &mut groups[column.access.sql_type()];
        self.next = *group;
        *group += 1;
        let done = match &column.access {
            Access::Text { set, .. } => set(item, self.value::<&str>()?.map(text::decode).as_deref()),
            Access::Integer { set, .. } => set(item, self.value()?),
            Access::Flag { set, .. } => set(item, self.value()?),
        };
        done.map_err(|why| {
            let table = self.table;
            StoreError::Corrupt { table, why: format!("column {}: {why}", column.name) }
        })
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        let text = self.optional_text()?;
        text.ok_or_else(|| self.null())
    }

    pub(super) fn string(&mut self) -> Result<String, StoreError> {
        let text = self.optional_string()?;
        text.ok_or_else(|| self.null())
    }

    pub(super) fn optional_string(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.value::<&str>()?.map(|text| text::decode(text).into_owned()))
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<Arc<str>>, StoreError> {
        let text = self.value::<&str>()?;
        Ok(text.map(|text| Arc::from(&*text::decode(text))))
    }

    /// Reads a text that stands for another type.
    pub(super) fn parsed<T>(&mut self) -> Result<T, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.value::<&str>()?;
        text.ok_or_else(|| self.null())?.parse().map_err(|error| self.corrupt(error))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        let text = self.value::<&str>()?;
        text.map(serde_json::from_str).transpose().map_err(|error| self.corrupt(error))
    }

    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, StoreError> {
        let number = self.optional_number()?;
        number.ok_or_else(|| self.null())
    }

    pub(super) fn optional_number<T: TryFrom<i64, Error: Display>>(
        &mut self,
    ) -> Result<Option<T>, StoreError> {
        let number = self.value::<i64>()?;
        number.map(T::try_from).transpose().map_err(|error| self.corrupt(error))
    }

    /// Reads an unsigned number that was written with its bits as a signed one.
    pub(super) fn bits(&mut self) -> Result<u64, StoreError> {
        Ok(self.number::<i64>()?.cast_unsigned())
    }

    pub(super) fn optional_bits(&mut self) -> Result<Option<u64>, StoreError> {
        Ok(self.optional_number::<i64>()?.map(i64::cast_unsigned))
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreError> {
        let flag = self.optional_flag()?;
        flag.ok_or_else(|| self.null())
    }

    pub(super) fn optional_flag(&mut self) -> Result<Option<bool>, StoreError> {
        self.value()
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.number().map(Timestamp)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_number()?.map(Timestamp))
    }

    pub(super) fn run_id(&mut self) -> Result<RunId, StoreError> {
        let id = self.value::<Uuid>()?;
        id.map(RunId).ok_or_else(|| self.null())
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        let bytes = self.value::<&[u8]>()?;
        bytes.map(<[u8]>::to_vec).ok_or_else(|| self.null())
    }

    pub(super) fn ids(&mut self) -> Result<Vec<Uuid>, StoreError> {
        Ok(self.value::<Vec<Uuid>>()?.unwrap_or_default())
    }

    fn value<T>(&mut self) -> Result<Option<T>, StoreError>
    where
        T: Decode<'r, Postgres> + Type<Postgres>,
    {
        self.next += 1;
        self.row.try_get(self.next - 1).map_err(|error| self.corrupt(error))
    }

    fn null(&self) -> StoreError {
        self.corrupt("it is NULL")
    }

    /// Returns the error for the column that was read last.
    fn corrupt(&self, why: impl Display) -> StoreError {
        let column = self.row.columns().get(self.next - 1).map_or("?", |column| column.name());
        StoreError::Corrupt { table: self.table, why: format!("column {column}: {why}") }
    }
}
