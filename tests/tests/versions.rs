//! Versions: immutable, hot-swapped, chosen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Api, Host, Services, component, example};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a new run of `greeting` says.
async fn greeting(api: &Api, version: Option<u32>) -> Value {
    let mut start = json!({"input": "Ada"});
    if let Some(version) = version {
        start["version"] = json!(version);
    }
    let run = api.start_acknowledged("greeting", &start).await;
    api.settled(&run).await["output"].take()
}

#[tokio::test]
async fn a_component_may_hold_several_versions_and_an_upload_lists_them() {
    let host = Host::start().await;
    let answer = host.api().upload(&component("greeting")).await;
    assert_eq!(answer.status, 201);
    let registered = answer.ok();
    assert_eq!(registered["digest"].as_str().map(str::len), Some(64));
    let versions: Vec<_> = registered["workflows"].as_array().unwrap().iter().collect();
    let of = |field: &str| versions.iter().map(|version| version[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["greeting"; 3]);
    assert_eq!(of("version"), [3, 2, 1]);
    assert_eq!(of("timeout"), ["24h"; 3]);
    assert_eq!(of("deprecated"), [false, false, true]);
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let host = Host::start().await;
    let api = host.api();
    let first = api.deploy(&component("greeting")).await;
    api.post("/_api/workflows/greeting/versions/2/activate").await.ok();
    let again = api.upload(&component("greeting")).await;
    assert_eq!((again.status, &again.body["digest"]), (200, &first["digest"]));
    let versions = api.get("/_api/workflows/greeting").await.ok();
    assert_eq!(versions["current"], 2, "what was activated stays so");
    assert_eq!(versions["versions"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn other_bytes_with_the_same_version_are_a_conflict_and_say_to_raise_it() {
    let host = Host::start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("tally")).await;
    let (code, message) = api.upload(&component("tally-changed")).await.refused(409);
    assert_eq!(code, "version_taken");
    assert!(
        message.contains("version 1 of workflow `tally`") && message.contains("#[version = 2]"),
        "{message}"
    );

    services.open("tally");
    let run = api.start("tally", json!(services.url())).await;
    assert_eq!(api.settled(&run).await["output"], "cups, then saucers", "the first upload stays");
}

#[tokio::test]
async fn a_deploy_adds_the_versions_that_are_new_and_says_which_keep_their_code() {
    let host = Host::start().await;
    let api = host.api();
    let first = api.deploy(&component("greeting")).await;
    let answer = api.upload(&component("greeting-next")).await;
    assert_eq!(answer.status, 201);
    let registered = answer.ok();
    let versions = |field: &str| -> Vec<u64> {
        let listed = registered[field].as_array().unwrap();
        listed.iter().map(|version| version["version"].as_u64().unwrap()).collect()
    };
    assert_eq!((versions("workflows"), versions("kept")), (vec![4], vec![3]));
    assert_eq!(registered["kept"][0]["digest"], first["digest"]);
    assert_eq!(greeting(&api, None).await, "4: ahoy Ada");
    assert_eq!(greeting(&api, Some(3)).await, "3: welcome Ada", "it keeps its code");
    assert_eq!(api.upload(&component("greeting-next")).await.status, 200, "the same again");
}

#[tokio::test]
async fn a_host_for_development_takes_changed_code_for_a_version_and_runs_keep_theirs() {
    let host = Host::builder().flag(["--dev"]).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("tally")).await;
    let run = api.start("tally", json!(services.url())).await;
    services.until_asked("cups", 1).await;
    assert_eq!(api.deploy(&component("tally-changed")).await["kept"], json!([]));
    services.open("tally");
    assert_eq!(api.settled(&run).await["output"], "cups, then saucers", "it goes on with its code");
    let run = api.start("tally", json!(services.url())).await;
    assert_eq!(api.settled(&run).await["output"], "saucers, then cups");
}

#[tokio::test]
async fn new_runs_take_the_highest_version_or_the_one_that_is_asked_for() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&component("greeting")).await;
    assert_eq!(greeting(&api, None).await, "3: welcome Ada");
    assert_eq!(greeting(&api, Some(2)).await, "2: good day Ada");
    assert_eq!(greeting(&api, Some(1)).await, "1: hello Ada", "a deprecated version, too");
}

#[tokio::test]
async fn new_runs_take_the_version_that_was_activated() {
    let mut host = Host::start().await;
    let api = host.api();
    api.deploy(&component("greeting")).await;
    let version = api.post("/_api/workflows/greeting/versions/1/activate").await.ok();
    assert_eq!((&version["version"], &version["deprecated"]), (&json!(1), &json!(false)));
    assert_eq!(greeting(&api, None).await, "1: hello Ada");
    host.kill();
    host.restart().await;
    assert_eq!(greeting(&api, None).await, "1: hello Ada", "also after a restart");
    api.post("/_api/workflows/greeting/versions/3/activate").await.ok();
    assert_eq!(greeting(&api, None).await, "3: welcome Ada");
}

