//! The tenant's store.
#![allow(missing_docs)]

use forge::prelude::*;
use forge::testing::TestRun;

type Outcome = Result<Value, Failure>;
use serde_json::Value;

fn failure(error: Error) -> Failure {
    error.downcast().expect("the store fails with a `Failure`")
}

#[forge::workflow]
async fn versions(ctx: &WorkflowContext, _input: ()) -> Result<Vec<u64>> {
    let db = ctx.db();
    let first = db.put("a", &1).await?;
    db.delete("a").await?;
    db.delete("a").await?;
    let versions =
        db.transaction().require("a", None).put("a", &2).put("b", "two").delete("c").commit().await?;
    let entry = db.get_entry::<u32>("a").await?.context("it was put")?;
    ensure!(entry.value == 2 && db.get::<String>("b").await?.as_deref() == Some("two"));
    Ok([vec![first], versions, vec![entry.version]].concat())
}

#[test]
fn versions_only_grow_also_across_a_deletion() {
    let run = TestRun::new(VersionsWorkflow).run(());
    assert_eq!(run.output(), &[1, 0, 3, 3, 0, 3]);
    assert_eq!(run.db.len(), 2);
}

#[forge::workflow]
async fn conflict(ctx: &WorkflowContext, _input: ()) -> Result<Failure> {
    let transaction = ctx.db().transaction().put("b", &1).require("a", 7).delete("a");
    Ok(failure(transaction.commit().await.unwrap_err()))
}

#[test]
fn a_transaction_whose_requirement_is_not_met_changes_nothing() {
    let run = TestRun::new(ConflictWorkflow).db_entry("a", 1).run(());
    assert!(run.output().is_conflict());
    assert!(run.output().message.contains("`a`"), "{}", run.output().message);
    assert_eq!(run.db.keys().collect::<Vec<_>>(), ["a"]);
}

#[forge::workflow]
async fn increments(ctx: &WorkflowContext, _input: ()) -> Result<u64> {
    let increment = || ctx.db().update("n", |n: Option<u64>| n.unwrap_or(0) + 1);
    let all = futures::future::try_join_all((0..10).map(|_| increment())).await?;
    Ok(all.into_iter().max().unwrap_or_default())
}

#[test]
fn concurrent_updates_of_one_key_are_all_made() {
    let run = TestRun::new(IncrementsWorkflow).run(());
    assert_eq!((run.output(), &run.db["n"]), (&10, &json!(10)));
}

#[forge::workflow]
async fn pages(ctx: &WorkflowContext, _input: ()) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut last = None;
    loop {
        let page = ctx.db().list::<u32>("k/").after(last).limit(2).await?;
        let Some(entry) = page.last() else { return Ok(keys) };
        last = Some(entry.key.clone());
        keys.push(page.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>().join(" "));
    }
}

#[test]
fn a_list_is_read_in_pages_in_the_order_of_the_keys() {
    let run = ["k/c", "k", "k/a", "l", "k/b"]
        .iter()
        .fold(TestRun::new(PagesWorkflow), |run, key| run.db_entry(key, 1));
    assert_eq!(run.run(()).output(), &["k/a k/b", "k/c"]);
}

#[forge::workflow]
async fn call(ctx: &WorkflowContext, input: (String, String)) -> Result<Outcome> {
    let (method, key) = input;
    let db = ctx.db();
    let outcome = match method.as_str() {
        "get" => db.get::<Value>(&key).await.map(|value| json!(value)),
        "text" => db.get::<String>(&key).await.map(|value| json!(value)),
        "put" => db.put(&key, &"x".repeat(256 << 10)).await.map(|version| json!(version)),
        "list" => db.list::<Value>(&key).await.map(|page| json!(page.len())),
        _ => (0..257).fold(db.transaction(), |all, _| all.delete(&key)).commit().await.map(|all| json!(all)),
    };
    Ok(outcome.map_err(failure))
}

#[test]
fn what_the_store_refuses_is_a_failure_that_names_the_limit() {
    let failure = |method: &str, key: &str| {
        let run = TestRun::new(CallWorkflow).db_entry("number", 1).run((method, key));
        run.output().clone().unwrap_err()
    };
    for (method, key, kind, message) in [
        ("get", "", "invalid-input", "empty"),
        ("get", "a\0", "invalid-input", "control characters"),
        ("list", &"k".repeat(513), "limit", "db_key_bytes"),
        ("put", "a", "limit", "db_value_bytes"),
        ("many", "a", "limit", "db_operations"),
        ("text", "number", "invalid-output", "the value of `number` is no String"),
    ] {
        let failure = failure(method, key);
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(message), "{failure}");
        assert!(!failure.retryable, "{failure}");
    }
}
