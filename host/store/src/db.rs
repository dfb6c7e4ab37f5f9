//! Reads of the tenants' store, and what the databases have in common when they perform transactions.

use std::collections::{BTreeMap, BTreeSet};

use forge_journal::db::{Entry, Operation, Transaction, end_of_prefix};
use forge_journal::{Failure, Outcome, TenantId, kind};

/// A selection of a tenant's entries, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DbFilter {
    /// Selects keys that begin with this.
    pub prefix: String,
    /// Selects keys after this one.
    pub after: Option<String>,
    /// The maximum number of entries.
    pub limit: u32,
    /// The maximum bytes of keys and values. A page has at least one entry.
    pub bytes: u64,
}

/// Entries of a tenant's store, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DbPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether the selection has later entries.
    pub has_more: bool,
}

impl DbFilter {
    /// Returns the range of the keys that the filter selects.
    pub(crate) fn range(&self) -> Range<'_> {
        let after = self.after.as_deref().filter(|after| *after >= self.prefix.as_str());
        Range {
            from: after.unwrap_or(&self.prefix),
            is_from_included: after.is_none(),
            before: end_of_prefix(&self.prefix),
        }
    }
}

/// A range of keys.
pub(crate) struct Range<'f> {
    pub(crate) from: &'f str,
    pub(crate) is_from_included: bool,
    pub(crate) before: Option<String>,
}

/// Returns the condition on the keys of a [`Range`], whose `from` and `before` are these parameters.
pub(crate) fn in_range(is_from_included: bool, has_end: bool, from: &str, before: &str) -> String {
    let begin = if is_from_included { ">=" } else { ">" };
    let end = if has_end { format!(" AND key < {before}") } else { String::new() };
    format!("key {begin} {from}{end}")
}

/// The keys that transactions name, by tenant. Nodes lock tenants in this order, so that they do not deadlock.
pub(crate) fn named_keys<'t>(transactions: &[&'t Transaction]) -> BTreeMap<&'t TenantId, BTreeSet<&'t str>> {
    let mut named: BTreeMap<&TenantId, BTreeSet<&str>> = BTreeMap::new();
    for transaction in transactions {
        let keys = named.entry(&transaction.tenant).or_default();
        keys.extend(transaction.operations.iter().map(Operation::key));
    }
    named
}

/// Returns the next of the outcomes of transactions that were performed in one go.
pub(crate) fn next_outcome(outcomes: &mut impl Iterator<Item = Outcome>) -> Outcome {
    // There is one for each transaction.
    let missing = || Err(Failure::permanent(kind::ERROR, "the store has no outcome of the transaction"));
    outcomes.next().unwrap_or_else(missing)
}
