//! The tenant's store: the interface `db`.

use super::cut;
use super::interfaces::db::{Entry, Host, Operation};
use super::interfaces::types::{CallId, Failure, Scope as Handle};
use crate::Stop;
use crate::execution::Execution;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal as journal;
use forge_journal::db::{self, Get, List};
use forge_journal::{Document, EffectKind, NewEffect, Scope, kind};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The kind of effect that reads an entry.
pub const GET: EffectKind = EffectKind::new("db_get");

/// The kind of effect that lists entries.
pub const LIST: EffectKind = EffectKind::new("db_list");

/// The kind of effect that is a transaction.
pub const COMMIT: EffectKind = EffectKind::new("db");

/// The maximum size of a call's name in the journal, in bytes: the width of the column in the spec.
const NAME: usize = 255;

/// The operations of a refused transaction that the journal names: enough to recognise it.
const KEPT_OPERATIONS: usize = 10;

impl Host for InstanceState {
    fn get(&mut self, scope: Handle, key: String) -> wasmtime::Result<CallId> {
        let call = get(self.execution_for(key.len())?, scope, key);
        self.or_stop(call)
    }

    fn got(&mut self, call: CallId) -> wasmtime::Result<Result<Option<Entry>, Failure>> {
        let outcome = outcome::<Option<db::Entry>>(self.execution()?, call, GET);
        let outcome = self.or_stop(outcome)?;
        Ok(outcome.map(|entry| entry.map(|entry| self.entry(entry))))
    }

