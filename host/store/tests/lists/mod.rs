//! Lists of runs.

use std::collections::BTreeMap;

use forge_journal::{Event, Journal, Run, RunId, Tags, Timestamp, WorkflowStatus};
use forge_store::{RunFilter, RunList, RunNumbers, Store, Write};
use uuid::Uuid;

use super::{ended, run, save, stored};

pub(super) async fn conforms(store: &dyn Store) {
    lists_the_newest_first_in_pages(store).await;
    lists_the_runs_of_a_key_a_time_and_a_prefix(store).await;
}

/// The same with runs of their own, some of which are unfinished.
pub(super) async fn finds(store: &dyn Store) {
    lists_pages_in_both_directions(store).await;
    finds_runs_by_their_tags(store).await;
    finds_runs_by_several_conditions(store).await;
    examines_a_bounded_number_of_runs(store).await;
}

async fn lists_the_newest_first_in_pages(store: &dyn Store) {
    let ids = async |filter: RunFilter| -> Vec<u128> {
        store.list("default", &filter).await.unwrap().runs.iter().map(|run| run.id.as_u128()).collect()
    };
    let filter = RunFilter { limit: 2, ..RunFilter::default() };
    assert_eq!(ids(filter.clone()).await, [6, 3]);
    let cursor = Some(Uuid::from_u128(3));
    assert_eq!(ids(RunFilter { cursor, ..filter.clone() }).await, [2, 1]);
    assert_eq!(ids(RunFilter { workflow: Some("refund".to_owned()), ..filter.clone() }).await, [6]);
    assert_eq!(ids(RunFilter { statuses: vec![WorkflowStatus::Paused], ..filter }).await, [1]);
}

async fn lists_the_runs_of_a_key_a_time_and_a_prefix(store: &dyn Store) {
    let list = async |filter: RunFilter| -> Vec<u128> {
        let filter = RunFilter { limit: 10, ..filter };
        store.list("lists", &filter).await.unwrap().runs.iter().map(|run| run.id.as_u128() & 0xff).collect()
    };
    for (number, workflow, key) in [(1, "a", "k"), (2, "b", "k"), (3, "a", "other"), (4, "a", "last")] {
        let id = RunId(Uuid::from_u128((u128::from(1_000_u32 * number) << 80) | u128::from(number)));
        let new =
            Run { id, tenant: "lists".into(), workflow: workflow.into(), key: Some(key.into()), ..run(0) };
        ended(store, new, WorkflowStatus::Completed).await;
    }
    let filter = RunFilter::default();
    let key = RunFilter { key: Some("k".to_owned()), ..filter.clone() };
    assert_eq!(list(key.clone()).await, [2, 1]);
    assert_eq!(list(RunFilter { workflow: Some("a".to_owned()), ..key.clone() }).await, [1]);
    assert_eq!(list(RunFilter { statuses: vec![WorkflowStatus::Failed], ..key.clone() }).await, [0; 0]);
    assert_eq!(list(RunFilter { since: Some(Timestamp(1_500)), ..key }).await, [2]);
    let since = |time| RunFilter { since: Some(Timestamp(time)), ..RunFilter::default() };
    assert_eq!(list(since(3_000)).await, [4, 3]);
    assert_eq!(list(since(4_001)).await, [0; 0]);
    let statuses = vec![WorkflowStatus::Completed, WorkflowStatus::Paused];
    assert_eq!(list(RunFilter { statuses, ..since(4_000) }).await, [4]);
    let prefix = |text: &str| RunFilter { id_prefix: Some(text.parse().unwrap()), ..RunFilter::default() };
    assert_eq!(list(prefix("00000000-0")).await, [4, 3, 2, 1]);
    assert_eq!(list(prefix("00000000-0bb8")).await, [3]);
    assert_eq!(list(RunFilter { workflow: Some("b".to_owned()), ..prefix("00000000-0") }).await, [2]);
    assert_eq!(list(prefix("00000001")).await, [0; 0]);
    assert_eq!(
        store.list("default", &RunFilter { limit: 9, ..prefix("00000000-0bb8") }).await.unwrap(),
        RunList::default()
    );
    let before = RunFilter { before: Some(Timestamp(3_000)), ..since(2_000) };
    assert_eq!(list(before).await, [2], "neither an earlier one nor one of this time");
    let all = store.list("lists", &RunFilter { limit: 9, ..filter }).await.unwrap().runs;
    store.delete(&all.iter().map(|run| RunId(run.id)).collect::<Vec<_>>()).await.unwrap();
}

