//! The tenant's store.

use std::sync::Arc;

use forge_clock as clock;
use forge_journal::db::{self, List, Transaction};
use forge_journal::{EffectKind, Failure, Operation, Row, kind};
use forge_sandbox::Stop;
use forge_sandbox::imports::db::{COMMIT, GET, LIST};
use forge_store::{DbFilter, DbPage, StoreError};
use futures::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Beginning, Begun, Doubt, Effect, Ended};

/// The most entries of a list. More are read in further calls.
const MOST_LISTED: u32 = 1_000;

/// `ctx.db().get()`: reads an entry. Nothing of it needs a commit.
pub(super) struct Get;

impl Effect for Get {
    fn kind(&self) -> EffectKind {
        GET
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        let db::Get { key, for_update } = input(beginning.row)?;
        let reader = beginning.db.clone();
        let read = async move {
            if for_update {
                reader.take_turn(&key).await;
            }
            ended(reader.entry(&key).await)
        };
        Ok(Some(Begun::AtOnce(read.boxed())))
    }
}

/// `ctx.db().list()`: reads entries.
pub(super) struct Entries;

impl Effect for Entries {
    fn kind(&self) -> EffectKind {
        LIST
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        let List { prefix, after, limit } = input(beginning.row)?;
        // The journal keeps the result.
        let bytes = beginning.tenant.limits().payload_bytes;
        let filter = DbFilter { prefix, after, limit: limit.min(MOST_LISTED), bytes };
        let reader = beginning.db.clone();
        let read = async move {
            let page = reader.entries(&filter).await;
            ended(page.map(|DbPage { entries, .. }| entries))
        };
        Ok(Some(Begun::AtOnce(read.boxed())))
    }
}

/// `ctx.db().transaction()`, and what is made of it: a transaction that the store performs in the commit that records the call.
pub(super) struct Commit;

impl Effect for Commit {
    fn kind(&self) -> EffectKind {
        COMMIT
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn unsettled(&self, row: &Row, was_interrupted: bool) -> Option<Doubt> {
        // If the code of the step has seen the outcome, what stands is what the workflow wants.
        if !was_interrupted || row.failure.is_some() || !changes_anything(row) {
            return None;
        }
        let what = format!("the transaction `{}` is committed, and its step did not complete", row.name);
        Some(Doubt { what, if_sent_before: false })
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        let operations: Vec<db::Operation> = input(beginning.row)?;
        let tenant = beginning.tenant;
        let transaction = Transaction {
            tenant: Arc::clone(&tenant.name),
            operations,
            limits: tenant.limits().db(),
            at: clock::now(),
        };
        tenant.account.transacted(&transaction);
        Ok(Some(Begun::InCommit(Operation::Transaction(transaction))))
    }
}

/// Returns whether a transaction has operations other than requirements.
fn changes_anything(row: &Row) -> bool {
    let operations = row.input.as_deref().map(db::decode::<Vec<db::Operation>>).and_then(Result::ok);
    let is_change = |operation: &db::Operation| !matches!(operation, db::Operation::Require { .. });
    operations.is_none_or(|operations| operations.iter().any(is_change))
}

fn input<T: DeserializeOwned>(row: &Row) -> Result<T, Stop> {
    let input = row.input.as_deref().unwrap_or_default();
    db::decode(input).map_err(|why| Stop::corrupt(format_args!("call {}: {why}", row.seq)))
}

/// Returns how a read ends. An entry that cannot be read fails the call: trying again would find the same.
fn ended(read: Result<impl Serialize, StoreError>) -> Result<Ended, StoreError> {
    let outcome = match read {
        Ok(found) => db::encode(&found).map(|document| Some(document.into())),
        Err(error @ StoreError::Corrupt { .. }) => Err(error.to_string()),
        Err(error) => return Err(error),
    };
    Ok(Ended::Outcome(outcome.map_err(|why| Failure::permanent(kind::ERROR, why))))
}