#[tokio::test]
async fn new_runs_do_not_take_a_version_that_was_deprecated() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&component("greeting")).await;
    api.post("/_api/workflows/greeting/versions/3/deprecate").await.ok();
    assert_eq!(greeting(&api, None).await, "2: good day Ada");
    assert_eq!(greeting(&api, Some(3)).await, "3: welcome Ada");
    api.post("/_api/workflows/greeting/versions/2/deprecate").await.ok();
    let (code, message) = api.try_start("greeting", &json!({"input": "Ada"})).await.refused(409);
    assert!(code == "all_deprecated" && message.contains("activate one"), "{message}");
    assert_eq!(api.get("/_api/workflows/greeting").await.ok()["current"], Value::Null);
}

#[tokio::test]
async fn a_new_version_disturbs_no_run_and_needs_no_restart() {
    let mut host = Host::start().await;
    let services = Services::start().await;
    let api = host.api();
    let input = json!({"user_id": "ada", "email": "ada@example.com", "services": services.url()});
    api.deploy(&example("onboarding")).await;
    services.hold("/mail");
    let old = api.start("user_onboarding", input.clone()).await;
    services.until_held("/mail").await;

    api.deploy(&example("onboarding-v2")).await;
    let new = api.start("user_onboarding", input).await;
    assert_eq!(api.record(&old).await["status"], "running");
    // The old run goes on with its own code even if it has to be replayed.
    host.kill();
    host.restart().await;
    services.release("/mail");

    let (old, new) = (api.settled(&old).await, api.settled(&new).await);
    assert_eq!((&old["version"], &new["version"]), (&json!(1), &json!(2)));
    assert_ne!(old["digest"], new["digest"]);
    assert!(old["output"]["token"].as_str().is_some_and(|token| token.starts_with("welcome_")), "{old:#}");
    assert_eq!(new["output"]["verified"], true, "{new:#}");
}

#[tokio::test]
async fn the_list_of_workflows_has_every_version_the_highest_first() {
    let host = Host::start().await;
    let api = host.api();
    for component in [component("greeting"), example("payment")] {
        api.deploy(&component).await;
    }
    let list = api.get("/_api/workflows").await.ok();
    let names: Vec<_> =
        list["workflows"].as_array().unwrap().iter().map(|workflow| &workflow["name"]).collect();
    assert_eq!(names, ["greeting", "payment_with_confirmation", "payment_workflow"]);
    let greeting = &list["workflows"][0];
    let versions: Vec<_> =
        greeting["versions"].as_array().unwrap().iter().map(|info| &info["version"]).collect();
    assert_eq!((versions, &greeting["current"]), (vec![&json!(3), &json!(2), &json!(1)], &json!(3)));
}

#[tokio::test]
async fn components_can_be_kept_in_an_object_store_and_are_checked_when_they_come_from_there() {
    let objects = TempDir::new().unwrap();
    let url = format!("file://{}", objects.path().join("components").display());
    let mut host = Host::builder().flag(["--components", &url]).start().await;
    let digest = host.api().deploy(&component("greeting")).await["digest"].as_str().unwrap().to_owned();
    assert_eq!(greeting(&host.api(), None).await, "3: welcome Ada");
    let object = objects.path().join("components").join(format!("{digest}.wasm"));
    assert_eq!(std::fs::read(&object).unwrap(), *component("greeting"));
    let inline = "SELECT count(*) FROM forge_workflow_modules WHERE component IS NOT NULL";
    let (inline,): (i64,) = host.database().await.row(inline, &[]).await;
    assert_eq!(inline, 0);

    // It comes from there when it must be compiled again, and only if it is what was uploaded.
    let forget = |host: &mut Host| {
        host.kill();
        std::fs::remove_dir_all(host.component_cache()).unwrap();
    };
    forget(&mut host);
    host.restart().await;
    assert_eq!(greeting(&host.api(), None).await, "3: welcome Ada");
    forget(&mut host);
    std::fs::write(&object, *b"something else").unwrap();
    host.restart().await;
    let run = host.api().start_acknowledged("greeting", &json!({"input": "Ada"})).await;
    let record = host.api().settled(&run).await;
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("missing_version")));
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("not what was uploaded") && error.contains("Deploy it again"), "{error}");

    host.api().upload(&component("greeting")).await.ok();
    host.api().resume(&run).await.ok();
    assert_eq!(host.api().settled(&run).await["output"], "3: welcome Ada");
}
