//! A workflow that makes the calls of the tenant's store that its input names.

use forge::prelude::*;
use serde::Deserialize;
use serde_json::Value;

/// A call.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Reads an entry.
    Get(String),
    /// Stores a value.
    Put(String, Value),
    /// Stores a string of this many bytes.
    PutBytes(String, usize),
    /// Stores a string of this many bytes under this many keys, until a call fails.
    Flood(String, usize, usize),
    /// Stores a string of this many bytes under this many keys, in one transaction.
    PutBytesAtOnce(String, usize, usize),
    /// Deletes a key.
    Delete(String),
    /// Adds 1 to a number, this many times.
    Increment(String, usize),
    /// Adds 1 to a number, this many times at once.
    IncrementAtOnce(String, usize),
    /// Lists keys with this prefix, after this key.
    List(String, Option<String>, u32),
    /// Performs a transaction.
    Transaction(Vec<Operation>),
    /// Waits for an event.
    Event(String),
    /// A step with a call that a handler takes back with the second call.
    Reversible(Box<Call>, Box<Call>),
    /// Fails the run.
    Fail,
}

/// An operation of a transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Requires a version.
    Require(String, Option<u64>),
    /// Stores a value.
    Put(String, Value),
    /// Deletes a key.
    Delete(String),
}

/// What became of a call: its result, or its failure.
type Outcome = Result<Value, Failure>;

/// Makes the calls one after the other, and returns what became of each.
#[forge::workflow]
pub async fn store(ctx: &WorkflowContext, calls: Vec<Call>) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for call in calls {
        if matches!(call, Call::Fail) {
            bail!("as asked");
        }
        outcomes.push(make(ctx, &call).await.map_err(failure));
    }
    Ok(outcomes)
}

async fn make(ctx: &WorkflowContext, call: &Call) -> Result<Value> {
    let db = ctx.db();
    Ok(match call.clone() {
        Call::Get(key) => json!(db.get_entry::<Value>(key).await?.map(|entry| (entry.version, entry.value))),
        Call::Put(key, value) => json!(db.put(key, &value).await?),
        Call::PutBytes(key, bytes) => json!(db.put(key, &"x".repeat(bytes)).await?),
        Call::Flood(prefix, bytes, keys) => {
            let value = "x".repeat(bytes);
            for number in 0..keys {
                db.put(format!("{prefix}{number:06}"), &value).await?;
            }
            json!(keys)
        }
        Call::PutBytesAtOnce(prefix, bytes, keys) => {
            let value = "x".repeat(bytes);
            let keys = (0..keys).map(|number| format!("{prefix}{number}"));
            json!(keys.fold(db.transaction(), |all, key| all.put(key, &value)).commit().await?)
        }
        Call::Delete(key) => json!(db.delete(key).await?),
        Call::Increment(key, times) => {
            let mut value = 0;
            for _ in 0..times {
                value = db.update(&key, |n: Option<u64>| n.unwrap_or(0) + 1).await?;
            }
            json!(value)
        }
        Call::IncrementAtOnce(key, times) => {
            let increments = (0..times).map(|_| db.update(&key, |n: Option<u64>| n.unwrap_or(0) + 1));
            json!(futures::future::try_join_all(increments).await?)
        }
        Call::List(prefix, after, limit) => {
            let page = db.list::<Value>(prefix).after(after).limit(limit).await?;
            json!(page.iter().map(|entry| &entry.key).collect::<Vec<_>>())
        }
        Call::Transaction(operations) => {
            let transaction =
                operations.into_iter().fold(db.transaction(), |all, operation| match operation {
                    Operation::Require(key, version) => all.require(key, version),
                    Operation::Put(key, value) => all.put(key, &value),
                    Operation::Delete(key) => all.delete(key),
                });
            json!(transaction.commit().await?)
        }
        Call::Event(name) => ctx.event(name).recv().await?,
        Call::Reversible(call, undo) => {
            let in_handler = ctx.clone();
            ctx.step("reversible", || async { Box::pin(make(ctx, &call)).await })
                .compensate(move |_: Value| {
                    let (ctx, undo) = (in_handler.clone(), undo.clone());
                    async move { Box::pin(make(&ctx, &undo)).await }
                })
                .run()
                .await?
        }
        Call::Fail => Value::Null,
    })
}

fn failure(error: Error) -> Failure {
    error.downcast().unwrap_or_else(|error| Failure::new("error", error))
}

forge::export!(StoreWorkflow);
