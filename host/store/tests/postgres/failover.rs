//! Servers that are not the primary: standbys that lag behind, and servers that became read-only.

use std::time::Duration;

use forge_postgres::{Server, Shutdown};
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::{Acquired, Store as _, StoreError};

use crate::proxy::Proxy;
use crate::support::{commit, connect, eventually, execute, run, save, start, text};

/// A lease that does not expire during the failover.
const LEASE: Duration = Duration::from_secs(60);

/// How often a store is asked while the standby answers: each of its connections at least once.
const TIMES: u32 = 3 * PostgresOptions::CONNECTIONS;

fn is_refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, why: &str) {
    let Err(StoreError::Unavailable(found) | StoreError::CannotOpen { why: found, .. }) = answer else {
        panic!("it is answered: {answer:?}")
    };
    assert!(found.contains(why), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lags_behind_is_not_read_and_is_used_once_it_is_promoted() {
    let primary = Server::start(&[]).unwrap();
    let url = primary.create_database().unwrap();
    let proxy = Proxy::before(primary.port()).await;
    let options = PostgresOptions { lease: LEASE, ..PostgresOptions::new(proxy.url(&url), "a") };
    let store = PostgresStore::open(&options).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();

    let standby = primary.standby().unwrap();
    let behind = url.replace(&primary.port().to_string(), &standby.port().to_string());
    let mut at_standby = connect(&behind).await;
    eventually(&mut at_standby, "SELECT count(*)::TEXT FROM forge_runs", "1").await;
    execute(&mut at_standby, "SELECT pg_wal_replay_pause()").await;
    eventually(&mut at_standby, "SELECT pg_get_wal_replay_pause_state()", "paused").await;
    commit(&store, &[save(1, "2"), start(2)]).await.unwrap();
    // All connections of the pool lead to the primary.
    let ids = [run(1).id];
    futures::future::join_all((0..TIMES).map(|_| store.load(&ids))).await;
    let mut at_primary = connect(&url).await;
    let written: &'static str =
        format!("SELECT (pg_last_wal_receive_lsn() >= '{}')::TEXT", text(&mut at_primary, LSN).await).leak();
    eventually(&mut at_standby, written, "true").await;

    drop(at_primary);
    primary.stop(Shutdown::Immediate).unwrap();
    proxy.lead_to(standby.port());
    assert_eq!(text(&mut at_standby, "SELECT count(*)::TEXT FROM forge_runs").await, "1", "it lags behind");
    for _ in 0..TIMES {
        is_refused(store.run(run(2).id).await, "the server is a standby");
        is_refused(store.load(&[run(1).id]).await.map(|_| ()), "the server is a standby");
        is_refused(store.acquire(store.epoch(), &ids).await.map(|_| ()), "the server is a standby");
        is_refused(store.run_with_key("default", "payment", "k").await, "the server is a standby");
    }
    is_refused(commit(&store, &[start(3)]).await, "the server is a standby");
    let other = PostgresOptions { node: "b".to_owned(), ..options };
    is_refused(PostgresStore::open(&other).await.map(|_| ()), "the server is a standby");

    standby.promote().unwrap();
    assert!(store.run(run(2).id).await.unwrap().is_some());
    let acquired = store.acquire(store.epoch(), &ids).await.unwrap().remove(0).unwrap();
    let Acquired::Here(loaded) = acquired else { panic!("{acquired:?}") };
    assert_eq!(loaded.run.output.as_deref(), Some("2"), "nothing acknowledged is lost");
    commit(&store, &[start(3)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_go_back_to_a_primary_from_before_a_failover() {
    let primary = Server::start(&[]).unwrap();
    let url = primary.create_database().unwrap();
    let proxy = Proxy::before(primary.port()).await;
    let options = PostgresOptions { lease: LEASE, ..PostgresOptions::new(proxy.url(&url), "a") };
    let store = PostgresStore::open(&options).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    let standby = primary.standby().unwrap();
    let at_primary = text(&mut connect(&url).await, LSN).await;
    let mut at_standby =
        connect(&url.replace(&primary.port().to_string(), &standby.port().to_string())).await;
    let caught_up: &'static str = format!("SELECT (pg_last_wal_replay_lsn() >= '{at_primary}')::TEXT").leak();
    eventually(&mut at_standby, caught_up, "true").await;

    primary.stop(Shutdown::Immediate).unwrap();
    standby.promote().unwrap();
    proxy.lead_to(standby.port());
    // The connections from before are lost.
    while commit(&store, &[start(2)]).await.is_err() {}
    assert!(store.run(run(2).id).await.unwrap().is_some());

    // The old primary comes back, and takes writes.
    primary.go().unwrap();
    proxy.lead_to(primary.port());
    standby.stop(Shutdown::Immediate).unwrap();
    let why = "its timeline is 1, and this node has used timeline 2";
    for _ in 0..TIMES {
        while let Err(StoreError::Unavailable(lost)) = store.run(run(2).id).await
            && !lost.contains("timeline")
        {}
        is_refused(store.run(run(2).id).await, why);
        is_refused(store.load(&[run(1).id]).await.map(|_| ()), why);
        is_refused(commit(&store, &[start(3)]).await, why);
    }

    // So is a server that is no copy of it.
    let other = Server::start(&[]).unwrap();
    let name = url.rsplit_once('/').unwrap().1.split_once('?').unwrap().0;
    other.sql(&other.url("postgres"), &format!("CREATE DATABASE {name}")).unwrap_or_default();
    proxy.lead_to(other.port());
    is_refused(store.run(run(2).id).await, "its system identifier is");

    standby.go().unwrap();
    proxy.lead_to(standby.port());
    assert!(store.run(run(2).id).await.unwrap().is_some());
    commit(&store, &[start(3)]).await.unwrap();
}

#[tokio::test]
async fn a_role_that_may_not_ask_for_the_timeline_can_use_the_server() {
    let server = Server::start(&[]).unwrap();
    let url = server.create_database().unwrap();
    server.sql(&url, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").unwrap();
    server.sql(&url, "CREATE ROLE plain LOGIN; GRANT CREATE ON SCHEMA public TO plain").unwrap();
    let (_, rest) = url.split_once('@').unwrap();
    let options = PostgresOptions::new(format!("postgres://plain@{rest}"), "a");
    let store = PostgresStore::open(&options).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    assert!(store.run(run(1).id).await.unwrap().is_some());
}

const LSN: &str = "SELECT pg_current_wal_flush_lsn()::TEXT";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_becomes_read_only_is_not_read_on_connections_from_before() {
    let primary = Server::start(&[]).unwrap();
    let url = primary.create_database().unwrap();
    let store = PostgresStore::open(&PostgresOptions::new(&url, "a")).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    let mut other = connect(&url).await;
    assert!(matches!(store.acquire(store.epoch(), &[run(1).id]).await.unwrap()[0], Ok(Acquired::Here(_))));
    // This changes open sessions, too.
    execute(&mut other, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    execute(&mut other, "SELECT pg_reload_conf()").await;
    eventually(&mut other, "SELECT current_setting('transaction_read_only')", "on").await;
    for _ in 0..TIMES {
        is_refused(store.acquire(store.epoch(), &[run(1).id]).await.map(|_| ()), "read-only");
        is_refused(store.run(run(1).id).await, "the server is read-only");
    }
    is_refused(commit(&store, &[start(2)]).await, "read-only");
    execute(&mut other, "SET default_transaction_read_only = off").await;
    execute(&mut other, "ALTER SYSTEM RESET default_transaction_read_only").await;
    execute(&mut other, "SELECT pg_reload_conf()").await;
    let mut fresh = connect(&url).await;
    eventually(&mut fresh, "SELECT current_setting('transaction_read_only')", "off").await;
    assert!(store.run(run(1).id).await.unwrap().is_some());
    commit(&store, &[start(2)]).await.unwrap();
}
