//! The conformance tests of inboxes and of operations in the commit of a call: each runs on both stores.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use forge_journal::{
    Begin, Changes, EffectKind, EntryKind, Event, Inbox, InboxEntry, Journal, Kind, Message, NewRun,
    Operation, Parent, Performed, Run, RunId, Scope, Sent, Timestamp, Unsent, WorkflowStatus,
};
use forge_postgres::Server;
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::sqlite::SqliteStore;
use forge_store::{Acquired, Committed, Store, Write, Written};
use uuid::Uuid;

/// Runs a test on each store.
async fn on_each_store(test: impl AsyncFn(&dyn Store)) {
    let directory = tempfile::tempdir().unwrap();
    test(&SqliteStore::open(&directory.path().join("forge.db")).await.unwrap()).await;
    let options = PostgresOptions::new(Server::shared().unwrap().create_database().unwrap(), "one");
    test(&PostgresStore::open(&options).await.unwrap()).await;
}

fn run(number: u128) -> Run {
    Run::new(NewRun {
        id: RunId(Uuid::from_u128(number)),
        tenant: "default".into(),
        workflow: "order".into(),
        version: 1,
        digest: "abc".into(),
        input: "{}".into(),
        started_at: Timestamp(1_000),
        timeout_ms: 60_000,
    })
}

fn message(to: RunId, name: &str, key: &str, payload: &str) -> Message {
    Message {
        to,
        tenant: "default".into(),
        kind: EntryKind::Event,
        name: name.into(),
        key: key.into(),
        payload: payload.into(),
        at: Timestamp(2_000),
        most_events: 100,
        most_bytes: 1_000,
    }
}

async fn commit(store: &dyn Store, writes: &[Write]) -> Committed {
    store.commit(store.epoch(), writes).await.unwrap()
}

async fn send(store: &dyn Store, message: Message) -> Result<Sent, Unsent> {
    let committed = commit(store, &[Write::Send(Box::new(message))]).await;
    match committed.written.as_slice() {
        [Written::Sent(sent)] => sent.clone(),
        other => panic!("{other:?}"),
    }
}

async fn save(store: &dyn Store, journal: &mut Journal) -> Committed {
    let changes = journal.take_changes();
    commit(store, &[Write::Save(journal.run().id, changes)]).await
}

async fn inbox(store: &dyn Store, run: RunId) -> Inbox {
    store.inbox(run, 0, 100).await.unwrap().unwrap()
}

async fn is_due(store: &dyn Store, run: RunId, at: Timestamp) -> bool {
    let due = store.due(store.epoch(), None, at, 100).await.unwrap();
    due.iter().any(|due| due.run == run)
}

/// Returns a run that waits for an event until the time 9,000, as the store has it.
async fn waiting(store: &dyn Store, number: u128) -> Journal {
    let mut journal = Journal::unsaved(run(number));
    journal.apply(Event::Running, Timestamp(1_500)).unwrap();
    let event = Kind::Effect(EffectKind::new("event"));
    let begin = Begin {
        awaits: Some(EntryKind::Event),
        ..Begin::new(Scope::BODY, Some(0), event, "approval", Some("{}"))
    };
    journal.apply(Event::Begun(begin), Timestamp(1_500)).unwrap();
    let until = Event::Waiting { until: Timestamp(9_000), waits_for: Some("[]".into()) };
    journal.apply(until, Timestamp(1_500)).unwrap();
    save(store, &mut journal).await;
    journal
}

#[tokio::test]
async fn an_entry_is_kept_once_for_each_key_and_makes_its_run_due() {
    on_each_store(async |store| {
        let id = waiting(store, 1).await.run().id;
        assert!(!is_due(store, id, Timestamp(8_000)).await);
        let first = send(store, message(id, "approval", "k", "1")).await;
        assert_eq!(first, Ok(Sent { seq: 1, duplicate: false }));
        let again = send(store, message(id, "approval", "k", "2")).await;
        assert_eq!(again, Ok(Sent { seq: 1, duplicate: true }));
        let other = send(store, message(id, "line \0", "k", "3")).await;
        assert_eq!(other, Ok(Sent { seq: 2, duplicate: false }), "keys are those of a name");
        assert!(is_due(store, id, Timestamp(8_000)).await);
        let entries: Vec<InboxEntry> = inbox(store, id).await.into_entries().collect();
        let shown: Vec<_> = entries.iter().map(|entry| (entry.seq, &*entry.name, &*entry.payload)).collect();
        assert_eq!(shown, [(1, "approval", "1"), (2, "line \0", "3")]);
        assert_eq!(store.inbox(id, 1, 100).await.unwrap().unwrap().entries().count(), 1);
        assert_eq!(store.inbox(RunId::MAX, 0, 100).await.unwrap(), None);
        let acquired = store.acquire(store.epoch(), &[id]).await.unwrap().remove(0).unwrap();
        let Acquired::Here(loaded) = acquired else { panic!("it is here") };
        assert_eq!(loaded.inbox, Inbox::new(2, entries));
    })
    .await;
}

