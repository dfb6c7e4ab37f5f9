//! Transactions.

use serde::Serialize;

use super::{failed, host};
use crate::bindings::forge::workflow::db::Operation;
use crate::call;
use crate::error::{Error, Failure, Result};

/// A transaction of the tenant's store: all of its operations happen, or none.
///
/// ```
/// use forge::prelude::*;
///
/// async fn sell(db: &Db, sku: &str, buyer: &str) -> Result<bool> {
///     let stock = format!("stock/{sku}");
///     let Some(entry) = db.get_entry::<u64>(&stock).await?.filter(|entry| entry.value > 0) else {
///         return Ok(false);
///     };
///     let sold = db
///         .transaction()
///         .require(&stock, entry.version)
///         .put(&stock, &(entry.value - 1))
///         .delete(format!("cart/{buyer}"))
///         .commit()
///         .await;
///     match sold {
///         Err(error) if error.downcast_ref::<Failure>().is_some_and(Failure::is_conflict) => Ok(false),
///         sold => sold.map(|_| true),
///     }
/// }
/// # #[forge::workflow]
/// # async fn order(ctx: &WorkflowContext, _input: ()) -> Result<bool> {
/// #     sell(ctx.db(), "tea", "ada").await
/// # }
/// # let run = forge::testing::TestRun::new(OrderWorkflow).db_entry("stock/tea", 1).db_entry("cart/ada", "tea").run(());
/// # assert_eq!(run.output(), &true);
/// # assert_eq!(run.db, std::collections::BTreeMap::from([("stock/tea".to_owned(), json!(0))]));
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing happens until `.commit().await`"]
pub struct Transaction {
    operations: Vec<Operation>,
    /// The first error.
    error: Option<Failure>,
}

impl Transaction {
    /// Fails the transaction with kind `conflict` unless the key has this version; `None`: unless the key does not exist.
    /// Requirements are about the store before the transaction.
    pub fn require(mut self, key: impl Into<String>, version: impl Into<Option<u64>>) -> Self {
        self.operations.push(Operation::Require((key.into(), version.into())));
        self
    }

    /// Stores a value under a key.
    pub fn put<T: Serialize + ?Sized>(mut self, key: impl Into<String>, value: &T) -> Self {
        let key = key.into();
        match serde_json::to_string(value) {
            Ok(value) => self.operations.push(Operation::Put((key, value))),
            Err(error) => {
                let message = format!("the value of `{key}` has no JSON form: {error}");
                let failure = Failure::new(Failure::INVALID_INPUT, message).not_retryable();
                self.error.get_or_insert(failure);
            }
        }
        self
    }

    /// Deletes a key. It may not exist.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.operations.push(Operation::Delete(key.into()));
        self
    }

    /// Performs the operations. Returns the version of the entry after each `put`, and 0 for other operations.
    ///
    /// # Errors
    /// See [`Db`](super::Db#errors). Nothing was changed.
    pub async fn commit(self) -> Result<Vec<u64>> {
        if let Some(failure) = self.error {
            return Err(Error::new(failure));
        }
        let call = call::perform(|scope| host::commit(scope, &self.operations)).await;
        host::committed(call).map_err(failed)
    }
}
