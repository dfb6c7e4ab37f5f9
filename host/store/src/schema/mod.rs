//! The columns of the tables of runs, of journal rows, and of the lines that runs log.
//!
//! Each column is listed once, in [`runs::COLUMNS`], [`steps::COLUMNS`] or [`logs::COLUMNS`]. Both stores generate their SQL,
//! bind their parameters and decode their rows from these lists. To add a column, add it to a migration of each store, to
//! the list, and to the blank value below the list.
//!
//! Key columns are not listed, because the stores have different ones: `id`, `number` and `key` in SQLite; `id`, `owner`,
//! `run_id` and `seq` in PostgreSQL.

pub(crate) mod logs;
pub(crate) mod runs;
pub(crate) mod steps;

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use forge_journal::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A column, which holds a part of a `T`.
pub(crate) struct Column<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) access: Access<T>,
    pub(crate) role: Role,
    /// The expression that an upsert sets the column to; empty for the written value.
    pub(crate) update: &'static str,
}

/// How a column is used after its row was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Never written again.
    Fixed,
    /// Written again with every change of the row.
    Mutable,
    /// The same, and never read into a `T`: it is computed from other columns, for queries.
    Derived,
}

/// Takes the value of a column from a `T`, and sets it in a `T` that is being read.
pub(crate) enum Access<T: 'static> {
    Text { get: for<'t> fn(&'t T) -> Encoded<Cow<'t, str>>, set: fn(&mut T, Option<&str>) -> Decoded },
    Integer { get: fn(&T) -> Encoded<i64>, set: fn(&mut T, Option<i64>) -> Decoded },
    Flag { get: fn(&T) -> Encoded<bool>, set: fn(&mut T, Option<bool>) -> Decoded },
}

/// The value to write; `None` is NULL.
pub(crate) type Encoded<V> = Result<Option<V>, serde_json::Error>;

/// Why a value cannot be what the column should hold.
pub(crate) type Decoded<V = ()> = Result<V, String>;

/// PostgreSQL's types of the columns, in the order of the variants of [`Access`].
pub(crate) const SQL_TYPES: [&str; 3] = ["TEXT", "BIGINT", "BOOL"];

impl<T> Access<T> {
    /// Returns the column's place in [`SQL_TYPES`].
    pub(crate) fn sql_type(&self) -> usize {
        match self {
            Self::Text { .. } => 0,
            Self::Integer { .. } => 1,
            Self::Flag { .. } => 2,
        }
    }
}

impl<T> Column<T> {
    /// Whether the column is read into a `T`.
    pub(crate) fn is_read(&self) -> bool {
        self.role != Role::Derived
    }
}

/// Returns the names of the columns, separated by commas.
pub(crate) fn names<T>(columns: &[Column<T>]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// Returns the names of the columns that are read into a `T`, separated by commas.
pub(crate) fn read_names<T>(columns: &[Column<T>]) -> String {
    let read = columns.iter().filter(|column| column.is_read());
    read.map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// Returns the same, with NULL instead of these columns.
pub(crate) fn read_names_without<T>(columns: &[Column<T>], left_out: &[&str]) -> String {
    let read = columns.iter().filter(|column| column.is_read()).map(|column| column.name);
    read.map(|name| if left_out.contains(&name) { "NULL" } else { name }).collect::<Vec<_>>().join(", ")
}

/// Returns the clause that makes an INSERT an upsert that writes no row that is older than the stored one, whatever the
/// host believes: the number of rows that were written is then less than the number of rows given.
///
/// A row is written if its revision is higher than that of the stored row, or if it is the stored row, because a batch may
/// be committed twice. `backwards` matches what is refused even so. In it, `old` is the stored row and `new` the written
/// one.
pub(crate) fn on_conflict<T>(table: &str, key: &str, columns: &[Column<T>], backwards: &str) -> String {
    let changes = columns.iter().filter(|column| column.role != Role::Fixed).map(|column| match *column {
        Column { name, update: "", .. } => format!("{name} = excluded.{name}"),
        Column { name, update, .. } => format!("{name} = {update}"),
    });
    let changes = changes.collect::<Vec<_>>().join(", ");
    // What is derived is the same if the others are.
    let list = |prefix: &str| {
        let read = columns.iter().filter(|column| column.is_read());
        read.map(|column| format!("{prefix}.{}", column.name)).collect::<Vec<_>>().join(", ")
    };
    let (new, old) = (list("excluded"), list(table));
    let backwards = backwards.replace("old.", &format!("{table}.")).replace("new.", "excluded.");
    format!(
        " ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE (excluded.revision > {table}.revision \
             OR excluded.revision = {table}.revision AND ({new}) IS NOT DISTINCT FROM ({old})) \
         AND NOT ({backwards})"
    )
}

/// Declares a list of columns. `$get` is an `Option` of the value to write, `$set` puts `$value` into `$item`.
macro_rules! columns {
    ($item:ident: $type:ty, $value:ident; $($column:ident $access:ident $role:ident $([$update:expr])?: $get:expr => $set:expr;)+) => {
        pub(crate) const COLUMNS: &[Column<$type>] = &[$(Column {
            name: stringify!($column),
            access: Access::$access {
                get: |$item| Ok($get),
                #[allow(unused_variables, clippy::no_effect, reason = "derived columns are not read")]
                set: |$item, $value| {
                    $set;
                    Ok(())
                },
            },
            role: Role::$role,
            update: {
                const UPDATE: &[&str] = &[$($update)?];
                match UPDATE {
                    [update] => update,
                    _ => "",
                }
            },
        },)+];
    };
}
use columns;

fn borrowed(text: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(text))
}

fn optional(text: &Option<Arc<str>>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}

fn to_json(value: Option<&impl Serialize>) -> Encoded<Cow<'static, str>> {
    value.map(|value| serde_json::to_string(value).map(Cow::Owned)).transpose()
}

fn required<V>(value: Option<V>) -> Decoded<V> {
    value.ok_or_else(|| "it is NULL".to_owned())
}

fn parsed<V: FromStr<Err: Display>>(text: &str) -> Decoded<V> {
    text.parse().map_err(|error: V::Err| error.to_string())
}

fn from_json<V: DeserializeOwned>(text: Option<&str>) -> Decoded<Option<V>> {
    text.map(serde_json::from_str).transpose().map_err(|error| error.to_string())
}

fn number<V: TryFrom<i64, Error: Display>>(value: i64) -> Decoded<V> {
    V::try_from(value).map_err(|error| error.to_string())
}

fn time(value: Option<i64>) -> Decoded<Timestamp> {
    required(value).map(Timestamp)
}
