//! The tenant's store: the interface `db`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::interfaces::db::{Entry, Host, Operation};
use super::interfaces::types::{CallId, Failure, Scope as Handle};
use super::{NAME, Refused, cut, invalid, shown, submit, text_length};
use crate::Stop;
use crate::execution::Execution;
use crate::state::InstanceState;
use forge_journal as journal;
use forge_journal::db::{self, Get, List};
use forge_journal::{Document, EffectKind, NewEffect, Outcome, Reach, kind};

/// The kind of effect that reads an entry.
pub const GET: EffectKind = EffectKind::new("db_get");

/// The kind of effect that lists entries.
pub const LIST: EffectKind = EffectKind::new("db_list");

/// The kind of effect that is a transaction.
pub const COMMIT: EffectKind = EffectKind::new("db");

/// The operations of a refused transaction that the journal names: enough to recognise it.
const KEPT_OPERATIONS: usize = 10;

impl Host for InstanceState {
    fn get(&mut self, scope: Handle, key: String) -> wasmtime::Result<CallId> {
        let call = get(self.execution_for(key.len())?, scope, key, false);
        self.or_stop(call)
    }

    fn get_for_update(&mut self, scope: Handle, key: String) -> wasmtime::Result<CallId> {
        let call = get(self.execution_for(key.len())?, scope, key, true);
        self.or_stop(call)
    }

    fn got(&mut self, call: CallId) -> wasmtime::Result<Result<Option<Entry>, Failure>> {
        let outcome = self.outcome_of(call, GET)?;
        let entry = self.or_stop(read::<Option<db::Entry>>(call, outcome))?;
        Ok(entry.map(|entry| entry.map(Entry::from)))
    }

    fn list(
        &mut self,
        scope: Handle,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<CallId> {
        let bytes = text_length(after.iter().chain([&prefix]));
        let call = list(self.execution_for(bytes)?, scope, List { prefix, after, limit });
        self.or_stop(call)
    }

    fn listed(&mut self, call: CallId) -> wasmtime::Result<Result<Vec<Entry>, Failure>> {
        let outcome = self.outcome_of(call, LIST)?;
        let entries = self.or_stop(read::<Vec<db::Entry>>(call, outcome))?;
        Ok(entries.map(|entries| entries.into_iter().map(Entry::from).collect()))
    }

    fn commit(&mut self, scope: Handle, operations: Vec<Operation>) -> wasmtime::Result<CallId> {
        let bytes = operations.iter().map(size).fold(0, usize::saturating_add);
        let call = commit(self.execution_for(bytes)?, scope, operations);
        self.or_stop(call)
    }

    fn committed(&mut self, call: CallId) -> wasmtime::Result<Result<Vec<u64>, Failure>> {
        let outcome = self.outcome_of(call, COMMIT)?;
        self.or_stop(read(call, outcome))
    }
}

impl From<db::Entry> for Entry {
    fn from(db::Entry { key, version, value }: db::Entry) -> Self {
        Self { key, version, value: value.text().to_string() }
    }
}

/// Returns the number of bytes that the guest passes with an operation.
fn size(operation: &Operation) -> usize {
    match operation {
        Operation::Require((key, _)) | Operation::Delete(key) => key.len(),
        Operation::Put((key, value)) => text_length([key, value]),
    }
}

fn get(execution: &mut Execution, scope: Handle, key: String, for_update: bool) -> Result<CallId, Stop> {
    let kept = Get { key: shown(&key), for_update };
    let call = Call { kind: GET, name: kept.key.clone(), kept, input: Get { key, for_update } };
    call.submit(execution, scope, |input, limits| db::check_key(&input.key, limits).err())
}

fn list(execution: &mut Execution, scope: Handle, list: List) -> Result<CallId, Stop> {
    let after = list.after.as_deref().map(shown);
    let kept = List { prefix: shown(&list.prefix), after, limit: list.limit };
    let name = cut(format!("{}*", kept.prefix), NAME);
    Call { kind: LIST, name, kept, input: list }.submit(execution, scope, |list, limits| {
        let prefix = db::check_prefix(&list.prefix, limits);
        prefix.and_then(|()| list.after.iter().try_for_each(|after| db::check_key(after, limits))).err()
    })
}

fn commit(execution: &mut Execution, scope: Handle, operations: Vec<Operation>) -> Result<CallId, Stop> {
    let mut not_json = None;
    let operations = operations.into_iter().map(|operation| decoded(operation, &mut not_json));
    let input = operations.collect::<Result<Vec<_>, _>>()?;
    let kept = input.iter().take(KEPT_OPERATIONS).map(|operation| shown(&operation.describe())).collect();
    let call = Call::<_, Vec<_>> { kind: COMMIT, name: name(&input), kept, input };
    call.submit(execution, scope, |input, limits| db::check(input, limits).err().or(not_json))
}

/// Returns an operation of the guest. A value that is no JSON is kept as text, and noted.
fn decoded(operation: Operation, not_json: &mut Option<journal::Failure>) -> Result<db::Operation, Stop> {
    Ok(match operation {
        Operation::Require((key, version)) => db::Operation::Require { key, version },
        Operation::Delete(key) => db::Operation::Delete { key },
        Operation::Put((key, value)) => {
            let value = match Document::parse(&value) {
                Ok(value) => value,
                Err(error) => {
                    let message = format!("the value of {} is not JSON: {error}", db::quoted(&key));
                    not_json.get_or_insert(invalid(message));
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
    let first = shown(&first.map_or_else(|| "nothing".to_owned(), db::Operation::describe));
    match operations.iter().filter(is_change).count() {
        0 | 1 => first,
        changes => {
            let more = format!(" and {} more", changes - 1);
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
}

impl<I: Serialize, K: Serialize> Call<I, K> {
    /// Submits the call. A new one is refused if `check` finds a reason, or it is too large for the journal.
    fn submit(
        self,
        execution: &mut Execution,
        scope: Handle,
        check: impl FnOnce(&I, &db::Limits) -> Option<journal::Failure>,
    ) -> Result<CallId, Stop> {
        let Self { kind, name, input, kept } = self;
        let [document, kept] = [db::encode(&input), db::encode(&kept)].map(|text| text.map_err(unwritable));
        let (document, kept) = (document?, kept?);
        let bytes = document.len() as u64;
        let effect = NewEffect { kind, name: name.clone(), input: document, wake_at: None, awaits: None };
        submit(execution, scope, effect, |execution| {
            let limits = &execution.limits;
            let failure =
                check(&input, &limits.db).or_else(|| too_large(&name, bytes, limits.payload_bytes))?;
            Some(Refused { kept, failure: failure.with_reach(Reach::Nowhere) })
        })
    }
}

fn too_large(name: &str, bytes: u64, most: u64) -> Option<journal::Failure> {
    let message = format!(
        "the transaction `{name}` has {bytes} bytes; the most is {most} (payload_bytes). Use several transactions, or store \
         large data elsewhere and keep a reference"
    );
    (bytes > most).then(|| journal::Failure::permanent(kind::LIMIT, message))
}

fn unwritable(why: String) -> Stop {
    Stop::Failed(journal::Failure::permanent(kind::ERROR, why))
}

/// Returns the outcome of a call as the guest gets it.
fn read<T: DeserializeOwned>(call: CallId, outcome: Outcome) -> Result<Result<T, Failure>, Stop> {
    match outcome {
        Err(failure) => Ok(Err(failure.into())),
        Ok(result) => db::decode(result.as_deref().unwrap_or("null"))
            .map(Ok)
            .map_err(|why| Stop::corrupt(format_args!("call {call} has no readable result: {why}"))),
    }
}
