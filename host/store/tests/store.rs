//! The conformance tests of stores: [`conforms`] runs on each of them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod db;
mod lists;
mod logs;

use std::sync::Arc;

use bytes::Bytes;
use forge_journal::{
    Begin, Changes, Event, Failure, Journal, Kind, NewRun, Notes, Pause, PauseReason, Reach, Row, Run, RunId,
    Scope, StepOptions, StepStatus, Timestamp, WorkflowStatus, kind,
};
use forge_postgres::Server;
use forge_store::directory::{Amounts, AuditEntry, AuditFilter, Change, Entry, EntryKind, Update, UsageRow};
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::sqlite::SqliteStore;
use forge_store::{
    Acquired, Due, InputSchema, Store, StoreError, VersionConflict, VersionRow, Write, Writer, Written,
};
use forge_store::{ChangedFilter, RecentSteps, RunFilter, StepFilter};
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
    let many: Vec<Write> = (70..80).map(|number| Write::Start(Box::new(run(number)))).collect();
    assert!(matches!(store.commit(store.epoch(), &many).await, Err(StoreError::Closed)), "nor do many");
    drop(store);

    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.run(run(1).id).await.unwrap().is_some(), "what was committed is there after a restart");
}

#[tokio::test]
async fn the_log_of_sqlite_is_checkpointed_while_it_is_written() {
    const BATCHES: u128 = 256;
    const BYTES: usize = 256 << 10;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forge.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let length = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().len();
    let log = length("forge.db-wal");
    let input = format!("\"{}\"", "x".repeat(BYTES)).into();
    for number in 1..=BATCHES {
        let one = Run { input: std::sync::Arc::clone(&input), ..run(number) };
        store.commit(store.epoch(), &[Write::Start(Box::new(one))]).await.unwrap();
    }
    let written = BATCHES as u64 * BYTES as u64;
    assert!(length("forge.db") > written / 2, "most is in the database");
    assert!(length("forge.db-wal") < log + written / 4, "the log begins anew: {}", length("forge.db-wal"));
    let ids: Vec<RunId> = (1..=BATCHES).map(|number| run(number).id).collect();
    for loaded in store.load(&ids).await.unwrap() {
        assert_eq!(loaded.unwrap().unwrap().run.input, input);
    }
}

#[tokio::test]
async fn a_write_that_can_never_be_stored_does_not_fail_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&directory.path().join("forge.db")).await.unwrap());
    let writer = Writer::new(Arc::clone(&store) as Arc<dyn Store>, Arc::default(), 1 << 20);
    let tenant = "default".into();
    let [one, other] = [1, 2].map(|number| writer.for_run(store.epoch(), run(number).id, &tenant));
    one.start(run(1), None, false).await.unwrap();
    let mut journal = Journal::new(run(1));
    for event in [Event::Running, step("reserve", 0)] {
        journal.apply(event, Timestamp(2_000)).unwrap();
    }
    let mut changes = journal.take_changes();
    changes.rows[0].seq = 1 << 24;
    let (rejected, started) = tokio::join!(one.barrier(changes), other.start(run(2), None, false));
    assert!(matches!(&rejected, Err(StoreError::Rejected(why)) if why.contains("at most 16777215 calls")));
    assert!(rejected.unwrap_err().is_permanent());
    assert_eq!(started.unwrap(), Written::Done);
    assert!(writer.last_error().is_none(), "the database works");
    assert_eq!(store.run(run(1).id).await.unwrap().unwrap().status, WorkflowStatus::Created);
}

#[tokio::test]
async fn a_write_that_is_older_than_the_database_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&directory.path().join("forge.db")).await.unwrap();
    let options = PostgresOptions::new(Server::shared().unwrap().create_database().unwrap(), "one");
    let postgres = PostgresStore::open(&options).await.unwrap();
    let stores: [Arc<dyn Store>; 2] = [Arc::new(sqlite), Arc::new(postgres)];
    for store in stores {
        let mut journal = Journal::unsaved(run(1));
        journal.apply(Event::Running, Timestamp(2_000)).unwrap();
        save(store.as_ref(), &mut journal).await;
        let mut stale = journal.clone();
        journal.apply(Event::Finished { output: "1".into() }, Timestamp(3_000)).unwrap();
        save(store.as_ref(), &mut journal).await;

        let writer = Writer::new(Arc::clone(&store), Arc::default(), 1 << 20);
        let tenant = "default".into();
        let [one, other] = [1, 2].map(|number| writer.for_run(store.epoch(), run(number).id, &tenant));
        stale.apply(Event::Waiting { until: Timestamp(9_000), waits_for: None }, Timestamp(3_000)).unwrap();
        let (refused, started) =
            tokio::join!(one.barrier(stale.take_changes()), other.start(run(2), None, false));
        assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
        assert!(!refused.unwrap_err().is_permanent(), "the run is loaded again");
        assert_eq!(started.unwrap(), Written::Done);
        assert!(writer.last_error().is_none(), "the database works");
        assert_eq!(store.run(run(1).id).await.unwrap().as_ref(), Some(journal.run()));
        let lost = one.save(Changes { run: Some(Box::new(run(1))), ..Changes::default() }).await;
        assert!(matches!(lost, Err(StoreError::Outdated)), "so are the later writes of its activation");
    }
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
    lists::conforms(store).await;
    loads_many_runs_at_once(store).await;
    knows_when_runs_are_due(store).await;
    commits_an_empty_batch_and_one_of_many_runs(store).await;
    keeps_every_text_and_number_as_it_is(store).await;
    lets_a_node_claim_unowned_runs(store).await;
    acquires_runs_with_their_journals(store).await;
    keeps_the_order_of_a_long_journal(store).await;
    keeps_versions_immutable(store).await;
    keeps_schemas_of_inputs(store).await;
    keeps_tenants_apart(store).await;
    changes_an_entry_only_as_it_was_read(store).await;
    makes_one_signing_secret_and_keeps_it(store).await;
    tells_which_entries_have_changed_since_a_revision(store).await;
    only_adds_to_the_audit_log(store).await;
    adds_up_what_was_used(store).await;
    refuses_what_would_move_a_journal_backwards(store).await;
    shows_the_last_steps_of_a_run(store).await;
    reads_a_journal_in_pages(store).await;
    reads_what_changed_since_a_revision(store).await;
    lets_a_start_take_the_key_of_a_failed_run_over(store).await;
    deletes_final_runs_with_their_journals(store).await;
    finds_final_runs_by_their_age(store).await;
    counts_what_runs_take(store).await;
    db::conforms(store).await;
    logs::conforms(store).await;
    counts_the_runs_that_are_not_final(store).await;
}

fn run(number: u128) -> Run {
    let new = NewRun {
        id: RunId(Uuid::from_u128(number)),
        tenant: "default".into(),
        workflow: "payment".into(),
        version: 1,
        digest: "d1".into(),
        input: r#"{"amount":5}"#.into(),
        started_at: Timestamp(1_000),
        timeout_ms: 89_000,
    };
    Run { trace_id: Some("trace".into()), ..Run::new(new) }
}

