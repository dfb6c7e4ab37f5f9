//! The tenant's store: JSON documents under keys, changed by transactions.
//!
//! A [`Transaction`] is a list of operations that happen together or not at all. The store performs it in the commit that
//! records its call, so it happens exactly once. What it does is decided by [`State::apply`], for every database.
//!
//! Each transaction of a tenant that changes something has a number, and the number is the version of all entries that it
//! puts. So the version of a key only grows, also across a deletion, and no tombstone is needed.
//!
//! A key is any text without control characters, at most [`Limits::key_bytes`] long. `/` and `..` have no meaning. Keys are
//! in the order of their UTF-8 bytes.

mod documents;
mod state;

use serde::{Deserialize, Serialize};

pub use documents::{Get, List, decode, encode};
pub use state::{Change, State, Stored, Totals};

use crate::{Document, Failure, TenantId, Timestamp, kind};

/// The bytes of a key that a message quotes.
const KEY_SHOWN: usize = 64;

/// The limits of a tenant's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `db_key_bytes`: the bytes of a key.
    pub key_bytes: u64,
    /// `db_value_bytes`: the bytes of a value.
    pub value_bytes: u64,
    /// `db_operations`: the operations of a transaction.
    pub operations: u64,
    /// `db_entries`: the entries of the tenant.
    pub entries: u64,
    /// `db_bytes`: the bytes of all keys and values of the tenant.
    pub bytes: u64,
}

/// A transaction of a tenant's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The tenant.
    pub tenant: TenantId,
    /// The operations. Requirements are about the store before the transaction; the others happen in this order.
    pub operations: Vec<Operation>,
    /// The limits of the tenant.
    pub limits: Limits,
    /// The time of its changes.
    pub at: Timestamp,
}

/// An operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Fails the transaction unless the key has this version.
    Require {
        /// The key.
        key: String,
        /// The version; `None`: the key does not exist.
        version: Option<u64>,
    },
    /// Stores a value under a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Document,
    },
    /// Deletes a key. It may not exist.
    Delete {
        /// The key.
        key: String,
    },
}

/// An entry of a tenant's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The version.
    pub version: u64,
    /// The value.
    #[schema(value_type = serde_json::Value)]
    pub value: Document,
}

