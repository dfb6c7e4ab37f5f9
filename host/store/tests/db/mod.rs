//! The tenants' store.

use forge_journal::db::{Entry, Limits, Operation, Totals, Transaction};
use forge_journal::{
    Begin, Document, EffectKind, Event, Failure, Journal, Kind, Outcome, Performed, Run, Scope, StepStatus,
    Timestamp, kind,
};
use forge_store::{DbFilter, Store, Write, Written};

use super::{rows, run, save};

const LIMITS: Limits =
    Limits { key_bytes: 512, value_bytes: 1 << 20, operations: 5_000, entries: 10_000, bytes: 100 << 20 };

pub(super) async fn conforms(store: &dyn Store) {
    keeps_entries_as_they_are(store).await;
    performs_all_operations_or_none(store).await;
    performs_the_transactions_of_a_batch_in_their_order(store).await;
    performs_a_transaction_in_the_commit_of_its_call(store).await;
    lists_entries_in_pages_in_the_order_of_their_bytes(store).await;
    counts_what_a_tenant_has(store).await;
}

fn put(key: &str, value: &str) -> Operation {
    Operation::Put { key: key.to_owned(), value: Document::parse(value).unwrap() }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.to_owned() }
}

fn require(key: &str, version: impl Into<Option<u64>>) -> Operation {
    Operation::Require { key: key.to_owned(), version: version.into() }
}

fn transaction(tenant: &str, operations: Vec<Operation>) -> Transaction {
    Transaction { tenant: tenant.into(), operations, limits: LIMITS, at: Timestamp(5) }
}

