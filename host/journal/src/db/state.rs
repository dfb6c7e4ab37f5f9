//! What transactions do to a tenant's store: the one place that decides it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Limits, Operation, Transaction, check, encode, limit, quoted};
use crate::{Document, Failure, Outcome, Timestamp, kind};

/// The totals of a tenant's store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of the last transaction that changed something.
    pub version: u64,
    /// The number of entries.
    pub entries: u64,
    /// The bytes of keys and values.
    pub bytes: u64,
}

/// A stored entry, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The version.
    pub version: u64,
    /// The bytes of its value.
    pub value_bytes: u64,
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key has this value.
    Put {
        /// The version.
        version: u64,
        /// The value.
        value: Document,
        /// The time of the change.
        at: Timestamp,
    },
    /// The key does not exist.
    Delete,
}

/// A tenant's store, as far as a batch of transactions names it: what the database has, and what they change.
///
/// A database locks the tenant's totals, reads the entries that the transactions name, applies the transactions in their
/// order, and writes [`State::totals`] and [`State::changes`], in one database transaction.
#[derive(Debug, Default)]
pub struct State {
    totals: Totals,
    /// A key that is not here does not exist.
    entries: BTreeMap<String, Stored>,
    changes: BTreeMap<String, Change>,
}

impl State {
    /// Creates the state from what the database has of all keys that the transactions name.
    pub fn new(totals: Totals, entries: impl IntoIterator<Item = (String, Stored)>) -> Self {
        Self { totals, entries: entries.into_iter().collect(), changes: BTreeMap::new() }
    }

    /// Performs a transaction. Its result is the version of the entry after each `put`, and 0 for other operations. A
    /// transaction that fails changes nothing.
    pub fn apply(&mut self, transaction: &Transaction) -> Outcome {
        check(&transaction.operations, &transaction.limits)?;
        for operation in &transaction.operations {
            if let Operation::Require { key, version } = operation {
                self.require(key, *version)?;
            }
        }
        let mut next = Next { state: self, totals: self.totals, entries: BTreeMap::new() };
        for operation in &transaction.operations {
            next.perform(operation);
        }
        let Next { totals, entries, .. } = next;
        check_room(&self.totals, &totals, &transaction.limits)?;
        let versions = transaction.operations.iter().map(|operation| match operation {
            Operation::Put { .. } => totals.version,
            Operation::Require { .. } | Operation::Delete { .. } => 0,
        });
        let result =
            encode(&versions.collect::<Vec<_>>()).map_err(|why| Failure::permanent(kind::ERROR, why))?;
        self.totals = totals;
        for (key, entry) in entries {
            match entry {
                Some((stored, value)) => {
                    let change =
                        Change::Put { version: stored.version, value: value.clone(), at: transaction.at };
                    self.entries.insert(key.to_owned(), stored);
                    self.changes.insert(key.to_owned(), change);
                }
                None => {
                    self.entries.remove(key);
                    self.changes.insert(key.to_owned(), Change::Delete);
                }
            }
        }
        Ok(Some(Arc::from(result)))
    }

    fn require(&self, key: &str, required: Option<u64>) -> Result<(), Failure> {
        let present = self.entries.get(key).map(|stored| stored.version);
        if present == required {
            return Ok(());
        }
        let is = present.map_or("does not exist".to_owned(), |version| format!("has version {version}"));
        let requires =
            required.map_or("that it does not exist".to_owned(), |version| format!("version {version}"));
        let message = format!(
            "{} {is}, and the transaction requires {requires}: it was changed since it was read. Read it again",
            quoted(key)
        );
        Err(Failure::new(kind::CONFLICT, message))
    }

    /// Returns the totals.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns the changes, in the order of the keys. Empty: no transaction changed anything.
    pub fn changes(&self) -> &BTreeMap<String, Change> {
        &self.changes
    }
}

/// The store after a transaction that may still fail.
struct Next<'s, 't> {
    state: &'s State,
    totals: Totals,
    /// The entries that differ.
    entries: BTreeMap<&'t str, Option<(Stored, &'t Document)>>,
}

