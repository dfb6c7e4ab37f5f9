//! What every store must do. A store is tested by a call of [`conforms`].

#![allow(clippy::unwrap_used, clippy::panic)]

use forge_host::executor::RunFilter;
use forge_host::journal::{
    Begin, Event, Failure, Journal, Kind, Pause, PauseReason, Row, Run, RunId, Scope, StepOptions, Timestamp,
    WorkflowStatus, fingerprint, kind,
};
use forge_host::store::postgres::{PostgresOptions, PostgresStore};
use forge_host::store::sqlite::SqliteStore;
use forge_host::store::{Store, StoreError, VersionRow, Write, Written};
use forge_postgres::Server;
use uuid::Uuid;

#[tokio::test]
async fn sqlite_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forge.db");
    let store = SqliteStore::open(&path).await.unwrap();
    conforms(&store).await;
    store.close().await;
    let late = [Write::Start(Box::new(run(77)))];
    assert!(
        matches!(store.commit(store.epoch(), &late).await, Err(StoreError::Closed)),
        "a late write opens nothing"
    );
    assert!(matches!(store.commit_here(store.epoch(), &late), Some(Err(StoreError::Closed))));
    drop(store);

    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.run(run(1).id).await.unwrap().is_some(), "what was committed is there after a restart");
}

#[tokio::test]
async fn postgres_conforms() {
    let options = PostgresOptions::new(Server::shared().unwrap().create_database().unwrap(), "one");
    let store = PostgresStore::open(&options).await.unwrap();
    conforms(&store).await;
    let epoch = store.epoch();
    store.close().await;
    let late = [Write::Start(Box::new(run(77)))];
    assert!(
        matches!(store.commit(epoch, &late).await, Err(StoreError::Closed)),
        "a late write opens nothing"
    );
    assert!(matches!(store.run(run(1).id).await, Err(StoreError::Closed)));
    drop(store);

    let store = PostgresStore::open(&options).await.unwrap();
    assert!(store.epoch() > epoch);
    assert!(store.run(run(1).id).await.unwrap().is_some(), "what was committed is there after a restart");
}

#[tokio::test]
async fn a_second_process_is_told_who_uses_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forge.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let Err(StoreError::InUse { pid, .. }) = SqliteStore::open(&path).await else {
        panic!("the database was opened twice")
    };
    assert_eq!(pid, Some(std::process::id()));
    drop(store);
    SqliteStore::open(&path).await.unwrap();
}

async fn conforms(store: &dyn Store) {
    keeps_runs_and_rows_as_they_are(store).await;
    keeps_the_last_of_two_states_of_a_row(store).await;
    lets_a_key_start_one_run(store).await;
    lists_the_newest_first_in_pages(store).await;
    loads_many_runs_at_once(store).await;
    knows_when_runs_are_due(store).await;
    keeps_versions_immutable(store).await;
}

fn run(number: u128) -> Run {
    Run {
        id: RunId(Uuid::from_u128(number)),
        workflow: "payment".into(),
        version: 1,
        digest: "d1".into(),
        input: r#"{"amount":5}"#.into(),
        output: None,
        status: WorkflowStatus::Created,
        started_at: Timestamp(1_000),
        completed_at: None,
        deadline: Timestamp(90_000),
        wake_at: None,
        failure: None,
        stuck: None,
        pause: None,
        key: None,
        auth: "{}".into(),
        trace_id: Some("trace".into()),
    }
}

fn step(name: &str, index: u32) -> Event {
    Event::Begun(Begin {
        scope: Scope::BODY,
        index: Some(index),
        kind: Kind::Step,
        name: name.into(),
        fingerprint: fingerprint(Kind::Step, name, None),
        options: StepOptions { compensable: true, timeout_ms: Some(5), ..StepOptions::default() },
        input: None,
        wake_at: Some(Timestamp(7_000)),
    })
}

async fn save(store: &dyn Store, journal: &mut Journal) {
    let write = Write::Save(journal.run().id, journal.take_changes());
    assert_eq!(store.commit(store.epoch(), &[write]).await.unwrap(), [Written::Done]);
}

