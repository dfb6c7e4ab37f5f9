//! The tenant's store: `ctx.db()` of the specification.

mod list;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod testing;
mod transaction;

/// The interface `db` of the host.
#[cfg(target_arch = "wasm32")]
use crate::bindings::forge::workflow::db as host;
#[cfg(not(target_arch = "wasm32"))]
use testing::host;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::forge::workflow::db::Entry as WireEntry;
use crate::call;
use crate::error::{Error, Failure, Result, short_type_name};

pub use list::{After, List};
pub use transaction::Transaction;

/// The tenant's durable store: JSON documents under keys, which all runs of the tenant share.
///
/// A change is committed together with its call in the run's journal, so it happens exactly once, also if the host
/// crashes. Reads are journaled: a replay gets what was read then.
///
/// ```
/// use forge::prelude::*;
///
/// #[forge::workflow]
/// async fn sign_up(ctx: &WorkflowContext, name: String) -> Result<u64> {
///     let db = ctx.db();
///     let key = format!("users/{name}");
///     if db.get::<String>(&key).await?.is_some() {
///         bail!("{name} has signed up before");
///     }
///     db.put(&key, &ctx.run_id).await?;
///     db.update("counters/users", |n: Option<u64>| n.unwrap_or(0) + 1).await
/// }
/// # let run = forge::testing::TestRun::new(SignUpWorkflow).db_entry("counters/users", 6).run("ada");
/// # assert_eq!(run.output(), &7);
/// # assert_eq!(run.db["counters/users"], 7);
/// ```
///
/// # Keys and versions
///
/// A key is text without control characters, at most 512 bytes by default; `/` is a character like others. Each entry has
/// a version. The version of a key only grows, also if the key is deleted and put again.
///
/// # Rollbacks
///
/// A rollback does not undo changes of the store, as it does not undo requests. To undo one, make it in a step with a
/// compensation.
///
/// # Errors
///
/// Each method returns a [`Failure`]. Kind `invalid-input` is a key or value that cannot be stored. Kind `limit` names the limit
/// of the tenant that was reached. Kind `conflict` is a requirement of a transaction that was not met:
/// [`Failure::is_conflict`]. Kind `invalid-output` is a value that does not deserialise as the expected type.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Db {}

/// An entry of the tenant's store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry<T> {
    /// The key.
    pub key: String,
    /// The version.
    pub version: u64,
    /// The value.
    pub value: T,
}

impl Db {
    /// Returns the value of a key. `None`: the key does not exist.
    pub async fn get<T: DeserializeOwned>(&self, key: impl AsRef<str>) -> Result<Option<T>> {
        Ok(self.get_entry(key).await?.map(|entry| entry.value))
    }

    /// Returns the entry of a key: its value, and the version for [`Transaction::require`].
    pub async fn get_entry<T: DeserializeOwned>(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        got(call::perform(|scope| host::get(scope, key.as_ref())).await)
    }

    /// Stores a value under a key, and returns the new version.
    pub async fn put<T: Serialize + ?Sized>(&self, key: impl Into<String>, value: &T) -> Result<u64> {
        let versions = self.transaction().put(key, value).commit().await?;
        Ok(versions.first().copied().unwrap_or_default())
    }

    /// Deletes a key. It may not exist.
    pub async fn delete(&self, key: impl Into<String>) -> Result<()> {
        self.transaction().delete(key).commit().await.map(drop)
    }

    /// Changes the value of a key with a function of the present value, and returns the new value. `None`: the key does not
    /// exist.
    ///
    /// If another run changes the key meanwhile, the function is called again with the new value. Each try is in the journal.
    /// Runs of one node that update a key take turns.
    pub async fn update<T, F>(&self, key: impl Into<String>, mut change: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> T,
    {
        self.try_update(key, |value| Ok(change(value))).await
    }

    /// The same as [`update`](Self::update), with a function that can fail. Then nothing is changed.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// async fn take(db: &Db, sku: &str, count: u64) -> Result<u64> {
    ///     db.try_update(format!("stock/{sku}"), |left: Option<u64>| {
    ///         left.and_then(|left| left.checked_sub(count)).context("sold out")
    ///     })
    ///     .await
    /// }
    /// # #[forge::workflow]
    /// # async fn order(ctx: &WorkflowContext, count: u64) -> Result<u64> {
    /// #     take(ctx.db(), "tea", count).await
    /// # }
    /// # let order = || forge::testing::TestRun::new(OrderWorkflow).db_entry("stock/tea", 3);
    /// # assert_eq!(order().run(2).output(), &1);
    /// # assert_eq!(order().run(4).failure().message, "sold out");
    /// ```
    pub async fn try_update<T, F>(&self, key: impl Into<String>, mut change: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<T>,
    {
        let key = key.into();
        loop {
            let entry = got(call::perform(|scope| host::get_for_update(scope, &key)).await)?;
            let version = entry.as_ref().map(|entry| entry.version);
            let value = change(entry.map(|entry| entry.value))?;
            match self.transaction().require(&key, version).put(&key, &value).commit().await {
                Ok(_) => return Ok(value),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns a list of entries whose keys begin with `prefix`, in the order of their keys.
    ///
    /// ```
    /// # use forge::prelude::*;
    /// # #[forge::workflow]
    /// # async fn sweep(ctx: &WorkflowContext, _input: ()) -> Result<usize> {
    /// let mut count = 0;
    /// let mut last = None;
    /// loop {
    ///     let page = ctx.db().list::<String>("tokens/").after(last).limit(100).await?;
    ///     let Some(entry) = page.last() else { break };
    ///     last = Some(entry.key.clone());
    ///     count += page.len();
    /// }
    /// # Ok(count)
    /// # }
    /// # let run = forge::testing::TestRun::new(SweepWorkflow).db_entry("tokens/a", "1").db_entry("tokens/b", "2");
    /// # assert_eq!(run.db_entry("token", "3").run(()).output(), &2);
    /// ```
    pub fn list<T: DeserializeOwned>(&self, prefix: impl Into<String>) -> List<T> {
        List::new(prefix.into())
    }

    /// Returns a transaction without operations.
    pub fn transaction(&self) -> Transaction {
        Transaction::default()
    }
}

impl<T: DeserializeOwned> Entry<T> {
    fn read(entry: WireEntry) -> Result<Self> {
        let WireEntry { key, version, value } = entry;
        let value = serde_json::from_str(&value).map_err(|error| {
            let expected = short_type_name::<T>();
            Error::new(Failure::invalid_output(format!("the value of `{key}` is no {expected}: {error}")))
        })?;
        Ok(Entry { key, version, value })
    }
}

/// Returns the entry that a call has read.
fn got<T: DeserializeOwned>(call: u64) -> Result<Option<Entry<T>>> {
    host::got(call).map_err(failed)?.map(Entry::read).transpose()
}

fn failed(failure: crate::bindings::Failure) -> Error {
    Error::new(Failure::from(failure))
}

fn is_conflict(error: &Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(Failure::is_conflict)
}
