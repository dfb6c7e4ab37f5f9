//! The tenant's store in tests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bindings::forge::workflow::db::{Entry, Operation};
use crate::error::Failure;

/// The most bytes of a key: the host's default.
const KEY_BYTES: usize = 512;

/// The most bytes of a value: the host's default.
const VALUE_BYTES: usize = 256 << 10;

/// The most operations of a transaction: the host's default.
const OPERATIONS: usize = 256;

/// The most entries of a list.
const LISTED: u32 = 1_000;

/// The state of the test host for the store.
#[derive(Default)]
pub(crate) struct Store {
    /// The number of the last transaction that changed something.
    version: u64,
    /// The version and the value of each key.
    entries: BTreeMap<String, (u64, String)>,
    /// The number of transactions that fail, and their failure.
    injected: Option<(u32, Failure)>,
}

impl Store {
    /// Stores an entry before the run starts.
    pub(crate) fn seed(&mut self, key: &str, value: String) {
        self.version += 1;
        self.entries.insert(key.to_owned(), (self.version, value));
    }

    pub(crate) fn inject(&mut self, transactions: u32, failure: Failure) {
        self.injected = Some((transactions, failure));
    }

    /// Returns the values by key.
    pub(crate) fn values(&self) -> BTreeMap<String, Value> {
        let value = |text: &str| serde_json::from_str(text).expect("the store has JSON");
        self.entries.iter().map(|(key, (_, text))| (key.clone(), value(text))).collect()
    }

    fn get(&self, key: &str) -> Result<Option<Entry>, Failure> {
        check_key(key)?;
        Ok(self.entries.get(key).map(|(version, value)| entry(key, *version, value)))
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Failure> {
        check_text(prefix)?;
        after.map_or(Ok(()), check_key)?;
        let is_selected = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let selected = self.entries.iter().filter(|(key, _)| is_selected(key));
        let limit = limit.min(LISTED) as usize;
        Ok(selected.take(limit).map(|(key, (version, value))| entry(key, *version, value)).collect())
    }

    fn commit(&mut self, operations: &[Operation]) -> Result<Vec<u64>, Failure> {
        if let Some((left, failure)) = &mut self.injected
            && *left > 0
        {
            *left -= 1;
            return Err(failure.clone());
        }
        if operations.len() > OPERATIONS {
            let count = operations.len();
            let message =
                format!("the transaction has {count} operations; the most is {OPERATIONS} (db_operations)");
            return Err(limit(message));
        }
        for operation in operations {
            self.check(operation)?;
        }
        let version = self.version + 1;
        let mut changed = false;
        let mut versions = Vec::with_capacity(operations.len());
        for operation in operations {
            versions.push(0);
            match operation {
                Operation::Require(_) => {}
                Operation::Put((key, value)) => {
                    self.entries.insert(key.clone(), (version, value.clone()));
                    versions.pop();
                    versions.push(version);
                    changed = true;
                }
                Operation::Delete(key) => changed |= self.entries.remove(key).is_some(),
            }
        }
        if changed {
            self.version = version;
        }
        Ok(versions)
    }

    fn check(&self, operation: &Operation) -> Result<(), Failure> {
        match operation {
            Operation::Require((key, required)) => {
                check_key(key)?;
                let present = self.entries.get(key).map(|(version, _)| *version);
                if present == *required {
                    return Ok(());
                }
                let message =
                    format!("`{key}` has version {present:?}, and the transaction requires {required:?}");
                Err(Failure::new(Failure::CONFLICT, message))
            }
            Operation::Put((key, value)) => {
                check_key(key)?;
                let bytes = value.len();
                if bytes > VALUE_BYTES {
                    let message = format!(
                        "the value of `{key}` has {bytes} bytes; the most is {VALUE_BYTES} (db_value_bytes)"
                    );
                    return Err(limit(message));
                }
                Ok(())
            }
            Operation::Delete(key) => check_key(key),
        }
    }
}

fn entry(key: &str, version: u64, value: &str) -> Entry {
    Entry { key: key.to_owned(), version, value: value.to_owned() }
}

fn check_key(key: &str) -> Result<(), Failure> {
    if key.is_empty() {
        return Err(invalid("a key of the store cannot be empty"));
    }
    check_text(key)
}

fn check_text(text: &str) -> Result<(), Failure> {
    if text.len() > KEY_BYTES {
        let bytes = text.len();
        return Err(limit(format!("the key has {bytes} bytes; the most is {KEY_BYTES} (db_key_bytes)")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid("a key of the store is text without control characters"));
    }
    Ok(())
}

fn limit(message: String) -> Failure {
    Failure::new(Failure::LIMIT, message).not_retryable()
}

fn invalid(message: &str) -> Failure {
    Failure::new(Failure::INVALID_INPUT, message).not_retryable()
}

/// The host's interface `db`.
pub(super) mod host {
    use super::Store;
    use crate::bindings::Failure as WireFailure;
    use crate::bindings::forge::workflow::db::{Entry, Operation};
    use crate::error::Failure;
    use crate::test_host::with;

    type Outcome<T> = Result<T, Failure>;

    /// Submits a call with the outcome that the store has for it.
    fn submit<T: 'static>(scope: u64, perform: impl FnOnce(&mut Store) -> Outcome<T>) -> u64 {
        with(|host| {
            host.places.next_call(scope);
            let outcome = perform(host.effect::<Store>());
            host.submit(0, outcome)
        })
    }

    fn take<T: 'static>(call: u64) -> Result<T, WireFailure> {
        Ok(with(|host| host.take::<Outcome<T>>(call))?)
    }

    pub(crate) fn get(scope: u64, key: &str) -> u64 {
        submit(scope, |store| store.get(key))
    }

    pub(crate) fn get_for_update(scope: u64, key: &str) -> u64 {
        get(scope, key)
    }

    pub(crate) fn got(call: u64) -> Result<Option<Entry>, WireFailure> {
        take(call)
    }

    pub(crate) fn list(scope: u64, prefix: &str, after: Option<&str>, limit: u32) -> u64 {
        submit(scope, |store| store.list(prefix, after, limit))
    }

    pub(crate) fn listed(call: u64) -> Result<Vec<Entry>, WireFailure> {
        take(call)
    }

    pub(crate) fn commit(scope: u64, operations: &[Operation]) -> u64 {
        submit(scope, |store| store.commit(operations))
    }

    pub(crate) fn committed(call: u64) -> Result<Vec<u64>, WireFailure> {
        take(call)
    }
}
