//! What one node does for all nodes.

use forge_store::{Nodes as _, Store as _};

use crate::support::{claim_something, commit, connect, database, execute, open, start, text};

#[tokio::test]
async fn the_live_node_with_the_lowest_epoch_leads() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    assert!(a.is_leader().await.unwrap());
    assert!(!b.is_leader().await.unwrap());
    a.close().await;
    assert!(b.is_leader().await.unwrap());
}

#[tokio::test]
async fn a_sweep_deletes_old_requests_and_ended_nodes_that_own_no_unfinished_runs() {
    const LEFT: &str = "SELECT (SELECT string_agg(name, ' ' ORDER BY name) FROM forge_nodes) || ' ' || \
         (SELECT string_agg(ask, ' ') FROM forge_questions)";
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    commit(&a, &[start(1)]).await.unwrap();
    a.close().await;
    let mut other = connect(&url).await;
    execute(
        &mut other,
        "INSERT INTO forge_questions (run_id, owner, ask, asked_at) VALUES \
            (gen_random_uuid(), 1, 'old', now() - INTERVAL '2 minutes'), (gen_random_uuid(), 1, 'new', now())",
    )
    .await;
    b.sweep().await.unwrap();
    assert_eq!(text(&mut other, LEFT).await, "a b new", "a ended just now");
    execute(&mut other, "UPDATE forge_nodes SET ended_at = now() - INTERVAL '2 hours' WHERE name = 'a'")
        .await;
    b.sweep().await.unwrap();
    assert_eq!(text(&mut other, LEFT).await, "a b new", "a owns an unfinished run");
    assert_eq!(claim_something(&b).await, [1]);
    b.sweep().await.unwrap();
    assert_eq!(text(&mut other, LEFT).await, "b new");
}
