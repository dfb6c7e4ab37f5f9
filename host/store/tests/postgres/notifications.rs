//! Notifications between nodes.

use bytes::Bytes;
use forge_journal::Timestamp;
use forge_store::{Nodes, Notification, Store as _, VersionConflict, VersionRow};

use crate::support::{commit, connect, database, execute, insert_unowned, open, receives, run};

#[tokio::test]
async fn other_nodes_receive_a_notification() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notifications = b.listen().unwrap();
    assert!(b.listen().is_none(), "there is one listener");
    for sent in [Notification::Awaited(run(1).id), Notification::AtRest(run(2).id), Notification::Unowned] {
        a.notify(sent.clone()).await.unwrap();
        receives(&mut notifications, sent).await;
    }
    commit(&a, &[insert_unowned(1)]).await.unwrap();
    receives(&mut notifications, Notification::Unowned).await;

    let version = VersionRow {
        tenant: "default".to_owned(),
        workflow: "payment".to_owned(),
        version: 1,
        digest: "d".to_owned(),
        timeout_ms: 1,
        deprecated: false,
        active: false,
        created_at: Timestamp(1),
        input_schema: None,
    };
    let component = Some(Bytes::from_static(b"component"));
    a.register("d", component, &[version], &[], VersionConflict::Keep).await.unwrap();
    receives(&mut notifications, Notification::DirectoryChanged).await;
    assert!(a.activate("default", "payment", 1).await.unwrap());
    receives(&mut notifications, Notification::DirectoryChanged).await;
    assert!(a.deprecate("default", "payment", 1).await.unwrap());
    receives(&mut notifications, Notification::DirectoryChanged).await;
}

#[tokio::test]
async fn a_node_ignores_its_own_and_unknown_notifications() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let mut notifications = a.listen().unwrap();
    a.notify(Notification::Awaited(run(1).id)).await.unwrap();
    a.notify(Notification::Fenced).await.unwrap();
    let mut other = connect(&url).await;
    execute(&mut other, "SELECT pg_notify('forge_' || 'public'::regnamespace::oid, '7 from-the-future 1')")
        .await;
    b.notify(Notification::AtRest(run(2).id)).await.unwrap();
    assert_eq!(notifications.recv().await, Some(Notification::AtRest(run(2).id)));
}

#[tokio::test]
async fn nodes_are_listed_with_their_unfinished_runs() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    commit(&b, &[crate::support::start(1), crate::support::start(2), insert_unowned(3)]).await.unwrap();
    b.close().await;
    let nodes = Nodes::list(&a).await.unwrap();
    let shown: Vec<_> =
        nodes.iter().map(|node| (&*node.name, node.runs, node.here, node.ended_at.is_some())).collect();
    assert_eq!(shown, [("a", 0, true, false), ("b", 2, false, true)]);
    assert!(nodes[0].lease_until > nodes[0].started_at);
    assert_eq!(nodes[0].epoch, a.epoch());
    a.claim(a.epoch(), Timestamp::MAX, 10).await.unwrap();
    assert_eq!(Nodes::list(&a).await.unwrap()[1].runs, 0, "a node that ended is listed for a while");
}