fn step(name: &str, index: u32) -> Event {
    Event::Begun(Begin {
        options: StepOptions { compensable: true, timeout_ms: Some(5), ..StepOptions::default() },
        wake_at: Some(Timestamp(7_000)),
        ..Begin::new(Scope::BODY, Some(index), Kind::Step, name, None)
    })
}

async fn save(store: &dyn Store, journal: &mut Journal) {
    let write = Write::Save(journal.run().id, journal.take_changes());
    assert_eq!(store.commit(store.epoch(), &[write]).await.unwrap().written, [Written::Done]);
}

async fn rows(store: &dyn Store, id: RunId) -> Vec<Row> {
    let loaded = store.load(&[id]).await.unwrap().pop().unwrap().unwrap();
    loaded.unwrap().rows.unwrap()
}

async fn keeps_runs_and_rows_as_they_are(store: &dyn Store) {
    let mut journal = Journal::new(run(1));
    assert_eq!(
        store.commit(store.epoch(), &[Write::Start(Box::new(run(1)))]).await.unwrap().written,
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
    assert_eq!(store.commit(store.epoch(), &batch).await.unwrap().written.len(), 4);
    assert_eq!(rows(store, id).await, journal.rows());
    assert_eq!(store.run(id).await.unwrap().as_ref(), Some(journal.run()));
}

/// Whatever a host believes: it may have read an old copy of the database.
async fn refuses_what_would_move_a_journal_backwards(store: &dyn Store) {
    let id = run(2_500).id;
    let mut journal = Journal::unsaved(run(2_500));
    for event in [Event::Running, step("reserve", 0), step("charge", 1)] {
        journal.apply(event, Timestamp(2_000)).unwrap();
    }
    save(store, &mut journal).await;
    let mut stale = journal.clone();
    let failure = Failure::permanent(kind::HTTP, "no");
    journal.apply(Event::Completed { seq: 1, result: Some("1".into()) }, Timestamp(3_000)).unwrap();
    journal.apply(Event::Failed { seq: 2, failure }, Timestamp(3_000)).unwrap();
    journal.apply(step("send", 2), Timestamp(3_000)).unwrap();
    save(store, &mut journal).await;
    let refused = async |changes: Changes, why: &str| {
        // Nothing of the batch is committed, neither before nor after the write that is refused.
        let batch = [
            Write::Start(Box::new(run(2_501))),
            Write::Save(id, changes),
            Write::Start(Box::new(run(2_502))),
        ];
        let committed = store.commit(store.epoch(), &batch).await;
        assert!(matches!(committed, Err(StoreError::Outdated)), "{why}: {committed:?}");
        assert_eq!(store.run(run(2_501).id).await.unwrap(), None, "{why}");
        assert_eq!(rows(store, id).await, journal.rows(), "{why}");
        assert_eq!(store.run(id).await.unwrap().as_ref(), Some(journal.run()), "{why}");
    };

    // A host that read the run before continues it in another way. `new_rows` says that the row does not exist.
    let mut other = stale.clone();
    other.apply(Event::Completed { seq: 1, result: Some("2".into()) }, Timestamp(3_001)).unwrap();
    refused(other.take_changes(), "another result of a call that has one").await;
    stale.apply(step("send", 2), Timestamp(3_001)).unwrap();
    refused(stale.take_changes(), "another call in the place of one").await;

    // A host that has the newest revision, and is wrong.
    let row_of = |seq: u64, change: &dyn Fn(&mut Row)| {
        let mut row = journal.row(seq).unwrap().clone();
        row.revision += 10;
        change(&mut row);
        Changes { run: None, new_run: false, rows: vec![row], new_rows: 0, ..Changes::default() }
    };
    refused(row_of(1, &|row| row.status = StepStatus::Running), "a completed call is running").await;
    refused(row_of(1, &|row| row.status = StepStatus::Skipped), "a completed call is dropped").await;
    refused(row_of(2, &|row| row.status = StepStatus::Running), "a failed call runs without a new attempt")
        .await;
    refused(row_of(3, &|row| row.attempt = 0), "an attempt before the stored one").await;
    refused(row_of(1, &|row| row.revision = 0), "an old revision").await;
    let same = Changes {
        run: None,
        new_run: false,
        rows: journal.rows().to_vec(),
        new_rows: 3,
        ..Changes::default()
    };
    let again = [Write::Save(id, same)];
    assert_eq!(
        store.commit(store.epoch(), &again).await.unwrap().written,
        [Written::Done],
        "the same once more"
    );

    journal.apply(Event::Finished { output: "1".into() }, Timestamp(4_000)).unwrap();
    save(store, &mut journal).await;
    for status in [WorkflowStatus::Running, WorkflowStatus::Compensating, WorkflowStatus::Failed] {
        let late = Run { status, completed_at: None, revision: 1_000, ..journal.run().clone() };
        let changes = Changes {
            run: Some(Box::new(late)),
            new_run: true,
            rows: Vec::new(),
            new_rows: 0,
            ..Changes::default()
        };
        let committed = store.commit(store.epoch(), &[Write::Save(id, changes)]).await;
        assert!(matches!(committed, Err(StoreError::Outdated)), "a completed run is {status}: {committed:?}");
    }
    assert_eq!(store.run(id).await.unwrap().as_ref(), Some(journal.run()));
}

async fn lets_a_key_start_one_run(store: &dyn Store) {
    let keyed = |number| Box::new(Run { key: Some("order-1".into()), ..run(number) });
    let batch = [Write::Start(keyed(3)), Write::Start(keyed(4))];
    let written = store.commit(store.epoch(), &batch).await.unwrap().written;
    assert_eq!(written, [Written::Done, Written::KeyTaken(run(3).id)]);
    assert_eq!(
        store.commit(store.epoch(), &[Write::Start(keyed(5))]).await.unwrap().written,
        [Written::KeyTaken(run(3).id)]
    );
    let other = Box::new(Run { workflow: "refund".into(), ..*keyed(6) });
    assert_eq!(store.commit(store.epoch(), &[Write::Start(other)]).await.unwrap().written, [Written::Done]);
    assert_eq!(store.run(run(5).id).await.unwrap(), None);
}

/// Commits a run with a step and brings it to an end.
async fn ended(store: &dyn Store, run: Run, status: WorkflowStatus) -> RunId {
    let id = run.id;
    let mut journal = Journal::new(run.clone());
    assert_eq!(
        store.commit(store.epoch(), &[Write::Start(Box::new(run))]).await.unwrap().written,
        [Written::Done]
    );
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    journal.apply(step("reserve", 0), Timestamp(2_000)).unwrap();
    let failure = Failure::permanent(kind::ERROR, "no");
    let events = match status {
        WorkflowStatus::Completed => vec![Event::Finished { output: "1".into() }],
        WorkflowStatus::Failed => vec![Event::Unwinding { failure }, Event::RolledBack],
        _ => vec![],
    };
    for event in events {
        journal.apply(event, Timestamp(3_000)).unwrap();
    }
    assert_eq!(journal.run().status, if status.is_final() { status } else { WorkflowStatus::Running });
    save(store, &mut journal).await;
    id
}

async fn lets_a_start_take_the_key_of_a_failed_run_over(store: &dyn Store) {
    let keyed = |number| Run { key: Some("order-2".into()), workflow: "restart".into(), ..run(number) };
    let restart = |number, of| Write::Start(Box::new(Run { restart_of: Some(of), ..keyed(number) }));
    let commit = async |batch: &[Write]| store.commit(store.epoch(), batch).await.unwrap().written;
    let old = ended(store, keyed(97_001), WorkflowStatus::Failed).await;
    // Of several, one wins, and the others learn of it. A batch may be committed twice.
    let batch = [restart(97_002, old), restart(97_003, old)];
    let winner = run(97_002).id;
    assert_eq!(commit(&batch).await, [Written::Done, Written::KeyTaken(winner)]);
    assert_eq!(commit(&[restart(97_004, old)]).await, [Written::KeyTaken(winner)]);
    let [was, is] = [old, winner].map(|id| async move { store.run(id).await.unwrap().unwrap() });
    let (was, is) = (was.await, is.await);
    assert_eq!((&was.key, was.restarted_as, was.restart_of), (&None, Some(winner), None));
    assert_eq!((is.key.as_deref(), is.restarted_as, is.restart_of), (Some("order-2"), None, Some(old)));
    let found = store.run_with_key("default", "restart", "order-2").await.unwrap();
    assert_eq!(found.map(|run| run.id), Some(winner));
    // The old run names the run that got the key, also if that was not started as its restart.
    let failed =
        ended(store, Run { key: Some("order-3".into()), ..keyed(97_007) }, WorkflowStatus::Failed).await;
    let of_3 = |number| Run { key: Some("order-3".into()), restart_of: Some(failed), ..keyed(number) };
    let other = Run { restart_of: Some(winner), ..of_3(97_009) };
    commit(&[other, of_3(97_008)].map(|run| Write::Start(Box::new(run)))).await;
    let holder = store.run_with_key("default", "restart", "order-3").await.unwrap().unwrap();
    assert_eq!(store.run(failed).await.unwrap().unwrap().restarted_as, Some(holder.id));
    // The one that has the key now has not failed, and another key or workflow is not taken over.
    assert_eq!(commit(&[restart(97_005, winner)]).await, [Written::KeyTaken(winner)]);
    let other = Run { workflow: "other".into(), restart_of: Some(winner), ..keyed(97_006) };
    assert_eq!(commit(&[Write::Start(Box::new(other))]).await, [Written::Done]);
    assert_eq!(store.run(winner).await.unwrap().unwrap().key.as_deref(), Some("order-2"));
    // A change of the old run keeps the lineage.
    let mut journal = Journal::load(was.clone(), rows(store, old).await).unwrap();
    journal.computed(1_000_000_000);
    save(store, &mut journal).await;
    assert_eq!(store.run(old).await.unwrap().unwrap().restarted_as, Some(winner));
}

async fn deletes_final_runs_with_their_journals(store: &dyn Store) {
    let keyed = Run { key: Some("order-3".into()), workflow: "deletion".into(), ..run(97_101) };
    let completed = ended(store, keyed.clone(), WorkflowStatus::Completed).await;
    let failed = ended(store, run(97_102), WorkflowStatus::Failed).await;
    let running = ended(store, run(97_103), WorkflowStatus::Running).await;
    let unknown = run(97_104).id;
    let mut deleted = store.delete(&[completed, failed, running, unknown]).await.unwrap();
    deleted.sort();
    assert_eq!(deleted, [completed, failed]);
    for id in [completed, failed] {
        assert_eq!(store.run(id).await.unwrap(), None);
    }
    assert_eq!(rows(store, running).await.len(), 1);
    assert_eq!(store.delete(&[completed, failed]).await.unwrap(), []);
    // The key is free, and a run with the id of a deleted one has no rows.
    let again = ended(store, Run { id: run(97_105).id, ..keyed }, WorkflowStatus::Completed).await;
    assert_eq!(store.delete(&[again]).await.unwrap(), [again]);
    assert_eq!(
        store.commit(store.epoch(), &[Write::Start(Box::new(run(97_101)))]).await.unwrap().written,
        [Written::Done]
    );
    assert_eq!(rows(store, completed).await, []);
    let mut journal =
        Journal::load(store.run(running).await.unwrap().unwrap(), rows(store, running).await).unwrap();
    journal.apply(Event::Finished { output: "1".into() }, Timestamp(4_000)).unwrap();
    save(store, &mut journal).await;
}

async fn finds_final_runs_by_their_age(store: &dyn Store) {
    use WorkflowStatus::{Completed, Failed, Running};
    let of = |number| Run { workflow: "old".into(), ..run(number) };
    let mut completed = Vec::new();
    for number in 97_201..97_204 {
        completed.push(ended(store, of(number), Completed).await);
    }
    let failed = ended(store, of(97_204), Failed).await;
    ended(store, of(97_205), Running).await;
    // A run with a step that is not compensated.
    let stuck = of(97_206);
    let mut journal = Journal::new(stuck.clone());
    store.commit(store.epoch(), &[Write::Start(Box::new(stuck))]).await.unwrap();
    for event in [
        Event::Running,
        step("reserve", 0),
        Event::Completed { seq: 1, result: None },
        Event::Unwinding { failure: Failure::permanent(kind::ERROR, "no") },
        Event::RolledBack,
    ] {
        journal.apply(event, Timestamp(2_000)).unwrap();
    }
    assert_eq!((journal.run().status, journal.run().uncompensated.len()), (Failed, 1));
    save(store, &mut journal).await;
    // One that was started after this time, with an id of that time.
    let new = RunId(Uuid::from_u128(10_000 << 80));
    ended(store, Run { id: new, ..of(97_207) }, Completed).await;

    let expired = async |tenant: &str, status, before, limit| {
        store.expired(tenant, "old", status, Timestamp(before), limit).await.unwrap()
    };
    assert_eq!(expired("default", Completed, 3_001, 10).await, completed);
    assert_eq!(expired("default", Completed, 3_001, 2).await, completed[..2]);
    assert_eq!(expired("default", Completed, 3_000, 10).await, [], "they ended at this time, not before");
    assert_eq!(expired("default", Completed, 20_000, 10).await.last(), Some(&new));
    assert_eq!(expired("default", Failed, 3_001, 10).await, [failed]);
    assert_eq!(expired("default", Running, 3_001, 10).await, []);
    assert_eq!(expired("other", Completed, 3_001, 10).await, []);
    assert_eq!(store.delete(&completed).await.unwrap().len(), 3);
    assert_eq!(expired("default", Completed, 3_001, 10).await, []);
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
    asleep.apply(Event::Waiting { until: Timestamp(500), waits_for: None }, Timestamp(1)).unwrap();
    let mut over = Journal::unsaved(Run { status: WorkflowStatus::Running, ..run(8) });
    save(store, &mut asleep).await;
    save(store, &mut over).await;
    over.apply(Event::Finished { output: "1".into() }, Timestamp(2)).unwrap();
    save(store, &mut over).await;

    let due = async |after, until, limit| -> Vec<(i64, u128)> {
        let due = store.due(store.epoch(), after, Timestamp(until), limit).await.unwrap();
        due.into_iter().map(|due| (due.at.0, due.run.0.as_u128())).collect()
    };
    assert_eq!(due(None, 499, 10).await, [(0, 2), (0, 3), (0, 6)], "run 1 is paused, run 8 is over");
    assert_eq!(due(Some((Timestamp::NOW, run(3).id)), 500, 10).await, [(0, 6), (500, 7)]);
    assert_eq!(due(Some((Timestamp::NOW, run(2).id)), 500, 1).await, [(0, 3)]);
    assert_eq!(due(Some((Timestamp(500), run(7).id)), 9_000, 10).await, []);
    assert_eq!(store.unfinished(1_000_000).await.unwrap(), 4);
    assert_eq!(store.unfinished(3).await.unwrap(), 3, "no more are counted");
}

async fn commits_an_empty_batch_and_one_of_many_runs(store: &dyn Store) {
    assert_eq!(store.commit(store.epoch(), &[]).await.unwrap().written, []);
    let mut batch = Vec::new();
    for number in 1_000..2_000 {
        let mut journal = Journal::unsaved(run(number));
        for event in [Event::Running, step("reserve", 0), Event::Finished { output: "1".into() }] {
            journal.apply(event, Timestamp(2_000)).unwrap();
        }
        batch.push(Write::Save(run(number).id, journal.take_changes()));
    }
    assert_eq!(store.commit(store.epoch(), &batch).await.unwrap().written, vec![Written::Done; 1_000]);
    let ids: Vec<RunId> = (1_000..2_000).map(|number| run(number).id).collect();
    let loaded = store.load(&ids).await.unwrap();
    let rows = loaded.into_iter().map(|loaded| loaded.unwrap().unwrap().rows.unwrap().len());
    assert_eq!(rows.sum::<usize>(), 1_000);
}

/// A guest's names and messages may hold what a database has no room for, and no run may suffer from another's.
async fn keeps_every_text_and_number_as_it_is(store: &dyn Store) {
    let odd =
        "nul \0, substitute \u{1a}0, quote ' \" \\, {[(,)]}, NULL, ü, 🦀, \u{feff}\u{ffff}\u{10ffff}\r\n";
    let failure = Failure::permanent(odd, odd);
    let pause =
        Pause { reason: PauseReason::InDoubt, message: odd.to_owned(), from: WorkflowStatus::Compensating };
    let huge: std::sync::Arc<str> = format!("\"{}\"", "\\u0000ü".repeat(500_000)).into();
    let odd_run = Run {
        tenant: "odd \0".into(),
        fuel: u64::MAX,
        workflow: "odd \0".into(),
        version: u32::MAX,
        input: std::sync::Arc::clone(&huge),
        output: Some("1e400".into()),
        status: WorkflowStatus::Paused,
        started_at: Timestamp(i64::MIN),
        completed_at: Some(Timestamp::MAX),
        deadline: Timestamp(i64::MAX),
        wake_at: Some(Timestamp(i64::MIN)),
        failure: Some(failure.clone()),
        failed_compensations: Some(odd.into()),
        uncompensated: vec![odd.into(), "".into()],
        pause: Some(pause),
        key: Some("odd \0".into()),
        auth: r#"{"a":"\u0000"}"#.into(),
        trace_id: Some(odd.into()),
        notes: Notes { body: u32::MAX, lines: u64::MAX, bytes: u64::MAX, is_full: true },
        published: Some(r#"{"a\u0000": 1e400}"#.into()),
        ..run(8_000)
    };
    let row = Row {
        seq: 1,
        scope: Scope { step: 0, attempt: u32::MAX },
        index: Some(u32::MAX),
        kind: Kind::Step,
        name: odd.into(),
        fingerprint: u64::MAX,
        options: StepOptions { timeout_ms: Some(u64::MAX), ..StepOptions::default() }.boxed(),
        input: Some(std::sync::Arc::clone(&huge)),
        status: StepStatus::Failed,
        result: Some("{ \"b\": 1, \"a\" : 1.0, \"a\": 2 }".into()),
        failure: Some(Box::new(failure.with_reach(Reach::Unanswered))),
        attempt: u32::MAX,
        notes: u32::MAX,
        attempt_orders: vec![u64::MAX],
        order: Some(i64::MAX.unsigned_abs()),
        wake_at: Some(Timestamp(i64::MAX)),
        awaits: Some(forge_journal::EntryKind::Event),
        child: Some(run(9).id),
        started_at: Timestamp(i64::MIN),
        completed_at: Some(Timestamp(0)),
        step_before: Some(u32::MAX),
        revision: i64::MAX.unsigned_abs(),
    };
    let changes =
        Changes { run: None, new_run: false, rows: vec![row.clone()], new_rows: 0, ..Changes::default() };
    let batch = [Write::Start(Box::new(odd_run.clone())), Write::Start(Box::new(run(8_001)))];
    assert_eq!(store.commit(store.epoch(), &batch).await.unwrap().written, [const { Written::Done }; 2]);
    store.commit(store.epoch(), &[Write::Save(odd_run.id, changes)]).await.unwrap();
    let loaded = store.load(&[odd_run.id]).await.unwrap().pop().unwrap().unwrap().unwrap();
    assert_eq!(loaded.run, odd_run);
    assert_eq!(loaded.rows.unwrap(), [row]);
    assert_eq!(store.run_with_key("odd \0", "odd \0", "odd \0").await.unwrap(), Some(odd_run));
    assert_eq!(store.run_with_key("odd", "odd", "odd").await.unwrap(), None);
    let filter = RunFilter { workflow: Some("odd \0".to_owned()), limit: 9, ..RunFilter::default() };
    assert_eq!(store.list("odd \0", &filter).await.unwrap().runs[0].workflow_name, "odd \0");
    let again =
        Run { tenant: "odd \0".into(), key: Some("odd \0".into()), workflow: "odd \0".into(), ..run(8_002) };
    let taken = store.commit(store.epoch(), &[Write::InsertUnowned(Box::new(again))]).await.unwrap().written;
    assert_eq!(taken, [Written::KeyTaken(run(8_000).id)]);
}

async fn lets_a_node_claim_unowned_runs(store: &dyn Store) {
    let before = store.unfinished(1_000_000).await.unwrap();
    let offer = |number| Write::InsertUnowned(Box::new(Run { wake_at: Some(Timestamp(-9)), ..run(number) }));
    assert_eq!(
        store.commit(store.epoch(), &[offer(9_001), offer(9_002)]).await.unwrap().written,
        [const { Written::Done }; 2]
    );
    let alarms = |due: Vec<Due>| due.into_iter().map(|due| (due.at, due.run)).collect::<Vec<_>>();
    let claimed = alarms(store.claim(store.epoch(), Timestamp(-9), 10).await.unwrap());
    // A store with one node has nothing that is nobody's.
    let expected = [(Timestamp(-9), run(9_001).id), (Timestamp(-9), run(9_002).id)];
    assert_eq!(claimed.as_slice(), if store.nodes().is_some() { expected.as_slice() } else { &[] });
    assert_eq!(alarms(store.due(store.epoch(), None, Timestamp(-9), 10).await.unwrap()), expected);
    assert_eq!(store.claim(store.epoch(), Timestamp::MAX, 10).await.unwrap(), []);
    assert_eq!(store.unfinished(1_000_000).await.unwrap(), before + 2);
}

async fn acquires_runs_with_their_journals(store: &dyn Store) {
    let taken = store.acquire(store.epoch(), &[run(99).id, run(1).id, run(9_001).id]).await.unwrap();
    let mut taken = taken.into_iter().map(Result::unwrap);
    assert!(matches!(taken.next(), Some(Acquired::Unknown)));
    for (number, rows) in [(1, 2), (9_001, 0)] {
        let Some(Acquired::Here(loaded)) = taken.next() else { panic!("run {number} is not here") };
        assert_eq!((loaded.run.id, loaded.rows.unwrap().len()), (run(number).id, rows));
    }
}

/// More than one thread may read it.
async fn keeps_the_order_of_a_long_journal(store: &dyn Store) {
    let mut journal = Journal::unsaved(run(9_100));
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    for index in 0..5_001 {
        journal.apply(step(&format!("step {index}"), index), Timestamp(2_000)).unwrap();
    }
    save(store, &mut journal).await;
    for _ in 0..3 {
        let taken = store.acquire(store.epoch(), &[run(9_001).id, run(9_100).id]).await.unwrap();
        let Some(Ok(Acquired::Here(loaded))) = taken.into_iter().nth(1) else { panic!("it is not here") };
        assert!(loaded.rows.unwrap() == journal.rows());
    }
}

async fn keeps_versions_immutable(store: &dyn Store) {
    let version = |version, digest: &str| VersionRow {
        tenant: "default".to_owned(),
        workflow: "payment".to_owned(),
        version,
        digest: digest.to_owned(),
        timeout_ms: 1_000,
        deprecated: false,
        active: false,
        created_at: Timestamp(1_000),
        input_schema: None,
    };
    let register = async |digest: &'static str, versions: &[VersionRow], conflict| {
        let bytes = Some(Bytes::from_static(digest.as_bytes()));
        store.register(digest, bytes, versions, &[], conflict).await.unwrap()
    };
    let (keep, none) = (VersionConflict::Keep, Vec::new());
    assert_eq!(register("d1", &[version(1, "d1")], keep).await, none);
    assert_eq!(register("d1", &[version(1, "d1")], keep).await, none, "the same again");
    assert_eq!(register("d2", &[version(1, "d2")], keep).await, [version(1, "d1")]);
    assert_eq!(store.component("d2").await.unwrap(), None, "nothing of it is new");
    assert_eq!(register("d2", &[version(2, "d2"), version(1, "d2")], keep).await, [version(1, "d1")]);
    assert_eq!(store.component("d2").await.unwrap().as_deref(), Some(b"d2".as_slice()));
    let of_version = async |number: u32| {
        let versions = store.versions("default", Some("payment")).await.unwrap();
        versions.into_iter().find(|known| known.version == number)
    };
    assert_eq!(of_version(1).await, Some(version(1, "d1")), "it keeps its component");
    let other_timeout = VersionRow { timeout_ms: 7, ..version(1, "d0") };
    assert_eq!(register("d0", std::slice::from_ref(&other_timeout), VersionConflict::Replace).await, none);
    assert_eq!(of_version(1).await, Some(other_timeout), "it is replaced");
    assert_eq!(of_version(2).await, Some(version(2, "d2")));

    assert!(store.activate("default", "payment", 1).await.unwrap());
    assert!(!store.activate("default", "payment", 9).await.unwrap());
    let active = async || -> Vec<u32> {
        let versions = store.versions("default", Some("payment")).await.unwrap();
        versions.iter().filter(|version| version.active).map(|version| version.version).collect()
    };
    assert_eq!(active().await, [1]);
    assert!(store.deprecate("default", "payment", 1).await.unwrap());
    assert_eq!(active().await, [0_u32; 0]);
    let versions = store.versions("default", None).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
}

async fn keeps_schemas_of_inputs(store: &dyn Store) {
    let schema = |digest: &str, text: &str| InputSchema { digest: digest.to_owned(), text: text.to_owned() };
    let version = |version, digest: &str, schema: &str| VersionRow {
        tenant: "default".to_owned(),
        workflow: "checked".to_owned(),
        version,
        digest: digest.to_owned(),
        timeout_ms: 1_000,
        deprecated: false,
        active: false,
        created_at: Timestamp(1_000),
        input_schema: Some(schema.to_owned()),
    };
    let (one, two) = (schema("s1", "{\"title\":\"a\\u0000\0\"}"), schema("s2", "true"));
    let register = async |digest: &'static str, version: VersionRow, schema: &InputSchema, conflict| {
        let bytes = Some(Bytes::from_static(digest.as_bytes()));
        store.register(digest, bytes, &[version], std::slice::from_ref(schema), conflict).await.unwrap()
    };
    let (keep, replace) = (VersionConflict::Keep, VersionConflict::Replace);
    assert_eq!(register("c1", version(1, "c1", "s1"), &one, keep).await, []);
    assert_eq!(register("c1", version(2, "c1", "s1"), &one, keep).await, [], "two versions with one schema");
    assert_eq!(register("c2", version(1, "c2", "s2"), &two, keep).await, [version(1, "c1", "s1")]);
    assert_eq!(store.input_schema("s1").await.unwrap(), Some(one.text));
    assert_eq!(store.input_schema("s2").await.unwrap(), None, "nothing of it is new");
    assert_eq!(register("c2", version(1, "c2", "s2"), &two, replace).await, []);
    let versions = store.versions("default", Some("checked")).await.unwrap();
    assert_eq!(versions, [version(2, "c1", "s1"), version(1, "c2", "s2")]);
    assert_eq!(store.input_schema("s2").await.unwrap(), Some(two.text));
}