#[tokio::test]
async fn a_run_that_does_not_know_of_an_entry_stays_due() {
    on_each_store(async |store| {
        let mut journal = waiting(store, 1).await;
        let id = journal.run().id;
        send(store, message(id, "other", "k", "1")).await.unwrap();
        // It saves what it is without having heard of the entry.
        journal.apply(Event::Running, Timestamp(2_500)).unwrap();
        let until = || Event::Waiting { until: Timestamp(9_500), waits_for: None };
        journal.apply(until(), Timestamp(2_500)).unwrap();
        save(store, &mut journal).await;
        assert!(is_due(store, id, Timestamp(8_000)).await, "the entry is not forgotten");
        let entry = inbox(store, id).await.into_entries().next().unwrap();
        journal.receive(entry);
        save(store, &mut journal).await;
        assert!(!is_due(store, id, Timestamp(8_000)).await, "it knows of the entry, and waits for another");
    })
    .await;
}

#[tokio::test]
async fn a_taken_entry_is_gone_and_its_key_is_known() {
    on_each_store(async |store| {
        let mut journal = waiting(store, 1).await;
        let id = journal.run().id;
        send(store, message(id, "approval", "k", "\"yes\"")).await.unwrap();
        journal.set_inbox(inbox(store, id).await);
        journal.apply(Event::Running, Timestamp(2_500)).unwrap();
        journal.apply(Event::Taken { seq: 1, entry: 1 }, Timestamp(2_500)).unwrap();
        save(store, &mut journal).await;
        assert_eq!(inbox(store, id).await.entries().count(), 0);
        assert_eq!(journal.row(1).unwrap().result.as_deref(), Some("\"yes\""));
        let again = send(store, message(id, "approval", "k", "2")).await;
        assert_eq!(again, Ok(Sent { seq: 1, duplicate: true }));
    })
    .await;
}

#[tokio::test]
async fn an_inbox_has_limits_and_a_final_or_foreign_run_takes_nothing() {
    on_each_store(async |store| {
        let mut journal = waiting(store, 1).await;
        let id = journal.run().id;
        let small = |key: &str| Message { most_events: 2, ..message(id, "a", key, "1") };
        send(store, small("1")).await.unwrap();
        send(store, small("2")).await.unwrap();
        assert!(matches!(send(store, small("3")).await, Err(Unsent::Full { limit: "inbox_events", .. })));
        assert_eq!(send(store, small("2")).await, Ok(Sent { seq: 2, duplicate: true }));
        let long = Message { most_bytes: 10, ..message(id, "a", "4", "123456789") };
        assert!(matches!(send(store, long).await, Err(Unsent::Full { limit: "inbox_bytes", .. })));
        let foreign = Message { tenant: "other".into(), ..message(id, "a", "5", "1") };
        assert_eq!(send(store, foreign).await, Err(Unsent::Unknown(id)));
        assert_eq!(send(store, message(RunId::MAX, "a", "5", "1")).await, Err(Unsent::Unknown(RunId::MAX)));
        journal.apply(Event::Running, Timestamp(2_500)).unwrap();
        journal.apply(Event::Finished { output: "1".into() }, Timestamp(2_500)).unwrap();
        save(store, &mut journal).await;
        let late = send(store, message(id, "a", "6", "1")).await;
        assert_eq!(late, Err(Unsent::Final { run: id, status: WorkflowStatus::Completed }));
        assert_eq!(inbox(store, id).await.entries().count(), 2, "what it never took is shown");
        assert_eq!(store.delete(&[id]).await.unwrap(), [id]);
        assert_eq!(store.inbox(id, 0, 100).await.unwrap(), None);
        let totals = store.directory().stored().await.unwrap();
        assert!(totals.iter().all(|totals| (totals.bytes, totals.unfinished) == (0, 0)), "{totals:?}");
    })
    .await;
}

