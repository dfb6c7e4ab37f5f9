//! The stock, in the tenant's store.
//!
//! | key | value |
//! |---|---|
//! | `stock/SKU` | the number of units that nobody has ordered |
//! | `reserved/ORDER` | the [`Units`] of an order that is not shipped |
//! | `shipped/ORDER` | the [`Units`] of an order that is shipped |
//!
//! Each change is one transaction that moves units from one key to another. So the number of all units stays
//! the same at every moment, also when the host crashes.

use forge::db::Transaction;
use forge::prelude::*;
use serde::{Deserialize, Serialize};

/// Units of an article.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// The stock keeping unit.
    pub sku: String,
    /// The number of units.
    pub quantity: u64,
}

/// Moves units from the stock to an order. Fails if there are too few.
pub async fn reserve(db: &Db, order: &str, units: Units) -> Result<Units> {
    let stock = format!("stock/{}", units.sku);
    loop {
        let entry = db.get_entry::<u64>(&stock).await?;
        let left = entry.as_ref().and_then(|entry| entry.value.checked_sub(units.quantity));
        let (Some(entry), Some(left)) = (entry, left) else {
            let message = format!("there are fewer than {} units of {}", units.quantity, units.sku);
            return Err(Failure::new("sold-out", message).not_retryable().into());
        };
        let change = db.transaction().require(&stock, entry.version).put(&stock, &left);
        if is_committed(change.put(reserved(order), &units)).await? {
            return Ok(units);
        }
    }
}

/// Moves the units of an order back to the stock. Does nothing if the order has none.
pub async fn give_back(db: &Db, order: &str) -> Result<()> {
    while let Some(reservation) = db.get_entry::<Units>(reserved(order)).await? {
        let stock = format!("stock/{}", reservation.value.sku);
        let entry = db.get_entry::<u64>(&stock).await?;
        let (version, left) = entry.map_or((None, 0), |entry| (Some(entry.version), entry.value));
        let change = db.transaction().require(&stock, version).require(reserved(order), reservation.version);
        let change = change.put(&stock, &(left + reservation.value.quantity)).delete(reserved(order));
        if is_committed(change).await? {
            break;
        }
    }
    Ok(())
}

/// Ships the reserved units of an order.
pub async fn ship(db: &Db, order: &str) -> Result<Units> {
    let reservation = db.get_entry::<Units>(reserved(order)).await?;
    let reservation = reservation.with_context(|| format!("nothing is reserved for order {order}"))?;
    let change = db.transaction().require(reserved(order), reservation.version).delete(reserved(order));
    change.put(shipped(order), &reservation.value).commit().await?;
    Ok(reservation.value)
}

/// Reserves the shipped units of an order again. Does nothing if the order is not shipped.
pub async fn recall(db: &Db, order: &str) -> Result<()> {
    let Some(shipment) = db.get_entry::<Units>(shipped(order)).await? else { return Ok(()) };
    let change = db.transaction().require(shipped(order), shipment.version).delete(shipped(order));
    change.put(reserved(order), &shipment.value).commit().await.map(drop)
}

fn reserved(order: &str) -> String {
    format!("reserved/{order}")
}

fn shipped(order: &str) -> String {
    format!("shipped/{order}")
}

/// Commits a transaction. `false`: another run has changed what it requires, and nothing has happened.
async fn is_committed(transaction: Transaction) -> Result<bool> {
    match transaction.commit().await {
        Err(error) if error.downcast_ref().is_some_and(Failure::is_conflict) => Ok(false),
        committed => committed.map(|_| true),
    }
}