async fn keeps_tenants_apart(store: &dyn Store) {
    let of = |tenant: &str, number| Run { tenant: tenant.into(), key: Some("same".into()), ..run(number) };
    let writes = [of("acme", 9_101), of("umbrella", 9_102)].map(|run| Write::Start(Box::new(run)));
    assert_eq!(
        store.commit(store.epoch(), &writes).await.unwrap().written,
        [const { Written::Done }; 2],
        "one key, two tenants"
    );
    let again = [Write::Start(Box::new(of("acme", 9_103)))];
    assert_eq!(
        store.commit(store.epoch(), &again).await.unwrap().written,
        [Written::KeyTaken(run(9_101).id)]
    );
    let key = async |tenant: &str| store.run_with_key(tenant, &run(1).workflow, "same").await.unwrap();
    assert_eq!(key("umbrella").await.unwrap().id, run(9_102).id);
    assert!(key("other").await.is_none());
    let filter = RunFilter { limit: 100, ..RunFilter::default() };
    let listed = async |tenant: &str| -> Vec<Uuid> {
        store.list(tenant, &filter).await.unwrap().runs.into_iter().map(|run| run.id).collect()
    };
    assert_eq!(listed("acme").await, [run(9_101).id.0]);
    assert!(!listed("default").await.contains(&run(9_101).id.0));
    let version = VersionRow {
        tenant: "acme".to_owned(),
        workflow: "payment".to_owned(),
        version: 1,
        digest: "d3".to_owned(),
        timeout_ms: 1,
        deprecated: false,
        active: false,
        created_at: Timestamp(1),
        input_schema: None,
    };
    let component = Some(Bytes::from_static(b"three"));
    let kept = store.register("d3", component, &[version], &[], VersionConflict::Keep).await.unwrap();
    assert_eq!(kept, [], "another tenant has its 1");
    assert!(store.activate("acme", "payment", 1).await.unwrap());
    assert!(!store.deprecate("umbrella", "payment", 1).await.unwrap());
    let theirs = store.versions("default", Some("payment")).await.unwrap();
    assert!(theirs.iter().all(|version| !version.active && version.digest != "d3"));
}

