//! From columns to types. A value that does not fit is a typed error: rows can be corrupt, or come
//! from a newer version.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Column as _, Decode, Row as _, Type};
use uuid::Uuid;

use super::text;
use crate::StoreError;
use forge_journal::{RunId, Timestamp};

/// A row of `table` to take columns from, one after the other.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r PgRow,
    next: usize,
    /// Where those begin that have these names instead of their own.
    named: (usize, &'static str),
}

impl<'r> Columns<'r> {
    pub(super) fn new(table: &'static str, row: &'r PgRow) -> Self {
        Self { table, row, next: 0, named: (usize::MAX, "") }
    }

    /// The columns behind the first ones, of a union in which they stand for these.
    pub(super) fn of_union(table: &'static str, row: &'r PgRow, first: usize, names: &'static str) -> Self {
        Self { table, row, next: first, named: (first, names) }
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        let text = self.optional_text()?;
        text.ok_or_else(|| self.null())
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<Arc<str>>, StoreError> {
        let text = self.value::<&str>()?;
        Ok(text.map(|text| Arc::from(&*text::decode(text))))
    }

    /// A column whose text has a meaning of its own.
    pub(super) fn parsed<T>(&mut self) -> Result<T, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        let parsed = self.optional_parsed()?;
        parsed.ok_or_else(|| self.null())
    }

    pub(super) fn optional_parsed<T>(&mut self) -> Result<Option<T>, StoreError>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.value::<&str>()?;
        text.map(str::parse).transpose().map_err(|error| self.corrupt(error))
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

    /// What was written with the bits of an unsigned number.
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

    /// Something is wrong with the column that was taken last.
    fn corrupt(&self, why: impl Display) -> StoreError {
        let (place, (first, names)) = (self.next - 1, self.named);
        let named = place.checked_sub(first).and_then(|place| names.split(", ").nth(place));
        let own = || self.row.columns().get(place).map_or("?", |column| column.name());
        let column = named.unwrap_or_else(own);
        StoreError::Corrupt { table: self.table, why: format!("column {column}: {why}") }
    }
}
