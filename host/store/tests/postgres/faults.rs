//! Servers that stop, hang and lose connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forge_journal::Timestamp;
use forge_postgres::{Server, Shutdown};
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::{Nodes as _, Notification, Store as _, StoreError, Write};

use crate::proxy::Proxy;
use crate::support::{
    SOON, commit, connect, database, eventually, execute, open, options, receives, run, save, start, text,
};

/// The time limit of statements.
const LIMIT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_when_the_server_crashes() {
    let server = Arc::new(Server::start(&[]).unwrap());
    let url = server.create_database().unwrap();
    // A lease that does not expire during the restarts.
    let lease = Duration::from_secs(30);
    let store =
        PostgresStore::open(&PostgresOptions { lease, ..PostgresOptions::new(&url, "a") }).await.unwrap();
    let mut notifications = store.listen().unwrap();
    let epoch = store.epoch();
    let crashing = {
        let server = Arc::clone(&server);
        std::thread::spawn(move || {
            for _ in 0..3 {
                server.restart(Shutdown::Immediate).unwrap();
            }
        })
    };
    let (mut acknowledged, mut failed, mut number) = (Vec::new(), 0, 0);
    while !crashing.is_finished() || failed == 0 {
        number += 1;
        match commit(&store, &[start(number)]).await {
            Ok(_) => acknowledged.push(number),
            Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    crashing.join().unwrap();
    receives(&mut notifications, Notification::Reconnected).await;
    commit(&store, &[start(number + 1)]).await.unwrap();
    for number in &acknowledged {
        assert!(store.run(run(*number).id).await.unwrap().is_some(), "run {number} was acknowledged");
    }
    assert_eq!(store.epoch(), epoch, "leases do not expire because the server was down");
    let due = store.due(epoch, None, Timestamp::MAX, u32::MAX).await.unwrap();
    assert!(due.len() > acknowledged.len());
}

#[tokio::test]
async fn a_server_that_hangs_is_not_available_and_is_again() {
    let proxy = Proxy::before(Server::shared().unwrap().port()).await;
    let limited = PostgresOptions { timeout: LIMIT, ..PostgresOptions::new(proxy.url(&database()), "a") };
    let store = PostgresStore::open(&limited).await.unwrap();
    let mut notifications = store.listen().unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    proxy.hold_all();
    let began = Instant::now();
    let late = [start(2)];
    let (written, read) = tokio::join!(commit(&store, &late), store.run(run(1).id));
    assert!(
        matches!(written, Err(StoreError::OutcomeUnknown(why)) if why.contains("has not answered for 1s"))
    );
    assert!(matches!(read, Err(StoreError::Unavailable(_))));
    assert!(matches!(PostgresStore::open(&limited).await, Err(StoreError::CannotOpen { .. })));
    assert!(began.elapsed() < 5 * LIMIT);
    proxy.release();
    receives(&mut notifications, Notification::Reconnected).await;
    commit(&store, &[start(3)]).await.unwrap();
    assert!(store.run(run(1).id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_batch_that_was_given_up_is_not_written_after_later_ones() {
    let url = database();
    let proxy = Proxy::before(Server::shared().unwrap().port()).await;
    let limited = PostgresOptions { timeout: LIMIT, ..PostgresOptions::new(proxy.url(&url), "a") };
    let store = PostgresStore::open(&limited).await.unwrap();
    commit(&store, &[save(1, "1")]).await.unwrap();
    let mut other = connect(&url).await;
    execute(
        &mut other,
        "CREATE TEMPORARY TABLE early AS SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'WITH fence%' AND pid <> pg_backend_pid()",
    )
    .await;
    assert_eq!(text(&mut other, "SELECT count(*)::TEXT FROM early").await, "1");
    proxy.hold_these();
    // The batch is on its way to the server, and arrives at the end of the test.
    assert!(matches!(commit(&store, &[save(1, "2"), start(2)]).await, Err(StoreError::OutcomeUnknown(_))));
    let loaded = store.load(&[run(1).id, run(2).id]).await.unwrap();
    let outputs: Vec<_> =
        loaded.into_iter().map(|loaded| loaded.unwrap().and_then(|loaded| loaded.run.output)).collect();
    assert_eq!(outputs, [Some("1".into()), None]);
    proxy.release();
    // The session of the early connection ends when the server has read the batch.
    eventually(&mut other, "SELECT count(*)::TEXT FROM pg_stat_activity JOIN early USING (pid)", "0").await;
    commit(&store, &[start(3)]).await.unwrap();
    assert_eq!(
        store.run(run(1).id).await.unwrap().unwrap().output,
        Some("1".into()),
        "the run is as it was read"
    );
    assert_eq!(store.run(run(2).id).await.unwrap(), None);
}

#[tokio::test]
async fn a_batch_is_too_late_for_a_connection_that_was_replaced() {
    // The same without a network: the number that fences off the late batch.
    let url = database();
    let store = open(&url, "a").await;
    commit(&store, &[start(1)]).await.unwrap();
    let mut other = connect(&url).await;
    execute(&mut other, "UPDATE forge_nodes SET writer = writer + 1").await;
    assert!(matches!(commit(&store, &[start(2)]).await, Err(StoreError::Fenced)));
    assert_eq!(store.run(run(2).id).await.unwrap(), None);
    commit(&store, &[start(3)]).await.unwrap();
}

#[tokio::test]
async fn reads_go_on_when_the_server_was_restarted_while_nobody_read() {
    let server = Server::start(&[]).unwrap();
    let url = server.create_database().unwrap();
    let store = PostgresStore::open(&options(&url, "a")).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    let ids = [run(1).id];
    let (one, two, three) = tokio::join!(store.load(&ids), store.load(&ids), store.load(&ids));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    server.restart(Shutdown::Fast).unwrap();
    for _ in 0..4 {
        assert!(store.run(run(1).id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_batch_of_more_than_a_statement_holds_is_written_as_one() {
    let store = open(&database(), "a").await;
    let document: std::sync::Arc<str> = format!("\"{}\"", "x".repeat(40 << 20)).into();
    let large = |number| {
        Write::Start(Box::new(forge_journal::Run { input: std::sync::Arc::clone(&document), ..run(number) }))
    };
    let batch: Vec<Write> = (1..=3).map(large).collect();
    tokio::time::timeout(3 * SOON, commit(&store, &batch)).await.unwrap().unwrap();
    assert_eq!(store.run(run(3).id).await.unwrap().unwrap().input, document);
}

#[tokio::test]
async fn a_caller_that_goes_away_costs_no_connection() {
    const SESSIONS: &str = "SELECT sessions::TEXT FROM pg_stat_database WHERE datname = current_database()";
    let url = database();
    let store = open(&url, "a").await;
    commit(&store, &[start(1)]).await.unwrap();
    let mut other = connect(&url).await;
    let ids = [run(1).id];
    for _ in 0..200 {
        let mut load = std::pin::pin!(store.load(&ids));
        // The caller goes away.
        let asked = tokio::time::timeout(Duration::from_micros(300), &mut load).await;
        drop(asked);
    }
    assert!(store.load(&ids).await.unwrap()[0].is_ok());
    let sessions: u32 = text(&mut other, SESSIONS).await.parse().unwrap();
    assert!(sessions < 50, "{sessions} connections were made");
}