    fn list(
        &mut self,
        scope: Handle,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<CallId> {
        let bytes = prefix.len() + after.as_deref().map_or(0, str::len);
        let call = list(self.execution_for(bytes)?, scope, List { prefix, after, limit });
        self.or_stop(call)
    }

    fn listed(&mut self, call: CallId) -> wasmtime::Result<Result<Vec<Entry>, Failure>> {
        let outcome = outcome::<Vec<db::Entry>>(self.execution()?, call, LIST);
        let outcome = self.or_stop(outcome)?;
        Ok(outcome.map(|entries| entries.into_iter().map(|entry| self.entry(entry)).collect()))
    }

    fn commit(&mut self, scope: Handle, operations: Vec<Operation>) -> wasmtime::Result<CallId> {
        let bytes = operations.iter().map(size).sum();
        let call = commit(self.execution_for(bytes)?, scope, operations);
        self.or_stop(call)
    }

    fn committed(&mut self, call: CallId) -> wasmtime::Result<Result<Vec<u64>, Failure>> {
        let outcome = outcome(self.execution()?, call, COMMIT);
        self.or_stop(outcome)
    }
}

impl InstanceState {
    /// Charges the guest for an entry.
    fn entry(&mut self, entry: db::Entry) -> Entry {
        let db::Entry { key, version, value } = entry;
        self.passed(key.len().saturating_add(value.text().len()));
        Entry { key, version, value: value.text().to_string() }
    }
}

/// Returns the number of bytes that the guest passes with an operation.
fn size(operation: &Operation) -> usize {
    match operation {
        Operation::Require((key, _)) | Operation::Delete(key) => key.len(),
        Operation::Put((key, value)) => key.len().saturating_add(value.len()),
    }
}

fn get(execution: &mut Execution, scope: Handle, key: String) -> Result<CallId, Stop> {
    let checked = db::check_key(&key, &execution.limits.db);
    let name = cut(key.clone(), NAME);
    let kept = Get { key: name.clone() };
    submit(execution, scope, Call { kind: GET, name, input: Get { key }, kept, checked })
}

fn list(execution: &mut Execution, scope: Handle, list: List) -> Result<CallId, Stop> {
    let limits = &execution.limits.db;
    let checked = db::check_prefix(&list.prefix, limits)
        .and_then(|()| list.after.as_deref().map_or(Ok(()), |after| db::check_key(after, limits)));
    let prefix = cut(list.prefix.clone(), NAME - 1);
    let kept = List { prefix: prefix.clone(), after: None, limit: list.limit };
    submit(execution, scope, Call { kind: LIST, name: format!("{prefix}*"), input: list, kept, checked })
}

fn commit(execution: &mut Execution, scope: Handle, operations: Vec<Operation>) -> Result<CallId, Stop> {
    let mut checked = Ok(());
    let operations = operations.into_iter().map(|operation| decoded(operation, &mut checked));
    let operations = operations.collect::<Result<Vec<_>, _>>()?;
    let checked = db::check(&operations, &execution.limits.db).and(checked);
    let kept: Vec<_> =
        operations.iter().take(KEPT_OPERATIONS).map(|operation| cut(operation.describe(), NAME)).collect();
    let name = name(&operations);
    submit(execution, scope, Call { kind: COMMIT, name, input: operations, kept, checked })
}

/// Returns an operation of the guest. A value that is no JSON is kept as text, and is an error.
fn decoded(operation: Operation, checked: &mut Result<(), journal::Failure>) -> Result<db::Operation, Stop> {
    Ok(match operation {
        Operation::Require((key, version)) => db::Operation::Require { key, version },
        Operation::Delete(key) => db::Operation::Delete { key },
        Operation::Put((key, value)) => {
            let value = match Document::parse(&value) {
                Ok(value) => value,
                Err(error) => {
                    let message = format!("the value of {} is no JSON: {error}", db::quoted(&key));
                    *checked = Err(journal::Failure::permanent(kind::INVALID_INPUT, message));
                    Document::of(&value).map_err(|error| unwritable(error.to_string()))?
                }
            };
            db::Operation::Put { key, value }
        }
    })
}

/// Returns the name of a transaction: its first change.
fn name(operations: &[db::Operation]) -> String {
    let is_change = |operation: &&db::Operation| !matches!(operation, db::Operation::Require { .. });
    let first = operations.iter().find(is_change).or(operations.first());
    let first = first.map_or_else(|| "nothing".to_owned(), db::Operation::describe);
    let changes = operations.iter().filter(is_change).count();
    match changes.saturating_sub(1) {
        0 => cut(first, NAME),
        more => {
            let more = format!(" and {more} more");
            cut(first, NAME - more.len()) + &more
        }
    }
}

/// A call of the store.
struct Call<I, K> {
    kind: EffectKind,
    name: String,
    input: I,
    /// What the journal keeps of the input if the call is refused.
    kept: K,
    /// Why the call is refused, if the journal does not have it yet.
    checked: Result<(), journal::Failure>,
}

/// Submits a call, or refuses it. What the journal has does not depend on the limits of today.
fn submit<I: Serialize, K: Serialize>(
    execution: &mut Execution,
    scope: Handle,
    call: Call<I, K>,
) -> Result<CallId, Stop> {
    let Call { kind, name, input, kept, checked } = call;
    let input = db::encode(&input).map_err(unwritable)?;
    let checked = checked.and_then(|()| check_size(execution, &name, &input));
    let (scope, effect) = (Scope::from_handle(scope), NewEffect { kind, name, input, wake_at: None });
    let now = clock::now();
    Ok(match checked {
        Ok(()) => execution.session.submit(scope, effect, now)?,
        Err(failure) => {
            let kept = db::encode(&kept).map_err(unwritable)?;
            execution.session.refuse(scope, effect, &kept, failure, now)?
        }
    })
}

fn unwritable(why: String) -> Stop {
    Stop::Failed(journal::Failure::permanent(kind::ERROR, why))
}

fn check_size(execution: &Execution, name: &str, input: &str) -> Result<(), journal::Failure> {
    let (bytes, most) = (input.len() as u64, execution.limits.payload_bytes);
    if bytes <= most {
        return Ok(());
    }
    let message = format!(
        "the transaction `{name}` has {bytes} bytes; the most is {most} (payload_bytes). Nothing was changed. Use several \
         transactions, or store large data elsewhere and keep a reference"
    );
    Err(journal::Failure::permanent(kind::LIMIT, message))
}

/// Returns the outcome of a delivered call.
fn outcome<T: DeserializeOwned>(
    execution: &mut Execution,
    call: CallId,
    kind: EffectKind,
) -> Result<Result<T, Failure>, Stop> {
    match execution.session.outcome(call, kind)? {
        Err(failure) => Ok(Err(failure.into())),
        Ok(result) => db::decode(result.as_deref().unwrap_or("null"))
            .map(Ok)
            .map_err(|why| Stop::corrupt(format_args!("call {call} has no readable result: {why}"))),
    }
}