impl Operation {
    /// Returns the key.
    pub fn key(&self) -> &str {
        match self {
            Self::Require { key, .. } | Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    /// Returns the operation as people see it.
    pub fn describe(&self) -> String {
        let verb = match self {
            Self::Require { .. } => "require",
            Self::Put { .. } => "put",
            Self::Delete { .. } => "delete",
        };
        format!("{verb} {}", self.key())
    }
}

impl Transaction {
    /// Returns the approximate size in memory, in bytes.
    pub fn size(&self) -> usize {
        let value = |operation: &Operation| match operation {
            Operation::Put { value, .. } => value.text().len(),
            Operation::Require { .. } | Operation::Delete { .. } => 0,
        };
        self.operations.iter().map(|operation| operation.key().len() + value(operation)).sum()
    }
}

/// Checks of the operations of a transaction what does not depend on the store: their number, the keys and the values.
///
/// # Errors
/// The failure of the transaction.
pub fn check(operations: &[Operation], limits: &Limits) -> Result<(), Failure> {
    let (count, most) = (operations.len(), limits.operations);
    if count as u64 > most {
        return Err(limit(format!(
            "the transaction has {count} operations; the most is {most} (db_operations). Use several transactions"
        )));
    }
    for operation in operations {
        check_key(operation.key(), limits)?;
        if let Operation::Put { key, value } = operation {
            check_value(key, value, limits)?;
        }
    }
    Ok(())
}

/// Checks that a text can be a key.
///
/// # Errors
/// The failure of a call with this key.
pub fn check_key(key: &str, limits: &Limits) -> Result<(), Failure> {
    if key.is_empty() {
        return Err(invalid("a key of the store cannot be empty".to_owned()));
    }
    check_text("key", key, limits)
}

/// Checks that a text can be the beginning of keys.
///
/// # Errors
/// The failure of a call with this prefix.
pub fn check_prefix(prefix: &str, limits: &Limits) -> Result<(), Failure> {
    check_text("prefix", prefix, limits)
}

fn check_text(what: &str, text: &str, limits: &Limits) -> Result<(), Failure> {
    let (bytes, most) = (text.len(), limits.key_bytes);
    if bytes as u64 > most {
        return Err(limit(format!(
            "the {what} {} has {bytes} bytes; the most is {most} (db_key_bytes)",
            quoted(text)
        )));
    }
    match text.chars().find(|character| character.is_control()) {
        None => Ok(()),
        Some(character) => Err(invalid(format!(
            "the {what} {} has the control character U+{:04X}: a key of the store is text without control characters",
            quoted(text),
            u32::from(character)
        ))),
    }
}

/// Checks that a document can be a value.
fn check_value(key: &str, value: &Document, limits: &Limits) -> Result<(), Failure> {
    let (bytes, most) = (value.text().len(), limits.value_bytes);
    if bytes as u64 > most {
        return Err(limit(format!(
            "the value of {} has {bytes} bytes; the most is {most} (db_value_bytes). Store large data elsewhere and keep a \
             reference",
            quoted(key)
        )));
    }
    value.check().map_err(|error| invalid(format!("the value of {} cannot be stored: {error}", quoted(key))))
}

/// Returns the first text after all texts that begin with `prefix`, in the order of their bytes. `None`: there is none.
pub fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // Surrogates are no characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// Returns a key as a message quotes it: on one line, its beginning if it is long.
pub fn quoted(key: &str) -> String {
    let shown = &key[..key.floor_char_boundary(KEY_SHOWN)];
    let more = if shown.len() < key.len() { "…" } else { "" };
    format!("`{}{more}`", shown.escape_debug())
}

fn limit(message: String) -> Failure {
    Failure::permanent(kind::LIMIT, message)
}

fn invalid(message: String) -> Failure {
    Failure::permanent(kind::INVALID_INPUT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { key_bytes: 512, value_bytes: 1 << 10, operations: 4, entries: 3, bytes: 100 };

    #[test]
    fn a_key_is_any_text_without_control_characters() {
        for key in
            ["a", "/", "..", "../../etc/passwd", "a b", "ключ", "💡", "%00", "\u{feff}", "'; DROP TABLE"]
        {
            assert_eq!(check_key(key, &LIMITS), Ok(()), "{key}");
        }
        for (key, why) in [
            ("", "empty"),
            ("a\0b", "U+0000"),
            ("a\nb", "U+000A"),
            ("\u{1a}", "U+001A"),
            ("\u{9b}", "U+009B"),
        ] {
            let failure = check_key(key, &LIMITS).unwrap_err();
            assert_eq!(failure.kind, kind::INVALID_INPUT);
            assert!(failure.message.contains(why), "{failure}");
        }
        let failure = check_key(&"ä".repeat(5 << 10), &LIMITS).unwrap_err();
        assert_eq!(failure.kind, kind::LIMIT);
        assert!(failure.message.contains("has 10240 bytes; the most is 512 (db_key_bytes)"), "{failure}");
        assert!(failure.message.len() < 200, "{failure}");
        assert_eq!(check_prefix("", &LIMITS), Ok(()));
    }

    #[test]
    fn a_prefix_ends_before_the_next_text() {
        assert_eq!(end_of_prefix(""), None);
        assert_eq!(end_of_prefix("tokens/").as_deref(), Some("tokens0"));
        assert_eq!(end_of_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
        let end = end_of_prefix("é").unwrap();
        assert!("é\u{10ffff}" < end.as_str() && "é" < end.as_str());
    }
}
