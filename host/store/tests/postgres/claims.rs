//! The owners of runs.

use std::collections::BTreeSet;

use bytes::Bytes;
use forge_journal::{Run, Timestamp};
use forge_store::postgres::PostgresStore;
use forge_store::{Acquired, Due, Store as _, StoreError, VersionConflict, VersionRow, Write, Written};

use crate::support::{claim, commit, database, insert_unowned, open, run, start};

#[tokio::test]
async fn claims_are_disjoint_and_leave_the_runs_of_live_nodes_alone() {
    let url = database();
    let (a, b, c) = (open(&url, "a").await, open(&url, "b").await, open(&url, "c").await);
    let writes: Vec<Write> = (1..=300).map(insert_unowned).chain((301..=310).map(start)).collect();
    commit(&a, &writes).await.unwrap();
    let all = async |store: &PostgresStore| -> Vec<u128> {
        let mut all = Vec::new();
        loop {
            let claimed = claim(store, store.epoch(), 7).await.unwrap();
            if claimed.is_empty() {
                return all;
            }
            all.extend(claimed);
        }
    };
    let (mut of_b, of_c) = tokio::join!(all(&b), all(&c));
    of_b.extend(of_c);
    assert_eq!(of_b.len(), 300, "nothing is claimed twice");
    assert_eq!(of_b.into_iter().collect::<BTreeSet<_>>(), (1..=300).collect());
    assert_eq!(claim(&b, b.epoch(), 7).await.unwrap(), []);
}

#[tokio::test]
async fn runs_are_claimed_in_the_order_in_which_they_are_due() {
    let url = database();
    let a = open(&url, "a").await;
    let due =
        |number, time| Write::InsertUnowned(Box::new(Run { wake_at: Some(Timestamp(time)), ..run(number) }));
    commit(&a, &[due(1, 300), due(2, 100), due(3, 200), due(4, 400), insert_unowned(5)]).await.unwrap();
    let claimed = a.claim(a.epoch(), Timestamp(300), 3).await.unwrap();
    let claimed: Vec<_> = claimed.into_iter().map(|due| (due.at.0, due.run.0.as_u128())).collect();
    assert_eq!(claimed, [(0, 5), (100, 2), (200, 3)]);
    let due = a.due(a.epoch(), None, Timestamp::MAX, 10).await.unwrap();
    assert_eq!(due.len(), 3, "only claimed runs belong to this node");
    let rest = a.claim(a.epoch(), Timestamp(300), 3).await.unwrap();
    assert_eq!(rest, [Due { at: Timestamp(300), run: run(1).id, tenant: "default".into() }]);
}

#[tokio::test]
async fn an_unowned_run_is_acquired_but_not_one_of_a_live_node() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    commit(&a, &[start(1), insert_unowned(2)]).await.unwrap();
    let ids = [run(1).id, run(2).id, run(3).id];
    let take = async |store: &PostgresStore| -> Vec<&'static str> {
        let taken = store.acquire(store.epoch(), &ids).await.unwrap();
        taken
            .into_iter()
            .map(|taken| match taken.unwrap() {
                Acquired::Here(_) => "here",
                Acquired::Elsewhere => "elsewhere",
                Acquired::Unknown => "unknown",
            })
            .collect()
    };
    assert_eq!(take(&b).await, ["elsewhere", "here", "unknown"]);
    assert_eq!(take(&a).await, ["here", "elsewhere", "unknown"]);
    a.close().await;
    assert_eq!(take(&b).await, ["here", "here", "unknown"]);
}

#[tokio::test]
async fn two_nodes_that_start_runs_with_the_same_keys_get_the_same_ones() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    let keyed = |number: u128, key: u128| {
        Write::Start(Box::new(Run { key: Some(format!("order-{key}").into()), ..run(number) }))
    };
    for round in 0..20 {
        let first = round * 100;
        let of_a: Vec<Write> = (first..first + 10).map(|key| keyed(1_000_000 + key, key)).collect();
        let of_b: Vec<Write> = (first..first + 10).rev().map(|key| keyed(2_000_000 + key, key)).collect();
        let (of_a, of_b) = tokio::join!(commit(&a, &of_a), commit(&b, &of_b));
        let (of_a, mut of_b) = (of_a.unwrap(), of_b.unwrap());
        of_b.reverse();
        for (key, pair) in (first..).zip(of_a.into_iter().zip(of_b)) {
            let expected = [
                (Written::Done, Written::KeyTaken(run(1_000_000 + key).id)),
                (Written::KeyTaken(run(2_000_000 + key).id), Written::Done),
            ];
            assert!(expected.contains(&pair), "{pair:?}");
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_committed_twice_starts_its_runs_once() {
    let a = open(&database(), "a").await;
    let keyed =
        [Write::Start(Box::new(Run { key: Some("k".into()), ..run(1) })), insert_unowned(2), start(3)];
    for _ in 0..2 {
        assert_eq!(commit(&a, &keyed).await.unwrap(), [const { Written::Done }; 3]);
    }
    assert_eq!(a.unfinished(1_000_000).await.unwrap(), 3);
}

#[tokio::test]
async fn two_nodes_that_upload_the_same_version_agree_on_one() {
    let url = database();
    let (a, b) = (open(&url, "a").await, open(&url, "b").await);
    for number in 1..=20 {
        let version = |digest: &str| VersionRow {
            tenant: "default".to_owned(),
            workflow: "payment".to_owned(),
            version: number,
            digest: digest.to_owned(),
            timeout_ms: 1,
            deprecated: false,
            active: false,
            created_at: Timestamp(1),
            input_schema: None,
        };
        let (one, two) = (format!("a{number}"), format!("b{number}"));
        let (of_a, of_b) = (version(&one), version(&two));
        let answers = tokio::join!(
            a.register(
                &one,
                Some(Bytes::from_static(b"one")),
                std::slice::from_ref(&of_a),
                &[],
                VersionConflict::Keep
            ),
            b.register(
                &two,
                Some(Bytes::from_static(b"two")),
                std::slice::from_ref(&of_b),
                &[],
                VersionConflict::Keep
            ),
        );
        let answers = (answers.0.unwrap(), answers.1.unwrap());
        assert!(
            answers == (vec![], vec![of_a.clone()]) || answers == (vec![of_b.clone()], vec![]),
            "each gets the version of the other: {answers:?}"
        );
        let lost = if answers.0.is_empty() { &two } else { &one };
        assert_eq!(a.component(lost).await.unwrap(), None, "all or none");
    }
}

#[tokio::test]
async fn a_claim_of_an_epoch_that_never_was_is_fenced() {
    let a = open(&database(), "a").await;
    commit(&a, &[insert_unowned(1)]).await.unwrap();
    let never = forge_store::Epoch(999);
    assert!(matches!(claim(&a, never, 1).await, Err(StoreError::Fenced)));
    assert!(matches!(a.commit(never, &[insert_unowned(2)]).await, Err(StoreError::Fenced)));
    assert_eq!(claim(&a, a.epoch(), 10).await.unwrap(), [1]);
}
