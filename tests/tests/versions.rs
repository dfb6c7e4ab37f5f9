//! Versions: immutable, swapped while runs go on, and chosen by rule.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Host, Services, component, example};
use serde_json::{Value, json};

async fn greet(host: &Host, version: Option<u32>) -> Value {
    let mut body = json!({"input": "Ada"});
    if let Some(version) = version {
        body["version"] = version.into();
    }
    let started = host.api().try_start("greeting", &body).await.ok();
    host.api().settled(started["run_id"].as_str().unwrap()).await["output"].clone()
}

#[tokio::test]
async fn new_runs_take_the_highest_version_the_active_one_or_the_one_asked_for() {
    let host = Host::start().await;
    let api = host.api();
    let uploaded = api.upload(&component("greeting")).await;
    assert_eq!(uploaded.status, 201);
    let versions = uploaded.body["workflows"].as_array().unwrap();
    let listed: Vec<_> =
        versions.iter().map(|info| (info["version"].clone(), info["deprecated"].clone())).collect();
    assert_eq!(listed, [(json!(3), json!(false)), (json!(2), json!(false)), (json!(1), json!(true))]);
    assert_eq!(versions[0]["timeout"], "24h");

    assert_eq!(greet(&host, None).await, "3: welcome Ada");
    assert_eq!(greet(&host, Some(1)).await, "1: hello Ada");
    api.post("/_api/workflows/greeting/versions/2/activate").await.ok();
    assert_eq!(greet(&host, None).await, "2: good day Ada");
    api.post("/_api/workflows/greeting/versions/2/deprecate").await.ok();
    assert_eq!(greet(&host, None).await, "3: welcome Ada");
    api.post("/_api/workflows/greeting/versions/3/deprecate").await.ok();
    let (code, message) = api.try_start("greeting", &json!({"input": "Ada"})).await.refused(409);
    assert_eq!(code, "all_deprecated");
    assert!(message.contains("activate one, or ask for a version"), "{message}");
    assert_eq!(greet(&host, Some(3)).await, "3: welcome Ada");
    api.post("/_api/workflows/greeting/versions/7/activate").await.refused(404);
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing_and_other_bytes_need_a_higher_version() {
    let host = Host::start().await;
    let api = host.api();
    let first = api.upload(&component("tally")).await;
    let again = api.upload(&component("tally")).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.body["digest"], again.body["digest"]);
    let (code, message) = api.upload(&component("tally-changed")).await.refused(409);
    assert_eq!(code, "version_taken");
    assert!(message.contains("raise the version (`#[version = 2]`)"), "{message}");
    let versions = api.get("/_api/workflows/tally").await.ok();
    assert_eq!(versions["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn uploading_version_2_leaves_runs_of_version_1_with_version_1() {
    let services = Services::start().await;
    let mut host = Host::start().await;
    let api = host.api();
    api.deploy(&example("onboarding")).await;
    let input =
        json!({"services": services.url(), "user_id": "1", "email": "ada@example.com", "plan": "pro"});
    services.hold("/customers");
    let old = api.start("user_onboarding", input.clone()).await;
    services.until_held("/customers").await;

    api.deploy(&example("onboarding-v2")).await;
    services.release("/customers");
    let new = api.start("user_onboarding", input).await;
    let (old, new) = (api.settled(&old).await, api.settled(&new).await);
    assert_eq!((&old["version"], &old["status"]), (&json!(1), &json!("completed")), "{old:#}");
    assert_eq!((&new["version"], &new["status"]), (&json!(2), &json!("completed")), "{new:#}");
    assert_ne!(old["digest"], new["digest"]);

    host.kill();
    host.restart().await;
    let current = host.api().get("/_api/workflows/user_onboarding").await.ok();
    assert_eq!(current["current"], 2);
}

#[tokio::test]
async fn a_key_starts_one_run_whoever_asks_and_however_often() {
    let mut host = Host::start().await;
    host.api().deploy(&component("greeting")).await;
    let body = json!({"input": "Ada", "key": "order-1"});
    let api = host.api();
    let starts = (0..20).map(|_| api.try_start("greeting", &body));
    let runs: Vec<Value> =
        futures::future::join_all(starts).await.into_iter().map(|a| a.ok()["run_id"].clone()).collect();
    assert!(runs.iter().all(|run| run == &runs[0]), "{runs:?}");
    host.kill();
    host.restart().await;
    let again = host.api().try_start("greeting", &body).await.ok();
    assert_eq!(again["run_id"], runs[0]);
    let other = json!({"input": "Grace", "key": "order-1"});
    let (code, message) = host.api().try_start("greeting", &other).await.refused(409);
    assert_eq!(code, "key_reused");
    assert!(message.contains("use a new key"), "{message}");
}