async fn rows(store: &dyn Store, id: RunId) -> Vec<Row> {
    let loaded = store.load(&[id]).await.unwrap().pop().unwrap().unwrap();
    loaded.unwrap().rows.unwrap()
}

async fn keeps_runs_and_rows_as_they_are(store: &dyn Store) {
    let mut journal = Journal::new(run(1));
    assert_eq!(
        store.commit(store.epoch(), &[Write::Start(Box::new(run(1)))]).await.unwrap(),
        [Written::Done]
    );
    for event in [Event::Running, step("reserve", 0), step("charge", 1)] {
        journal.apply(event, Timestamp(2_000)).unwrap();
    }
    let failure = Failure::permanent(kind::HTTP, "a 'quoted' failure\nof two lines");
    journal.apply(Event::Completed { seq: 1, result: Some("{\"ü\":1}".into()) }, Timestamp(3_000)).unwrap();
    let retry_at = Timestamp(4_000);
    journal
        .apply(Event::AttemptFailed { seq: 2, failure: failure.clone(), retry_at }, Timestamp(3_000))
        .unwrap();
    journal.apply(Event::AttemptStarted { seq: 2 }, Timestamp(4_000)).unwrap();
    save(store, &mut journal).await;
    assert_eq!(rows(store, run(1).id).await, journal.rows());

    journal.apply(Event::Unwinding { failure }, Timestamp(5_000)).unwrap();
    let pause = Pause {
        reason: PauseReason::Operator,
        message: "paused".to_owned(),
        from: WorkflowStatus::Compensating,
    };
    journal.apply(Event::Paused(pause), Timestamp(5_000)).unwrap();
    save(store, &mut journal).await;
    assert_eq!(store.run(run(1).id).await.unwrap().as_ref(), Some(journal.run()));
    let loaded = Journal::load(journal.run().clone(), rows(store, run(1).id).await).unwrap();
    assert_eq!(loaded.rows(), journal.rows());
    assert_eq!(store.run(RunId(Uuid::from_u128(99))).await.unwrap(), None);
}

async fn keeps_the_last_of_two_states_of_a_row(store: &dyn Store) {
    let mut journal = Journal::new(run(2));
    let id = run(2).id;
    let mut batch = vec![Write::Start(Box::new(run(2)))];
    for event in [Event::Running, step("reserve", 0), Event::Completed { seq: 1, result: None }] {
        journal.apply(event, Timestamp(2_000)).unwrap();
        batch.push(Write::Save(id, journal.take_changes()));
    }
    assert_eq!(store.commit(store.epoch(), &batch).await.unwrap().len(), 4);
    assert_eq!(rows(store, id).await, journal.rows());
    assert_eq!(store.run(id).await.unwrap().as_ref(), Some(journal.run()));
}

async fn lets_a_key_start_one_run(store: &dyn Store) {
    let keyed = |number| Box::new(Run { key: Some("order-1".into()), ..run(number) });
    let batch = [Write::Start(keyed(3)), Write::Start(keyed(4))];
    let written = store.commit(store.epoch(), &batch).await.unwrap();
    assert_eq!(written, [Written::Done, Written::KeyTaken(run(3).id)]);
    assert_eq!(
        store.commit(store.epoch(), &[Write::Start(keyed(5))]).await.unwrap(),
        [Written::KeyTaken(run(3).id)]
    );
    let other = Box::new(Run { workflow: "refund".into(), ..*keyed(6) });
    assert_eq!(store.commit(store.epoch(), &[Write::Start(other)]).await.unwrap(), [Written::Done]);
    assert_eq!(store.run(run(5).id).await.unwrap(), None);
}