#[tokio::test]
async fn a_start_with_an_event_is_one_commit_and_sends_nothing_if_the_key_is_taken() {
    on_each_store(async |store| {
        let start = |number: u128, unowned| {
            let run = Run { key: Some("k".into()), ..run(number) };
            let event = Box::new(message(run.id, "first", "e", "1"));
            Write::StartWithEvent { run: Box::new(run), event, unowned }
        };
        let committed = commit(store, &[start(1, false)]).await;
        assert_eq!((committed.written.as_slice(), committed.delivered.len()), (&[Written::Done][..], 1));
        let committed = commit(store, &[start(2, true)]).await;
        assert_eq!(committed.written, [Written::KeyTaken(run(1).id)]);
        assert!(committed.delivered.is_empty());
        assert_eq!(inbox(store, run(1).id).await.entries().count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_child_starts_and_ends_in_the_commits_of_its_parent_and_its_own() {
    on_each_store(async |store| {
        let mut parent = Journal::unsaved(run(1));
        parent.apply(Event::Running, Timestamp(1_500)).unwrap();
        let child = Kind::Effect(EffectKind::new("child"));
        parent
            .apply(
                Event::Begun(Begin {
                    awaits: Some(EntryKind::ChildEnded),
                    ..Begin::new(Scope::BODY, Some(0), child, "ship", Some("{}"))
                }),
                Timestamp(1_500),
            )
            .unwrap();
        let above = Parent { run: parent.run().id, call: 1, depth: 1, attached: true };
        let started = Run { parent: Some(above), ..run(2) };
        let operation = Operation::Start(Box::new(started.clone()));
        let changes = parent.take_changes_with(vec![(1, operation.clone())], Timestamp(1_500));
        let repeated = changes.clone();
        let committed = commit(store, &[Write::Save(parent.run().id, changes)]).await;
        let performed = Written::Performed(vec![(1, Performed::Started(started.id))]);
        assert_eq!(committed.written, [performed]);
        assert_eq!(committed.started, std::slice::from_ref(&started));
        let again = commit(
            store,
            &[Write::Save(parent.run().id, Changes { new_run: false, new_rows: 0, ..repeated })],
        )
        .await;
        assert!(again.started.is_empty(), "it is started once");
        let row =
            store.load(&[parent.run().id]).await.unwrap().remove(0).unwrap().unwrap().rows.unwrap().remove(0);
        assert_eq!(row.child, Some(started.id));

        let mut child = Journal::new(store.run(started.id).await.unwrap().unwrap());
        assert_eq!(child.run().parent, Some(above));
        child.apply(Event::Running, Timestamp(2_000)).unwrap();
        child.apply(Event::Finished { output: "[1.50]".into() }, Timestamp(2_000)).unwrap();
        let committed = save(store, &mut child).await;
        assert_eq!(committed.delivered.len(), 1);
        parent.apply(Event::Started { seq: 1, run: started.id }, Timestamp(2_100)).unwrap();
        parent.set_inbox(inbox(store, parent.run().id).await);
        parent.apply(Event::Taken { seq: 1, entry: 1 }, Timestamp(2_200)).unwrap();
        assert_eq!(parent.row(1).unwrap().result.as_deref(), Some("[1.50]"));
    })
    .await;
}

#[tokio::test]
async fn messages_of_many_writers_are_numbered_without_gaps() {
    on_each_store(async |store| {
        let id = waiting(store, 1).await.run().id;
        let senders = (0..20).map(|number| async move {
            let batch: Vec<Write> = (0..5)
                .map(|n| Write::Send(Box::new(message(id, "a", &format!("{number}-{n}"), "1"))))
                .collect();
            commit(store, &batch).await
        });
        futures::future::join_all(senders).await;
        let seqs: Vec<u64> = inbox(store, id).await.entries().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (1..=100).collect::<Vec<u64>>());
    })
    .await;
}

#[tokio::test]
async fn a_cancel_wakes_a_paused_run_and_an_event_does_not() {
    on_each_store(async |store| {
        let mut journal = waiting(store, 1).await;
        let id = journal.run().id;
        let pause =
            forge_journal::Pause::of(journal.run(), forge_journal::PauseReason::Operator, "p".to_owned());
        journal.apply(Event::Paused(pause), Timestamp(2_000)).unwrap();
        save(store, &mut journal).await;
        send(store, message(id, "approval", "k", "1")).await.unwrap();
        assert!(!is_due(store, id, Timestamp(8_000)).await);
        let cancel =
            Message { kind: EntryKind::Cancel, name: Arc::default(), ..message(id, "", "p", "null") };
        send(store, cancel).await.unwrap();
        assert!(is_due(store, id, Timestamp(8_000)).await);
    })
    .await;
}