fn deed(action: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp(5),
        tenant: "acme".to_owned(),
        actor: "key \0 (ü)".to_owned(),
        action: action.to_owned(),
        subject: "it".to_owned(),
        detail: Some(r#"{"a":1}"#.to_owned()),
    }
}

async fn changes_an_entry_only_as_it_was_read(store: &dyn Store) {
    let directory = store.directory();
    let entry = |document: &str| Entry {
        kind: EntryKind::Tenant,
        tenant: "acme".to_owned(),
        name: "acme".to_owned(),
        document: document.to_owned(),
    };
    let put = |document: &str, was: Option<&str>| Change::Put {
        entry: entry(document),
        was: was.map(str::to_owned),
    };
    let change = async |change: Change| directory.change(Some(&change), &deed("change")).await.unwrap();
    assert!(!change(put("{}", Some("{}"))).await, "it is not there");
    assert!(change(put("{}", None)).await);
    assert!(!change(put("{1}", None)).await, "it is there");
    assert!(!change(put("{1}", Some("{2}"))).await, "somebody else has changed it");
    assert!(change(put("{1}", Some("{}"))).await);
    assert_eq!(directory.update(None).await.unwrap().changed, [entry("{1}")]);
    let removal = || Change::Remove(EntryKind::Tenant, "acme".to_owned(), "acme".to_owned());
    assert!(change(removal()).await);
    assert!(!change(removal()).await);
    let entries =
        directory.audit_entries(&AuditFilter { limit: 100, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(entries.len(), 3, "a change that was not made is not in the log");
}

async fn makes_one_signing_secret_and_keeps_it(store: &dyn Store) {
    let directory = store.directory();
    let (one, other) = tokio::join!(directory.signing_secret(&[1; 32]), directory.signing_secret(&[2; 32]));
    let secret = one.unwrap();
    assert!([[1; 32], [2; 32]].contains(&secret));
    assert_eq!(other.unwrap(), secret, "whoever is first");
    assert_eq!(directory.signing_secret(&[3; 32]).await.unwrap(), secret);
}

async fn tells_which_entries_have_changed_since_a_revision(store: &dyn Store) {
    let directory = store.directory();
    let entry = |name: &str, document: &str| Entry {
        kind: EntryKind::Key,
        tenant: "acme".to_owned(),
        name: name.to_owned(),
        document: document.to_owned(),
    };
    let change = async |change: Change| {
        assert!(directory.change(Some(&change), &deed("change")).await.unwrap());
    };
    let put = |name: &str, document: &str, was: Option<&str>| Change::Put {
        entry: entry(name, document),
        was: was.map(str::to_owned),
    };
    let before = directory.update(None).await.unwrap();
    assert!(before.is_whole);
    let nothing = directory.update(Some(before.revision)).await.unwrap();
    assert_eq!(nothing, Update { revision: before.revision, ..Update::default() });

    change(put("a", "{}", None)).await;
    change(put("b", "{}", None)).await;
    change(put("b", "{1}", Some("{}"))).await;
    change(put("c", "{}", None)).await;
    change(Change::Remove(EntryKind::Key, "acme".to_owned(), "c".to_owned())).await;
    let mut update = directory.update(Some(before.revision)).await.unwrap();
    update.changed.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!((update.changed, update.is_whole), (vec![entry("a", "{}"), entry("b", "{1}")], false));
    assert_eq!(update.removed, [entry("c", "").id()]);

    let revision = update.revision;
    let failed = directory.change(Some(&put("a", "{}", None)), &deed("change")).await.unwrap();
    assert!(!failed, "it is there");
    assert_eq!(directory.update(Some(revision)).await.unwrap().changed, []);
    directory.purge(&[entry("a", "").id(), entry("unknown", "").id()]).await.unwrap();
    let purged = directory.update(Some(revision)).await.unwrap();
    assert_eq!((purged.removed, purged.changed), (vec![entry("a", "").id()], vec![]));
    let all = directory.update(Some(purged.revision + 1)).await.unwrap();
    assert!(all.is_whole && all.changed.contains(&entry("b", "{1}")), "the database is an older copy");
    directory.purge(&[entry("b", "").id()]).await.unwrap();
}

async fn only_adds_to_the_audit_log(store: &dyn Store) {
    let directory = store.directory();
    assert!(directory.change(None, &deed("other")).await.unwrap());
    let others = AuditEntry { tenant: String::new(), ..deed("host") };
    assert!(directory.change(None, &others).await.unwrap());
    let read = async |tenant: Option<&str>, before, limit| {
        let filter = AuditFilter { tenant: tenant.map(str::to_owned), before, limit };
        directory.audit_entries(&filter).await.unwrap()
    };
    let all = read(None, None, 2).await;
    assert_eq!(all.iter().map(|(_, deed)| deed.clone()).collect::<Vec<_>>(), [others.clone(), deed("other")]);
    assert_eq!(read(Some("acme"), None, 1).await[0].1, deed("other"));
    assert_eq!(read(Some(""), None, 9).await.len(), 1);
    let (last, _) = all[1];
    assert!(read(None, Some(last), 9).await.iter().all(|(seq, _)| *seq < last));
}

async fn adds_up_what_was_used(store: &dyn Store) {
    let directory = store.directory();
    let used = |tenant: &str, hour, fuel| UsageRow {
        tenant: tenant.to_owned(),
        hour,
        amounts: Amounts { fuel, run_ms: 1, compile_ms: 2, ..Amounts::default() },
    };
    directory.add_usage(&[used("acme", 7, 5), used("umbrella", 7, 1)]).await.unwrap();
    directory.add_usage(&[used("acme", 7, 6), used("acme", 8, 1)]).await.unwrap();
    let of_acme = directory.usage(Some("acme"), 7..8).await.unwrap();
    assert_eq!(of_acme.len(), 1);
    let Amounts { fuel, run_ms, compile_ms, .. } = of_acme[0].amounts;
    assert_eq!((fuel, run_ms, compile_ms), (11, 2, 4));
    assert_eq!(directory.usage(None, 0..9).await.unwrap().len(), 3);
    directory.add_usage(&[]).await.unwrap();
}

/// A step, and then a request of the body.
fn call(journal: &mut Journal, number: u32, result: Option<&str>) {
    journal.apply(step(&format!("step {number}"), 2 * number), Timestamp(2_000)).unwrap();
    let seq = journal.rows().len() as u64;
    if let Some(result) = result {
        journal.apply(Event::Completed { seq, result: Some(result.into()) }, Timestamp(2_000)).unwrap();
    }
    let http = Kind::Effect(forge_journal::EffectKind::new("http"));
    let request = Begin::new(Scope::BODY, Some(2 * number + 1), http, "GET", Some(r#"{"url":"a"}"#));
    journal.apply(Event::Begun(request), Timestamp(2_000)).unwrap();
}

async fn shows_the_last_steps_of_a_run(store: &dyn Store) {
    let id = run(2_600).id;
    assert_eq!(store.overview(id).await.unwrap(), None);
    let mut journal = Journal::unsaved(run(2_600));
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    save(store, &mut journal).await;
    let overview = async |journal: &Journal| {
        let found = store.overview(id).await.unwrap().unwrap();
        assert_eq!(&found.run, journal.run());
        assert_eq!(found.recent, RecentSteps::of(journal.rows()));
        found.recent
    };
    assert_eq!(overview(&journal).await, RecentSteps::default());
    call(&mut journal, 0, None);
    save(store, &mut journal).await;
    assert_eq!(overview(&journal).await.steps[0].status, StepStatus::Running);
    (1..100).for_each(|number| call(&mut journal, number, Some("1")));
    save(store, &mut journal).await;
    let recent = overview(&journal).await;
    assert_eq!((recent.calls, recent.steps.len(), recent.has_more), (200, 100, false));
    assert_eq!((&*recent.steps[0].name, recent.steps[0].result.as_deref()), ("step 99", Some("1")));
    call(&mut journal, 100, Some("1"));
    save(store, &mut journal).await;
    let recent = overview(&journal).await;
    assert_eq!((recent.calls, recent.steps.len(), recent.has_more), (202, 100, true));
    let large = format!("\"{}\"", "ü".repeat(100_000));
    call(&mut journal, 101, Some(&large));
    call(&mut journal, 102, Some(&large));
    save(store, &mut journal).await;
    let recent = overview(&journal).await;
    assert_eq!((recent.steps.len(), recent.has_more), (1, true), "the results are bounded");

    // An earlier version wrote the first half of this journal.
    let id = run(2_601).id;
    let mut journal = Journal::unsaved(run(2_601));
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    (0..20).for_each(|number| call(&mut journal, number, Some("1")));
    let mut old = journal.take_changes();
    old.rows.iter_mut().for_each(|row| row.step_before = None);
    (20..40).for_each(|number| call(&mut journal, number, Some("1")));
    let batch = [Write::Save(id, old), Write::Save(id, journal.take_changes())];
    store.commit(store.epoch(), &batch).await.unwrap();
    let found = store.overview(id).await.unwrap().unwrap();
    assert_eq!(found.recent, RecentSteps::of(journal.rows()));
    assert_eq!(found.recent.steps.len(), 40);
}

async fn reads_a_journal_in_pages(store: &dyn Store) {
    let filter = StepFilter { after: 0, limit: 150, bytes: u64::MAX, payloads: true };
    let id = run(2_600).id;
    assert_eq!(store.steps(run(99).id, filter).await.unwrap(), None);
    let all = rows(store, id).await;
    let page = store.steps(id, filter).await.unwrap().unwrap();
    assert_eq!((&*page.tenant, page.has_more), ("default", true));
    assert_eq!(page.rows, all[..150]);
    let page = store.steps(id, StepFilter { after: 150, ..filter }).await.unwrap().unwrap();
    assert_eq!((page.rows.as_slice(), page.has_more), (&all[150..], false));
    for after in [all.len() as u64, 1 << 40, u64::MAX] {
        let page = store.steps(id, StepFilter { after, ..filter }).await.unwrap().unwrap();
        assert_eq!((page.rows.len(), page.has_more), (0, false));
    }
    // The last two steps have large results.
    let bounded = StepFilter { after: 202, bytes: 250_000, ..filter };
    let page = store.steps(id, bounded).await.unwrap().unwrap();
    assert_eq!((page.rows.as_slice(), page.has_more), (&all[202..204], true));
    let tiny = store.steps(id, StepFilter { bytes: 1, ..bounded }).await.unwrap().unwrap();
    assert_eq!((tiny.rows.as_slice(), tiny.has_more), (&all[202..203], true), "at least one");
    let without = store.steps(id, StepFilter { payloads: false, ..bounded }).await.unwrap().unwrap();
    let bare: Vec<Row> =
        all[202..].iter().map(|row| Row { input: None, result: None, ..row.clone() }).collect();
    assert_eq!((without.rows.as_slice(), without.has_more), (bare.as_slice(), false));
}

/// The same journal, of 206 calls.
async fn reads_what_changed_since_a_revision(store: &dyn Store) {
    let id = run(2_600).id;
    assert_eq!(store.position(run(99).id, None, 0).await.unwrap(), None);
    let all = rows(store, id).await;
    let of_run = store.run(id).await.unwrap().unwrap().revision;
    let highest = all.iter().map(|row| row.revision).fold(of_run, u64::max);
    let last = all.len() as u64;
    let position = store.position(id, None, 0).await.unwrap().unwrap();
    assert_eq!((&*position.tenant, position.revision, position.last_changed), ("default", highest, last));
    let now = store.position(id, Some(highest), 0).await.unwrap().unwrap();
    assert_eq!((now.revision, now.last_changed, now.calls, now.changed), (highest, 0, last, 0));

    let filter = ChangedFilter {
        since: None,
        after: 0,
        until: position.last_changed,
        limit: 150,
        bytes: u64::MAX,
        payloads: true,
    };
    assert_eq!(store.changed_steps(run(99).id, filter).await.unwrap().rows, []);
    let page = store.changed_steps(id, filter).await.unwrap();
    assert_eq!((page.rows.as_slice(), page.has_more), (&all[..150], true));
    let page = store.changed_steps(id, ChangedFilter { after: 150, ..filter }).await.unwrap();
    assert_eq!((page.rows.as_slice(), page.has_more), (&all[150..], false));
    let page = store.changed_steps(id, ChangedFilter { until: 3, ..filter }).await.unwrap();
    assert_eq!((page.rows.as_slice(), page.has_more), (&all[..3], false));
    for since in [0, all[0].revision, all[99].revision, highest - 1, highest, u64::MAX] {
        let position = store.position(id, Some(since), 0).await.unwrap().unwrap();
        let changed: Vec<Row> = all.iter().filter(|row| row.revision > since).cloned().collect();
        assert_eq!(position.last_changed, changed.last().map_or(0, |row| row.seq));
        assert_eq!(position.changed, changed.len() as u64);
        let filter = ChangedFilter { since: Some(since), limit: 500, until: position.last_changed, ..filter };
        let page = store.changed_steps(id, filter).await.unwrap();
        assert_eq!((page.rows, page.has_more), (changed, false), "since {since}");
    }
    let tiny = ChangedFilter { after: 202, bytes: 1, ..filter };
    let page = store.changed_steps(id, tiny).await.unwrap();
    assert_eq!((page.rows.as_slice(), page.has_more), (&all[202..203], true), "at least one");
    let page = store.changed_steps(id, ChangedFilter { payloads: false, ..tiny }).await.unwrap();
    assert!(page.rows.len() == 4 && page.rows.iter().all(|row| row.result.is_none()));
}

async fn stored(store: &dyn Store, tenant: &str) -> u64 {
    let stored = store.directory().stored().await.unwrap();
    stored.into_iter().find(|stored| stored.tenant == tenant).map_or(0, |stored| stored.bytes)
}

async fn unfinished(store: &dyn Store, tenant: &str) -> u64 {
    let stored = store.directory().stored().await.unwrap();
    stored.into_iter().find(|stored| stored.tenant == tenant).map_or(0, |stored| stored.unfinished)
}

/// What a run of the store takes, by its rows.
async fn taken(store: &dyn Store, id: RunId) -> u64 {
    let run = store.run(id).await.unwrap().unwrap();
    run.stored_bytes() + rows(store, id).await.iter().map(Row::stored_bytes).sum::<u64>()
}

async fn counts_the_runs_that_are_not_final(store: &dyn Store) {
    const TENANT: &str = "unfinished";
    let of =
        |number, key: Option<&str>| Run { tenant: TENANT.into(), key: key.map(Into::into), ..run(number) };
    let starts = [
        Write::Start(Box::new(of(95_101, Some("one")))),
        Write::Start(Box::new(of(95_102, Some("one")))),
        Write::InsertUnowned(Box::new(of(95_103, None))),
    ];
    let written = store.commit(store.epoch(), &starts[..2]).await.unwrap().written;
    assert_eq!(written[1], Written::KeyTaken(of(95_101, None).id));
    assert_eq!(unfinished(store, TENANT).await, 1);
    store.commit(store.epoch(), &starts[2..]).await.unwrap();
    assert_eq!(unfinished(store, TENANT).await, 2);

    // A run that starts and ends in one commit was never counted.
    let mut short = Journal::unsaved(of(95_104, None));
    short.apply(Event::Running, Timestamp(2_000)).unwrap();
    short.apply(Event::Finished { output: "1".into() }, Timestamp(3_000)).unwrap();
    save(store, &mut short).await;
    assert_eq!(unfinished(store, TENANT).await, 2);

    // A paused run is not final, and neither is one that is loaded again, or whose rollback is retried.
    let mut long = Journal::unsaved(of(95_105, None));
    long.apply(Event::Running, Timestamp(2_000)).unwrap();
    save(store, &mut long).await;
    assert_eq!(unfinished(store, TENANT).await, 3);
    let pause = Pause::of(long.run(), PauseReason::Operator, String::new());
    long.apply(Event::Paused(pause), Timestamp(2_500)).unwrap();
    save(store, &mut long).await;
    assert_eq!(unfinished(store, TENANT).await, 3);
    let mut long = Journal::load(store.run(long.run().id).await.unwrap().unwrap(), Vec::new()).unwrap();
    let failure = Failure::permanent(kind::ERROR, "no");
    long.apply(Event::Terminated { failure, in_doubt: Vec::new() }, Timestamp(4_000)).unwrap();
    save(store, &mut long).await;
    assert_eq!(unfinished(store, TENANT).await, 2);
    store.delete(&[long.run().id, short.run().id]).await.unwrap();
    assert_eq!(unfinished(store, TENANT).await, 2);
    for number in [95_101, 95_103] {
        let mut journal = Journal::new(of(number, None));
        journal.apply(Event::Running, Timestamp(2_000)).unwrap();
        journal.apply(Event::Finished { output: "1".into() }, Timestamp(3_000)).unwrap();
        save(store, &mut journal).await;
    }
    assert_eq!(unfinished(store, TENANT).await, 0);
}

async fn counts_what_runs_take(store: &dyn Store) {
    let of = |number, key: Option<&str>| Run {
        tenant: "counted".into(),
        key: key.map(Into::into),
        input: "\"ünïcode\"".into(),
        ..run(number)
    };
    assert_eq!(stored(store, "counted").await, 0);
    // A start is counted once, whoever wins and however often it is committed.
    let starts = [
        Write::Start(Box::new(of(98_001, Some("one")))),
        Write::Start(Box::new(of(98_002, Some("one")))),
        Write::InsertUnowned(Box::new(of(98_003, None))),
    ];
    let written = store.commit(store.epoch(), &starts).await.unwrap().written;
    assert_eq!(written, [Written::Done, Written::KeyTaken(of(98_001, None).id), Written::Done]);
    let both = taken(store, of(98_001, None).id).await + taken(store, of(98_003, None).id).await;
    assert_eq!(stored(store, "counted").await, both);

    // A journal that is saved in parts, and loaded in between as after a crash.
    let id = of(98_004, None).id;
    let mut journal = Journal::unsaved(of(98_004, None));
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    call(&mut journal, 0, Some(r#"{"a":1}"#));
    save(store, &mut journal).await;
    let failure = Failure::permanent(kind::ERROR, "no\0pe \u{1a}");
    journal.apply(Event::Delivered { seq: 2, outcome: Err(failure.clone()) }, Timestamp(3_000)).unwrap();
    call(&mut journal, 1, None);
    save(store, &mut journal).await;
    assert_eq!(stored(store, "counted").await, both + taken(store, id).await);
    let mut journal = Journal::load(store.run(id).await.unwrap().unwrap(), rows(store, id).await).unwrap();
    journal.apply(Event::Terminated { failure, in_doubt: Vec::new() }, Timestamp(4_000)).unwrap();
    let last = Write::Save(id, journal.take_changes());
    store.commit(store.epoch(), std::slice::from_ref(&last)).await.unwrap();
    let all = both + taken(store, id).await;
    assert_eq!(stored(store, "counted").await, all);
    assert!(all > 0);

    // Deletions take away exactly what was counted.
    assert_eq!(store.delete(&[id, of(98_001, None).id]).await.unwrap(), [id], "the other is not final");
    assert_eq!(stored(store, "counted").await, both);
    for number in [98_001, 98_003] {
        let mut journal = Journal::new(of(number, None));
        journal.apply(Event::Running, Timestamp(2_000)).unwrap();
        journal.apply(Event::Finished { output: "[1,2]".into() }, Timestamp(3_000)).unwrap();
        save(store, &mut journal).await;
    }
    let ids = [98_001, 98_003].map(|number| of(number, None).id);
    assert_eq!(stored(store, "counted").await, taken(store, ids[0]).await + taken(store, ids[1]).await);
    store.delete(&ids).await.unwrap();
    assert_eq!(stored(store, "counted").await, 0);
}