/// Returns a run of a tenant of these tests.
fn of(tenant: &str, number: u128, tags: &[(&str, &str)]) -> Run {
    Run { tenant: tenant.into(), tags: with(tags), ..run(number) }
}

fn with(tags: &[(&str, &str)]) -> Tags {
    let mut all = Tags::default();
    tags.iter().for_each(|(name, value)| all.set(name, value).unwrap());
    all
}

/// Returns the low bytes of the ids of a list.
async fn list(store: &dyn Store, tenant: &str, filter: RunFilter) -> Vec<u128> {
    let list = store.list(tenant, &RunFilter { limit: 10, ..filter }).await.unwrap();
    assert_eq!(list.examined_to, None);
    list.runs.iter().map(|run| run.id.as_u128() & 0xff).collect()
}

async fn counts(
    store: &dyn Store,
    tenant: &str,
    filter: &RunFilter,
    most: u32,
) -> Vec<(WorkflowStatus, u64)> {
    let RunNumbers { counts, at_least } = store.counts(tenant, filter, most).await.unwrap();
    let is_full = counts.iter().filter(|(_, count)| **count >= u64::from(most)).map(|(status, _)| *status);
    assert_eq!(at_least, is_full.collect());
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

async fn lists_pages_in_both_directions(store: &dyn Store) {
    const TENANT: &str = "directions";
    for number in 1..=6 {
        store
            .commit(store.epoch(), &[Write::Start(Box::new(of(TENANT, 0xd00 + number, &[])))])
            .await
            .unwrap();
    }
    let page = async |filter: RunFilter| -> Vec<u128> {
        let list = store.list(TENANT, &RunFilter { limit: 2, ..filter }).await.unwrap();
        list.runs.iter().map(|run| run.id.as_u128() & 0xff).collect()
    };
    let newer = |number: u128| RunFilter { newer: Some(run(0xd00 + number).id.0), ..RunFilter::default() };
    assert_eq!(page(newer(2)).await, [3, 4], "those that follow it, the oldest first");
    assert_eq!(page(newer(5)).await, [6]);
    assert_eq!(page(newer(6)).await, [0; 0]);
    assert_eq!(page(RunFilter { newer: Some(Uuid::nil()), ..RunFilter::default() }).await, [1, 2]);
    assert_eq!(page(RunFilter { newer: Some(Uuid::max()), ..RunFilter::default() }).await, [0; 0]);
    let prefix = RunFilter { id_prefix: "00000000".parse().ok(), ..newer(3) };
    assert_eq!(page(prefix).await, [4, 5]);
}

async fn finds_runs_by_their_tags(store: &dyn Store) {
    const TENANT: &str = "tags";
    let tags = |tags: &[(&str, &str)]| RunFilter { tags: with(tags), ..RunFilter::default() };
    let odd = "it's \"odd\" \\ \u{202e}é";
    let first = of(TENANT, 0x7a01, &[("order", "1041"), ("customer", "acme")]);
    store.commit(store.epoch(), &[Write::Start(Box::new(first.clone()))]).await.unwrap();
    let failed =
        ended(store, of(TENANT, 0x7a02, &[("order", "1042"), ("customer", "acme")]), WorkflowStatus::Failed)
            .await;
    ended(store, of(TENANT, 0x7a03, &[("order", odd)]), WorkflowStatus::Completed).await;
    ended(store, of(TENANT, 0x7a04, &[]), WorkflowStatus::Completed).await;
    assert_eq!(store.run(first.id).await.unwrap().unwrap().tags, first.tags);
    assert_eq!(list(store, TENANT, tags(&[("customer", "acme")])).await, [2, 1]);
    assert_eq!(list(store, TENANT, tags(&[("customer", "acme"), ("order", "1042")])).await, [2]);
    assert_eq!(list(store, TENANT, tags(&[("order", odd)])).await, [3]);
    assert_eq!(list(store, TENANT, tags(&[("order", "104")])).await, [0; 0]);
    assert_eq!(
        list(store, "default", tags(&[("customer", "acme")])).await,
        [0; 0],
        "it is of another tenant"
    );
    let one = store.list(TENANT, &RunFilter { limit: 1, ..tags(&[("order", odd)]) }).await.unwrap();
    assert_eq!(one.runs[0].tags, BTreeMap::from([("order".to_owned(), odd.to_owned())]));

    // The status of the run is that of its tags.
    let of_status = |status| RunFilter { statuses: vec![status], ..tags(&[("customer", "acme")]) };
    assert_eq!(list(store, TENANT, of_status(WorkflowStatus::Created)).await, [1]);
    let mut journal = Journal::new(first.clone());
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    let tagged = |name: &str, value: &str| Event::Tagged { name: name.to_owned(), value: value.to_owned() };
    journal.apply(tagged("order", "1043"), Timestamp(2_000)).unwrap();
    journal.apply(tagged("late", ""), Timestamp(2_000)).unwrap();
    save(store, &mut journal).await;
    assert_eq!(list(store, TENANT, of_status(WorkflowStatus::Created)).await, [0; 0]);
    assert_eq!(list(store, TENANT, of_status(WorkflowStatus::Running)).await, [1]);
    assert_eq!(list(store, TENANT, of_status(WorkflowStatus::Failed)).await, [2]);
    assert_eq!(list(store, TENANT, tags(&[("order", "1041")])).await, [0; 0], "it has another value");
    assert_eq!(list(store, TENANT, tags(&[("order", "1043"), ("late", "")])).await, [1]);
    assert_eq!(
        counts(store, TENANT, &tags(&[("customer", "acme")]), 10).await,
        [(WorkflowStatus::Running, 1), (WorkflowStatus::Failed, 1)]
    );

    // A batch may be committed twice, and a start with a key counts its tags.
    let keyed = Run { key: Some("tagged".into()), ..of(TENANT, 0x7a05, &[("order", "1044")]) };
    let before = stored(store, TENANT).await;
    for _ in 0..2 {
        store.commit(store.epoch(), &[Write::Start(Box::new(keyed.clone()))]).await.unwrap();
    }
    assert_eq!(stored(store, TENANT).await - before, keyed.stored_bytes());
    assert_eq!(list(store, TENANT, tags(&[("order", "1044")])).await, [5]);

    // A deleted run leaves no tag.
    let before = stored(store, TENANT).await;
    let taken = super::taken(store, failed).await;
    store.delete(&[failed]).await.unwrap();
    assert_eq!(before - stored(store, TENANT).await, taken);
    assert_eq!(counts(store, TENANT, &tags(&[("order", "1042")]), 10).await, []);
}

async fn finds_runs_by_several_conditions(store: &dyn Store) {
    const TENANT: &str = "conditions";
    for number in 1..=12_u128 {
        let tags = [("half", if number % 2 == 0 { "even" } else { "odd" }), ("number", &number.to_string())];
        let workflow = if number % 3 == 0 { "refund" } else { "payment" };
        let status = if number > 8 { WorkflowStatus::Failed } else { WorkflowStatus::Completed };
        let new = Run {
            workflow: workflow.into(),
            version: (number % 4) as u32,
            ..of(TENANT, 0xc00 + number, &tags)
        };
        ended(store, new, status).await;
    }
    let all = RunFilter::default;
    let even = || RunFilter { tags: with(&[("half", "even")]), ..all() };
    let refund = |filter: RunFilter| RunFilter { workflow: Some("refund".to_owned()), ..filter };
    let failed = |filter: RunFilter| RunFilter { error_kind: Some("error".to_owned()), ..filter };
    let version = |filter: RunFilter| RunFilter { version: Some(0), ..filter };
    let newer = |filter: RunFilter| RunFilter { newer: Some(run(0xc00 + 6).id.0), ..filter };
    let found = async |filter| list(store, TENANT, filter).await;
    assert_eq!(found(failed(all())).await, [12, 11, 10, 9]);
    assert_eq!(found(version(all())).await, [12, 8, 4]);
    assert_eq!(found(refund(even())).await, [12, 6]);
    assert_eq!(found(failed(refund(even()))).await, [12]);
    assert_eq!(found(failed(refund(all()))).await, [12, 9]);
    assert_eq!(found(version(even())).await, [12, 8, 4]);
    assert_eq!(found(version(failed(refund(even())))).await, [12]);
    assert_eq!(found(newer(even())).await, [8, 10, 12]);
    assert_eq!(found(newer(version(refund(even())))).await, [12]);
    assert_eq!(found(newer(failed(even()))).await, [10, 12]);
    let statuses = vec![WorkflowStatus::Completed, WorkflowStatus::Paused];
    assert_eq!(found(RunFilter { statuses, ..refund(even()) }).await, [6]);
    let prefix = |filter: RunFilter| RunFilter { id_prefix: "00000000".parse().ok(), ..filter };
    assert_eq!(found(prefix(failed(even()))).await, [12, 10]);
    assert_eq!(found(prefix(version(refund(all())))).await, [12]);
    assert_eq!(
        counts(store, TENANT, &refund(all()), 10).await,
        [(WorkflowStatus::Completed, 2), (WorkflowStatus::Failed, 2)]
    );
    assert_eq!(counts(store, TENANT, &failed(all()), 3).await, [(WorkflowStatus::Failed, 3)], "at most");
    let until = RunFilter { cursor: Some(run(0xc00 + 4).id.0), ..even() };
    assert_eq!(counts(store, TENANT, &until, 10).await, [(WorkflowStatus::Completed, 1)]);
    for filter in
        [failed(even()), version(refund(all())), prefix(failed(even())), prefix(version(refund(all())))]
    {
        let listed = found(filter.clone()).await.len() as u64;
        let counted: u64 =
            counts(store, TENANT, &filter, 100).await.into_iter().map(|(_, count)| count).sum();
        assert_eq!(counted, listed, "{filter:?}");
    }
}

async fn examines_a_bounded_number_of_runs(store: &dyn Store) {
    const TENANT: &str = "examined";
    const RUNS: u128 = 1_200;
    let start = |number: u128| {
        let version = if number == 7 || number == RUNS - 1 { 2 } else { 1 };
        Write::Start(Box::new(Run { version, ..of(TENANT, 0xe_0000 + number, &[]) }))
    };
    let batch: Vec<Write> = (0..RUNS).map(start).collect();
    store.commit(store.epoch(), &batch).await.unwrap();
    let id = |number: u128| run(0xe_0000 + number).id.0;
    let page = async |cursor, newer, limit| {
        let filter = RunFilter { version: Some(2), cursor, newer, limit, ..RunFilter::default() };
        let RunList { runs, examined_to } = store.list(TENANT, &filter).await.unwrap();
        (runs.iter().map(|run| run.id).collect::<Vec<_>>(), examined_to)
    };
    let reached = id(RUNS - 1_000);
    assert_eq!(
        page(None, None, 10).await,
        (vec![id(RUNS - 1)], Some(reached)),
        "the page is short, and goes on"
    );
    assert_eq!(page(Some(reached), None, 10).await, (vec![id(7)], None), "until the end");
    assert_eq!(page(None, None, 1).await, (vec![id(RUNS - 1)], None), "it has its length");
    assert_eq!(page(None, Some(Uuid::nil()), 10).await, (vec![id(7)], Some(id(999))));
    assert_eq!(page(None, Some(id(999)), 10).await, (vec![id(RUNS - 1)], None));

    let filter = RunFilter { version: Some(2), ..RunFilter::default() };
    let RunNumbers { counts, at_least } = store.counts(TENANT, &filter, 10_000).await.unwrap();
    assert_eq!(counts.values().sum::<u64>(), 1, "of the newest 1,000");
    assert_eq!(at_least, counts.iter().filter(|(_, count)| **count > 0).map(|(status, _)| *status).collect());
}