impl<'t> Next<'_, 't> {
    fn perform(&mut self, operation: &'t Operation) {
        let (key, value) = match operation {
            Operation::Require { .. } => return,
            Operation::Put { key, value } => (key.as_str(), Some(value)),
            Operation::Delete { key } => (key.as_str(), None),
        };
        let before = match self.entries.get(key) {
            Some(entry) => entry.map(|(stored, _)| stored),
            None => self.state.entries.get(key).copied(),
        };
        let version = self.state.totals.version + 1;
        let after = value.map(|value| (Stored { version, value_bytes: value.text().len() as u64 }, value));
        if before.is_none() && after.is_none() {
            return;
        }
        let bytes = |stored: &Stored| key.len() as u64 + stored.value_bytes;
        let Totals { entries, bytes: total, .. } = &mut self.totals;
        *entries = (*entries + u64::from(after.is_some())).saturating_sub(u64::from(before.is_some()));
        *total = (*total + after.as_ref().map_or(0, |(stored, _)| bytes(stored)))
            .saturating_sub(before.as_ref().map_or(0, bytes));
        self.totals.version = version;
        self.entries.insert(key, after);
    }
}

/// Checks that the tenant may have this much. A tenant whose limit was lowered may have less than before, too.
fn check_room(before: &Totals, after: &Totals, limits: &Limits) -> Result<(), Failure> {
    let checks = [
        ("entries", before.entries, after.entries, limits.entries, "db_entries"),
        ("bytes of keys and values", before.bytes, after.bytes, limits.bytes, "db_bytes"),
    ];
    for (what, before, after, most, name) in checks {
        if after > most && after > before {
            return Err(limit(format!(
                "the store of this tenant would have {after} {what}; the most is {most} ({name}). Nothing was changed. Delete \
                 entries, or ask for a higher limit"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    const LIMITS: Limits = Limits { key_bytes: 512, value_bytes: 20, operations: 4, entries: 3, bytes: 40 };

    fn put(key: &str, value: &str) -> Operation {
        Operation::Put { key: key.to_owned(), value: Document::parse(value).unwrap() }
    }

    fn delete(key: &str) -> Operation {
        Operation::Delete { key: key.to_owned() }
    }

    fn require(key: &str, version: impl Into<Option<u64>>) -> Operation {
        Operation::Require { key: key.to_owned(), version: version.into() }
    }

    fn transaction(operations: Vec<Operation>) -> Transaction {
        Transaction { tenant: "acme".into(), operations, limits: LIMITS, at: Timestamp(5) }
    }

    fn apply(state: &mut State, operations: Vec<Operation>) -> Result<String, Failure> {
        state.apply(&transaction(operations)).map(|result| result.unwrap().to_string())
    }

    fn fails(state: &mut State, operations: Vec<Operation>, kind: &str, message: &str) {
        let before = format!("{state:?}");
        let failure = apply(state, operations).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(message), "{failure}");
        assert_eq!(format!("{state:?}"), before, "a transaction that fails changes nothing");
    }

    #[test]
    fn versions_only_grow_also_across_a_deletion() {
        let mut state = State::default();
        assert_eq!(apply(&mut state, vec![put("a", "1"), put("b", "2")]).unwrap(), "[1,1]");
        assert_eq!(apply(&mut state, vec![require("a", 1), put("a", "10"), delete("b")]).unwrap(), "[0,2,0]");
        assert_eq!(apply(&mut state, vec![delete("a")]).unwrap(), "[0]");
        assert_eq!(*state.totals(), Totals { version: 3, entries: 0, bytes: 0 });
        assert_eq!(apply(&mut state, vec![require("a", None), put("a", "1")]).unwrap(), "[0,4]");
        fails(
            &mut state,
            vec![require("a", 2), put("a", "1")],
            kind::CONFLICT,
            "`a` has version 4, and the transaction requires version 2",
        );
    }

    #[test]
    fn requirements_are_about_the_store_before_the_transaction() {
        let mut state = State::new(
            Totals { version: 7, entries: 1, bytes: 2 },
            [("a".to_owned(), Stored { version: 7, value_bytes: 1 })],
        );
        assert_eq!(
            apply(&mut state, vec![put("a", "1"), require("a", 7), require("b", None), put("b", "1")])
                .unwrap(),
            "[8,0,0,8]"
        );
        fails(
            &mut state,
            vec![delete("a"), require("c", 8)],
            kind::CONFLICT,
            "`c` does not exist, and the transaction requires version 8",
        );
        fails(&mut state, vec![require("a", None)], kind::CONFLICT, "requires that it does not exist");
    }

    #[test]
    fn operations_on_one_key_happen_in_their_order() {
        let mut state = State::default();
        apply(&mut state, vec![put("a", "1"), put("a", "\"two\""), put("b", "1"), delete("b")]).unwrap();
        assert_eq!(*state.totals(), Totals { version: 1, entries: 1, bytes: 6 });
        let value = Document::parse("\"two\"").unwrap();
        let changes: Vec<_> = state.changes().clone().into_iter().collect();
        let change = Change::Put { version: 1, value, at: Timestamp(5) };
        assert_eq!(changes, [("a".to_owned(), change), ("b".to_owned(), Change::Delete)]);
    }

    #[test]
    fn a_transaction_that_changes_nothing_has_no_version() {
        let mut state = State::default();
        assert_eq!(apply(&mut state, vec![require("a", None), delete("a")]).unwrap(), "[0,0]");
        assert_eq!(apply(&mut state, vec![]).unwrap(), "[]");
        assert!(state.changes().is_empty());
        assert_eq!(*state.totals(), Totals::default());
    }

    #[test]
    fn each_limit_is_named() {
        let mut state = State::default();
        let long = format!("\"{}\"", "x".repeat(30));
        fails(
            &mut state,
            vec![put("a", &long)],
            kind::LIMIT,
            "the value of `a` has 32 bytes; the most is 20 (db_value_bytes)",
        );
        fails(
            &mut state,
            vec![delete("a"); 5],
            kind::LIMIT,
            "has 5 operations; the most is 4 (db_operations)",
        );
        fails(&mut state, vec![put(&"k".repeat(513), "1")], kind::LIMIT, "db_key_bytes");
        fails(&mut state, vec![put("", "1")], kind::INVALID_INPUT, "empty");
        fails(
            &mut state,
            vec![put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")],
            kind::LIMIT,
            "would have 4 entries; the most is 3 (db_entries)",
        );
        let text = format!("\"{}\"", "x".repeat(18));
        fails(
            &mut state,
            vec![put("a", &text), put("b", &text)],
            kind::LIMIT,
            "would have 42 bytes of keys and values; the most is 40 (db_bytes)",
        );
    }

    #[test]
    fn a_tenant_beyond_a_lowered_limit_can_shrink() {
        let stored = |value_bytes| Stored { version: 1, value_bytes };
        let entries = [("a", 50), ("b", 9), ("c", 1), ("d", 1)];
        let mut state = State::new(
            Totals { version: 1, entries: 4, bytes: 65 },
            entries.map(|(key, bytes)| (key.to_owned(), stored(bytes))),
        );
        apply(&mut state, vec![put("a", "1")]).unwrap();
        fails(&mut state, vec![put("e", "1")], kind::LIMIT, "db_entries");
        apply(&mut state, vec![delete("b"), put("e", "1")]).unwrap();
        assert_eq!(*state.totals(), Totals { version: 3, entries: 4, bytes: 8 });
    }

    #[test]
    fn transactions_of_a_batch_see_each_other() {
        let mut state = State::default();
        let increment = |version: Option<u64>| vec![require("n", version), put("n", "1")];
        assert_eq!(apply(&mut state, increment(None)).unwrap(), "[0,1]");
        fails(&mut state, increment(None), kind::CONFLICT, "has version 1");
        assert_eq!(apply(&mut state, increment(Some(1))).unwrap(), "[0,2]");
        assert_eq!(state.changes().len(), 1);
    }
}
