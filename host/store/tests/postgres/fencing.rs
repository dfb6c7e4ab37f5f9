//! A node whose epoch has ended cannot write.

use std::sync::Arc;
use std::time::Duration;

use forge_postgres::Server;
use forge_store::{Nodes, Notification, Store as _, StoreError};
use sqlx::Connection as _;
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::support::{
    SOON, claim, claim_something, commit, connect, database, eventually, execute, open, receives, run, start,
    text,
};

/// Ends the epoch of `a`, as another node does when the lease has expired.
const END_A: &str = "WITH dead AS (SELECT epoch FROM forge_nodes WHERE name = 'a' AND ended_at IS NULL FOR UPDATE) \
     UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'lease' FROM dead WHERE node.epoch = dead.epoch";

#[tokio::test]
async fn a_node_that_lost_its_lease_writes_only_in_its_new_epoch() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notifications = a.listen().unwrap();
    let old = a.epoch();
    commit(&a, &[start(1)]).await.unwrap();
    let mut other = connect(&url).await;
    execute(&mut other, END_A).await;

    assert!(matches!(a.commit(old, &[start(2)]).await, Err(StoreError::Fenced)));
    assert!(matches!(claim(&a, old, 10).await, Err(StoreError::Fenced)));
    assert!(matches!(a.acquire(old, &[run(1).id]).await, Err(StoreError::Fenced)));
    assert_eq!(claim_something(&b).await, [1], "its runs are unowned");

    receives(&mut notifications, Notification::Fenced).await;
    assert!(a.epoch() > old);
    commit(&a, &[start(3)]).await.unwrap();
    assert!(matches!(a.commit(old, &[start(4)]).await, Err(StoreError::Fenced)));
    commit(&a, &[start(5)]).await.unwrap();
    assert_eq!(
        text(
            &mut other,
            "SELECT string_agg(right(id::TEXT, 1) || ':' || owner, ' ' ORDER BY id) FROM forge_runs"
        )
        .await,
        format!("1:{} 3:{new} 5:{new}", b.epoch(), new = a.epoch()),
    );
}

#[tokio::test]
async fn a_node_that_cannot_renew_its_lease_knows_before_others_take_its_runs() {
    let url = database();
    let proxy = Proxy::before(Server::shared().unwrap().port()).await;
    let a = open(&proxy.url(&url), "a").await;
    let mut notifications = a.listen().unwrap();
    let epoch = a.epoch();
    a.await_lease(epoch).await.unwrap();
    let runs_out = async || {
        while a.holds_lease(epoch) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    proxy.hold_all();
    timeout(SOON, runs_out()).await.unwrap();
    let mut other = connect(&url).await;
    let expired = "SELECT (lease_until < clock_timestamp())::TEXT FROM forge_nodes";
    assert_eq!(text(&mut other, expired).await, "false", "others still respect the lease");
    // Nobody ends the epoch: the node acts again after the next renewal.
    proxy.release();
    timeout(SOON, a.await_lease(epoch)).await.unwrap().unwrap();

    proxy.hold_all();
    timeout(SOON, runs_out()).await.unwrap();
    execute(&mut other, END_A).await;
    proxy.release();
    let lost = timeout(SOON, a.await_lease(epoch)).await.unwrap();
    assert!(matches!(lost, Err(StoreError::Fenced)), "{lost:?}");
    receives(&mut notifications, Notification::Fenced).await;
    assert!(!a.holds_lease(epoch) && a.holds_lease(a.epoch()));
}

#[tokio::test]
async fn the_runs_of_a_killed_node_are_claimed_when_its_lease_has_expired() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notifications = b.listen().unwrap();
    commit(&a, &[start(1)]).await.unwrap();
    assert_eq!(claim(&b, b.epoch(), 10).await.unwrap(), []);
    drop(a);
    receives(&mut notifications, Notification::Unowned).await;
    assert_eq!(claim_something(&b).await, [1]);
    let nodes = Nodes::list(&b).await.unwrap();
    let shown: Vec<_> = nodes.iter().map(|node| (&*node.name, node.here, node.ended_at.is_some())).collect();
    assert_eq!(shown, [("a", false, true), ("b", true, false)]);
}

#[tokio::test]
async fn a_batch_that_is_being_committed_delays_the_end_of_its_epoch() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    commit(&a, &[start(1)]).await.unwrap();
    let mut batch = connect(&url).await;
    let mut batch = batch.begin().await.unwrap();
    // The lock that a batch takes first.
    execute(&mut batch, "SELECT FROM forge_nodes WHERE name = 'a' AND ended_at IS NULL FOR KEY SHARE").await;
    drop(a);

    let mut other = connect(&url).await;
    // Two renewals of `b` after the lease of `a`.
    for _ in 0..2 {
        execute(
            &mut other,
            "CREATE TEMPORARY TABLE IF NOT EXISTS seen (lease_until TIMESTAMPTZ); DELETE FROM seen; \
             INSERT INTO seen SELECT lease_until FROM forge_nodes WHERE name = 'b'",
        )
        .await;
        eventually(
            &mut other,
            "SELECT (b.lease_until > seen.lease_until AND a.lease_until < clock_timestamp())::TEXT \
             FROM forge_nodes a, forge_nodes b, seen WHERE a.name = 'a' AND b.name = 'b'",
            "true",
        )
        .await;
    }
    assert_eq!(claim(&b, b.epoch(), 10).await.unwrap(), []);
    batch.commit().await.unwrap();
    assert_eq!(claim_something(&b).await, [1]);
}

#[tokio::test]
async fn a_batch_that_is_committed_while_its_epoch_ends_is_fenced() {
    let url = database();
    let a = Arc::new(open(&url, "a").await);
    let epoch = a.epoch();
    commit(&a, &[start(1)]).await.unwrap();
    let mut ending = connect(&url).await;
    let mut ending = ending.begin().await.unwrap();
    execute(&mut ending, END_A).await;
    let late = Arc::clone(&a);
    let late = tokio::spawn(async move { late.commit(epoch, &[start(2)]).await });
    let mut other = connect(&url).await;
    let waiting = "SELECT count(*)::TEXT FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND datname = current_database() AND query LIKE 'WITH fence%'";
    eventually(&mut other, waiting, "1").await;
    ending.commit().await.unwrap();
    assert!(matches!(late.await.unwrap(), Err(StoreError::Fenced)));
    assert_eq!(a.run(run(2).id).await.unwrap(), None);
}

#[tokio::test]
async fn a_process_with_the_same_name_replaces_the_one_before() {
    let url = database();
    let before = open(&url, "a").await;
    let mut notifications = before.listen().unwrap();
    commit(&before, &[start(1)]).await.unwrap();
    let after = open(&url, "a").await;
    assert_eq!(claim(&after, after.epoch(), 10).await.unwrap(), [1], "its runs are unowned at once");
    receives(&mut notifications, Notification::Replaced).await;
    assert!(matches!(commit(&before, &[start(2)]).await, Err(StoreError::Fenced)));
    commit(&after, &[start(3)]).await.unwrap();
}

#[tokio::test]
async fn the_runs_of_a_node_that_stops_are_unowned_at_once() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notifications = b.listen().unwrap();
    commit(&a, &[start(1)]).await.unwrap();
    a.close().await;
    receives(&mut notifications, Notification::Unowned).await;
    assert_eq!(claim(&b, b.epoch(), 10).await.unwrap(), [1]);
}
