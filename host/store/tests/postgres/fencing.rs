//! A node that was declared dead writes nothing more.

use std::sync::Arc;

use forge_store::{Nodes, Notification, Store as _, StoreError};
use sqlx::Connection as _;

use crate::support::{
    claim, claim_something, commit, connect, database, eventually, execute, hears, open, run, start, text,
};

/// As another node does when the lease of `a` is over.
const END_A: &str = "WITH dead AS (SELECT epoch FROM forge_nodes WHERE name = 'a' AND ended_at IS NULL FOR UPDATE) \
     UPDATE forge_nodes node SET ended_at = clock_timestamp(), ended_why = 'lease' FROM dead WHERE node.epoch = dead.epoch";

#[tokio::test]
async fn a_node_that_lost_its_lease_writes_only_in_its_new_epoch() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notices = a.listen().unwrap();
    let old = a.epoch();
    commit(&a, &[start(1)]).await.unwrap();
    let mut other = connect(&url).await;
    execute(&mut other, END_A).await;

    assert!(matches!(a.commit(old, &[start(2)]).await, Err(StoreError::Fenced)));
    assert!(matches!(claim(&a, old, 10).await, Err(StoreError::Fenced)));
    assert!(matches!(a.acquire(old, &[run(1).id]).await, Err(StoreError::Fenced)));
    assert_eq!(claim_something(&b).await, [1], "what it had is others'");

    hears(&mut notices, Notification::Fenced).await;
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
async fn a_node_that_died_without_a_word_is_found_when_its_lease_is_over() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notices = b.listen().unwrap();
    commit(&a, &[start(1)]).await.unwrap();
    assert_eq!(claim(&b, b.epoch(), 10).await.unwrap(), []);
    drop(a);
    hears(&mut notices, Notification::Unowned).await;
    assert_eq!(claim_something(&b).await, [1]);
    let nodes = Nodes::list(&b).await.unwrap();
    let shown: Vec<_> = nodes.iter().map(|node| (&*node.name, node.here, node.ended_at.is_some())).collect();
    assert_eq!(shown, [("a", false, true), ("b", true, false)]);
}

#[tokio::test]
async fn a_batch_under_way_delays_the_take_over() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    commit(&a, &[start(1)]).await.unwrap();
    let mut batch = connect(&url).await;
    let mut batch = batch.begin().await.unwrap();
    // What a batch does first.
    execute(&mut batch, "SELECT FROM forge_nodes WHERE name = 'a' AND ended_at IS NULL FOR KEY SHARE").await;
    drop(a);

    let mut other = connect(&url).await;
    // Two beats of `b` after the lease of `a`.
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
async fn a_batch_that_comes_while_its_epoch_ends_is_fenced() {
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
    let mut notices = before.listen().unwrap();
    commit(&before, &[start(1)]).await.unwrap();
    let after = open(&url, "a").await;
    assert_eq!(claim(&after, after.epoch(), 10).await.unwrap(), [1], "its runs are free at once");
    hears(&mut notices, Notification::Replaced).await;
    assert!(matches!(commit(&before, &[start(2)]).await, Err(StoreError::Fenced)));
    commit(&after, &[start(3)]).await.unwrap();
}

#[tokio::test]
async fn a_node_that_stops_leaves_its_runs_at_once() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notices = b.listen().unwrap();
    commit(&a, &[start(1)]).await.unwrap();
    a.close().await;
    hears(&mut notices, Notification::Unowned).await;
    assert_eq!(claim(&b, b.epoch(), 10).await.unwrap(), [1]);
}