async fn lists_the_newest_first_in_pages(store: &dyn Store) {
    let ids = async |filter: RunFilter| -> Vec<u128> {
        store.list(&filter).await.unwrap().iter().map(|run| run.id.as_u128()).collect()
    };
    let filter = RunFilter { limit: 2, ..RunFilter::default() };
    assert_eq!(ids(filter.clone()).await, [6, 3]);
    let cursor = Some(Uuid::from_u128(3));
    assert_eq!(ids(RunFilter { cursor, ..filter.clone() }).await, [2, 1]);
    assert_eq!(ids(RunFilter { workflow: Some("refund".to_owned()), ..filter.clone() }).await, [6]);
    assert_eq!(ids(RunFilter { status: Some(WorkflowStatus::Paused), ..filter }).await, [1]);
}

async fn loads_many_runs_at_once(store: &dyn Store) {
    let loaded = store.load(&[run(2).id, run(99).id, run(1).id]).await.unwrap();
    let found: Vec<_> = loaded
        .into_iter()
        .map(|loaded| loaded.unwrap().map(|loaded| (loaded.run.id, loaded.rows.unwrap().len())))
        .collect();
    assert_eq!(found, [Some((run(2).id, 1)), None, Some((run(1).id, 2))]);
}

async fn knows_when_runs_are_due(store: &dyn Store) {
    let mut asleep = Journal::new(Run { status: WorkflowStatus::Running, ..run(7) });
    asleep.apply(Event::Waiting { until: Timestamp(500) }, Timestamp(1)).unwrap();
    let mut over = Journal::unsaved(Run { status: WorkflowStatus::Running, ..run(8) });
    save(store, &mut asleep).await;
    save(store, &mut over).await;
    over.apply(Event::Finished { output: "1".into() }, Timestamp(2)).unwrap();
    save(store, &mut over).await;

    let due = async |after, until, limit| -> Vec<(i64, u128)> {
        let due = store.due(store.epoch(), after, Timestamp(until), limit).await.unwrap();
        due.into_iter().map(|(time, id)| (time.0, id.0.as_u128())).collect()
    };
    assert_eq!(due(None, 499, 10).await, [(0, 2), (0, 3), (0, 6)], "run 1 is paused, run 8 is over");
    assert_eq!(due(Some((Timestamp::NOW, run(3).id)), 500, 10).await, [(0, 6), (500, 7)]);
    assert_eq!(due(Some((Timestamp::NOW, run(2).id)), 500, 1).await, [(0, 3)]);
    assert_eq!(due(Some((Timestamp(500), run(7).id)), 9_000, 10).await, []);
    assert_eq!(store.unfinished().await.unwrap(), 4);
}

async fn keeps_versions_immutable(store: &dyn Store) {
    let version = |version, digest: &str| VersionRow {
        workflow: "payment".to_owned(),
        version,
        digest: digest.to_owned(),
        timeout_ms: 1_000,
        deprecated: false,
        active: false,
        created_at: Timestamp(1_000),
    };
    assert_eq!(store.register("d1", Some(b"one"), &[version(1, "d1")]).await.unwrap(), None);
    assert_eq!(
        store.register("d1", Some(b"one"), &[version(1, "d1")]).await.unwrap(),
        None,
        "the same again"
    );
    let taken = store.register("d2", Some(b"two"), &[version(2, "d2"), version(1, "d2")]).await.unwrap();
    assert_eq!(taken, Some(version(1, "d1")));
    assert_eq!(store.component("d2").await.unwrap(), None, "all or none");
    assert_eq!(store.register("d2", Some(b"two"), &[version(2, "d2")]).await.unwrap(), None);
    assert_eq!(store.component("d2").await.unwrap().as_deref(), Some(b"two".as_slice()));

    assert!(store.activate("payment", 1).await.unwrap());
    assert!(!store.activate("payment", 9).await.unwrap());
    let active = async || -> Vec<u32> {
        let versions = store.versions(Some("payment")).await.unwrap();
        versions.iter().filter(|version| version.active).map(|version| version.version).collect()
    };
    assert_eq!(active().await, [1]);
    assert!(store.deprecate("payment", 1).await.unwrap());
    assert_eq!(active().await, [0_u32; 0]);
    let versions = store.versions(None).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
}
