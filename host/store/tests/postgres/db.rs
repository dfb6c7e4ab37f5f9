//! The tenants' store on several nodes.

use forge_journal::Document;
use forge_journal::db::{Limits, Operation, Transaction};
use forge_journal::{TenantId, Timestamp};
use forge_store::{Store, Write, Written};
use futures::future::join_all;

use crate::support::{database, open};

const LIMITS: Limits =
    Limits { key_bytes: 512, value_bytes: 1 << 20, operations: 64, entries: 1_000, bytes: 1 << 20 };

/// Adds one to a number of each tenant, in one batch, and tries again those that another node was faster with.
async fn increment(store: &dyn Store, tenants: &[&str]) {
    let mut left: Vec<&str> = tenants.to_vec();
    while !left.is_empty() {
        let mut batch = Vec::new();
        for tenant in &left {
            let entry = store.db_entry(tenant, "n").await.unwrap();
            let (version, number) = entry
                .map_or((None, 0), |entry| (Some(entry.version), entry.value.text().parse::<u64>().unwrap()));
            let operations = vec![
                Operation::Require { key: "n".to_owned(), version },
                Operation::Put { key: "n".to_owned(), value: Document::of(&(number + 1)).unwrap() },
            ];
            let tenant = TenantId::from(*tenant);
            let at = Timestamp(1);
            batch.push(Write::Transaction(Box::new(Transaction { tenant, operations, limits: LIMITS, at })));
        }
        let written = store.commit(store.epoch(), &batch).await.unwrap().written;
        let conflicts = left.iter().zip(&written);
        left = conflicts
            .filter(|(_, written)| matches!(written, Written::Transacted(Err(_))))
            .map(|(tenant, _)| *tenant)
            .collect();
    }
}

#[tokio::test]
async fn nodes_that_change_the_same_keys_lose_no_change_and_do_not_deadlock() {
    const INCREMENTS: usize = 30;
    let url = database();
    let stores = join_all(["a", "b", "c"].map(|node| open(&url, node))).await;
    // Each node names the tenants in another order.
    let orders = [["acme", "umbrella", "zeta"], ["zeta", "acme", "umbrella"], ["umbrella", "zeta", "acme"]];
    join_all(stores.iter().zip(orders).map(async |(store, order)| {
        for _ in 0..INCREMENTS {
            increment(store, &order).await;
        }
    }))
    .await;
    for tenant in orders[0] {
        let entry = stores[0].db_entry(tenant, "n").await.unwrap().unwrap();
        assert_eq!(entry.value.text().as_ref(), (3 * INCREMENTS).to_string());
        assert_eq!(entry.version, 3 * INCREMENTS as u64, "a conflict has no version");
    }
}