/// Commits a batch of transactions, and returns their outcomes.
async fn commit(store: &dyn Store, transactions: Vec<Transaction>) -> Vec<Outcome> {
    let batch: Vec<Write> = transactions.into_iter().map(|one| Write::Transaction(Box::new(one))).collect();
    let written = store.commit(store.epoch(), &batch).await.unwrap().written;
    let outcome = |written| match written {
        Written::Transacted(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    written.into_iter().map(outcome).collect()
}

async fn perform(store: &dyn Store, tenant: &str, operations: Vec<Operation>) -> Result<String, Failure> {
    let outcome = commit(store, vec![transaction(tenant, operations)]).await.pop().unwrap();
    outcome.map(|result| result.unwrap().to_string())
}

async fn entry(store: &dyn Store, tenant: &str, key: &str) -> Option<(u64, String)> {
    let entry = store.db_entry(tenant, key).await.unwrap()?;
    assert_eq!(entry.key, key);
    Some((entry.version, entry.value.to_string()))
}

async fn keeps_entries_as_they_are(store: &dyn Store) {
    assert_eq!(store.db_entry("kept", "none").await.unwrap(), None);
    assert_eq!(store.db_totals("kept").await.unwrap(), Totals::default());
    let number = "123456789012345678901234567890.10";
    let large = format!("\"{}\"", "ü".repeat(200_000));
    for (key, value) in [
        ("plain", "null"),
        ("../../etc/passwd", number),
        ("ключ 💡", r#"{"b":1,"a":"\u0000\ud83d\ude00"}"#),
        ("'; DROP TABLE forge_db; --", &*large),
        ("%_\\", "[]"),
    ] {
        perform(store, "kept", vec![put(key, value)]).await.unwrap();
        assert_eq!(entry(store, "kept", key).await.unwrap().1, value);
        assert_eq!(entry(store, "other", key).await, None, "the tenants have stores of their own");
    }
    let failure = perform(store, "kept", vec![put("a\0b", "1")]).await.unwrap_err();
    assert_eq!(failure.kind, kind::INVALID_INPUT);
    assert_eq!(store.db_entry("kept", "a\0b").await.unwrap(), None);
}

async fn performs_all_operations_or_none(store: &dyn Store) {
    let all = perform(store, "atomic", vec![put("a", "1"), put("b", "2"), delete("none")]).await;
    assert_eq!(all.unwrap(), "[1,1,0]");
    assert_eq!(
        perform(store, "atomic", vec![require("a", 1), delete("a"), put("b", "3")]).await.unwrap(),
        "[0,0,2]"
    );
    assert_eq!(entry(store, "atomic", "a").await, None);
    let conflict =
        perform(store, "atomic", vec![put("a", "9"), delete("b"), require("b", 1)]).await.unwrap_err();
    assert_eq!(conflict.kind, kind::CONFLICT);
    assert_eq!(entry(store, "atomic", "a").await, None);
    assert_eq!(entry(store, "atomic", "b").await.unwrap(), (2, "3".to_owned()));
    assert_eq!(perform(store, "atomic", vec![require("a", None), put("a", "4")]).await.unwrap(), "[0,3]");
}

async fn performs_the_transactions_of_a_batch_in_their_order(store: &dyn Store) {
    let increment =
        |version: Option<u64>, value| transaction("batch", vec![require("n", version), put("n", value)]);
    let outcomes = commit(
        store,
        vec![
            increment(None, "1"),
            increment(None, "1"),
            transaction("batch-2", vec![put("n", "7")]),
            increment(Some(1), "2"),
        ],
    )
    .await;
    let texts: Vec<_> =
        outcomes.iter().map(|outcome| outcome.as_ref().map(|text| text.as_deref().unwrap())).collect();
    assert_eq!((texts[0], texts[2], texts[3]), (Ok("[0,1]"), Ok("[1]"), Ok("[0,2]")));
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind, kind::CONFLICT);
    assert_eq!(entry(store, "batch", "n").await.unwrap(), (2, "2".to_owned()));
    assert_eq!(entry(store, "batch-2", "n").await.unwrap(), (1, "7".to_owned()));
}

async fn performs_a_transaction_in_the_commit_of_its_call(store: &dyn Store) {
    let mut journal = Journal::unsaved(Run { tenant: "called".into(), ..run(99_000) });
    let id = journal.run().id;
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    save(store, &mut journal).await;
    let operations = vec![put("a", "1")];
    let call = Begin::new(Scope::BODY, Some(0), Kind::Effect(EffectKind::new("db")), "put a", Some("[]"));
    journal.apply(Event::Begun(call), Timestamp(3_000)).unwrap();
    let mut changes = journal.take_changes();
    let operation = forge_journal::Operation::Transaction(transaction("called", operations));
    changes.operations.push((1, operation));
    let written = store.commit(store.epoch(), &[Write::Save(id, changes)]).await.unwrap().written;
    let performed = Performed::Ended(Ok(Some("[1]".into())));
    assert_eq!(written, [Written::Performed(vec![(1, performed)])]);
    let row = rows(store, id).await.pop().unwrap();
    assert_eq!(
        (row.status, row.result.as_deref()),
        (StepStatus::Completed, Some("[1]")),
        "the row has the outcome"
    );
    assert_eq!(entry(store, "called", "a").await.unwrap(), (1, "1".to_owned()));
}

async fn lists_entries_in_pages_in_the_order_of_their_bytes(store: &dyn Store) {
    let keys = ["Z", "a", "a/", "a/1", "a/10", "a/2", "a/ü", "a/\u{10ffff}", "a0", "b", "ä"];
    perform(store, "listed", keys.iter().rev().map(|key| put(key, "\"12345678\"")).collect()).await.unwrap();
    perform(store, "listed-2", vec![put("a/3", "1")]).await.unwrap();
    let list = async |prefix: &str, after: Option<&str>, limit, bytes| {
        let filter = DbFilter { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit, bytes };
        let page = store.db_entries("listed", &filter).await.unwrap();
        let keys = page.entries.iter().map(|entry: &Entry| entry.key.clone()).collect::<Vec<_>>();
        (keys.join(" "), page.has_more)
    };
    let all = |text: &str, more| (text.to_owned(), more);
    assert_eq!(list("", None, 100, u64::MAX).await, all(&keys.join(" "), false));
    assert_eq!(list("a/", None, 100, u64::MAX).await, all("a/ a/1 a/10 a/2 a/ü a/\u{10ffff}", false));
    assert!(!list("a/", None, 6, u64::MAX).await.1);
    assert_eq!(list("a/", None, 2, u64::MAX).await, all("a/ a/1", true));
    assert_eq!(list("a/", Some("a/1"), 2, u64::MAX).await, all("a/10 a/2", true));
    assert_eq!(list("a/", Some("a/11"), 100, u64::MAX).await, all("a/2 a/ü a/\u{10ffff}", false));
    assert_eq!(list("a/", Some("A"), 1, u64::MAX).await, all("a/", true), "the prefix comes later");
    assert_eq!(list("a/", Some("b"), 9, u64::MAX).await, all("", false));
    assert_eq!(list("ä", None, 9, u64::MAX).await, all("ä", false));
    assert_eq!(list("%", None, 9, u64::MAX).await, all("", false));
    assert_eq!(list("a/", None, 100, 1).await, all("a/", true), "at least one");
    assert_eq!(list("a/", None, 100, 25).await, all("a/ a/1", true), "12 and 13 bytes");
    let page = store
        .db_entries("listed", &DbFilter { limit: 1, bytes: 1_000, ..DbFilter::default() })
        .await
        .unwrap();
    assert_eq!((page.entries[0].version, page.entries[0].value.text().as_ref()), (1, "\"12345678\""));
}

async fn counts_what_a_tenant_has(store: &dyn Store) {
    let many = (0..1_000).map(|number| put(&format!("k{number:04}"), "12")).collect();
    perform(store, "totals", many).await.unwrap();
    assert_eq!(store.db_totals("totals").await.unwrap(), Totals { version: 1, entries: 1_000, bytes: 7_000 });
    let fewer = (0..999).map(|number| delete(&format!("k{number:04}"))).chain([put("k0999", "\"ü\"")]);
    perform(store, "totals", fewer.collect()).await.unwrap();
    assert_eq!(store.db_totals("totals").await.unwrap(), Totals { version: 2, entries: 1, bytes: 9 });
    let limits = Limits { bytes: 12, ..LIMITS };
    let full = Transaction { limits, ..transaction("totals", vec![put("k", "123")]) };
    let failure = commit(store, vec![full]).await.pop().unwrap().unwrap_err();
    assert!(
        failure.message.contains("would have 13 bytes of keys and values; the most is 12 (db_bytes)"),
        "{failure}"
    );
}
