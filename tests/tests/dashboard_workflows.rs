//! The pages of workflows: what they show to whom. Browsers are in the tests of the dashboard as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Api, Host, component};
use reqwest::Method;
use serde_json::json;

/// Reads a page. Returns its status and its text.
async fn page(api: &Api, path: &str) -> (u16, String) {
    let response = api.request(Method::GET, path).await.send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert!(!text.contains("style=") && !text.contains("onclick"), "nothing is inline: {text}");
    assert_eq!(text.matches("<h1").count(), 1, "{text}");
    (status, text)
}

async fn host() -> Host {
    let host = Host::start().await;
    host.api().deploy(&component("checked")).await;
    host.api().deploy(&component("greeting")).await;
    host
}

#[tokio::test]
async fn the_list_has_each_workflow_with_its_current_version() {
    let host = Host::start().await;
    let (status, empty) = page(&host.api(), "/workflows").await;
    assert!(status == 200 && empty.contains("There are no workflows."), "{empty}");
    host.api().deploy(&component("greeting")).await;
    let (status, list) = page(&host.api(), "/workflows").await;
    assert_eq!(status, 200);
    for part in [
        r#"href="workflows/greeting""#,
        r#"<span class="version">v3</span>"#,
        r#"href="workflows/greeting/start""#,
        r#"data-counts="greeting""#,
        r#"id="upload""#,
    ] {
        assert!(list.contains(part), "{part} is in {list}");
    }
    for version in 1..=3 {
        host.api().post(&format!("/_api/workflows/greeting/versions/{version}/deprecate")).await.ok();
    }
    assert!(page(&host.api(), "/workflows").await.1.contains("all deprecated"));
    assert!(page(&host.api(), "/workflows/greeting").await.1.contains("All versions are deprecated"));
}

#[tokio::test]
async fn a_workflow_has_its_versions_with_what_can_be_done_to_each() {
    let host = host().await;
    let api = host.api();
    api.post("/_api/workflows/greeting/versions/2/activate").await.ok();
    let (status, greeting) = page(&api, "/workflows/greeting").await;
    assert_eq!(status, 200);
    let rows: Vec<&str> = greeting.split("<tr>").skip(2).collect();
    assert_eq!(rows.len(), 3, "{greeting}");
    let says = |row: &str, parts: [&str; 3]| parts.map(|part| row.contains(part));
    assert_eq!(
        says(rows[0], ["current", "data-act=\"activate\"", "data-act=\"deprecate\""]),
        [false, true, true]
    );
    assert_eq!(
        says(rows[1], ["activated", "data-act=\"activate\"", "data-act=\"deprecate\""]),
        [true, false, true]
    );
    assert_eq!(
        says(rows[2], ["deprecated", "data-act=\"activate\"", "data-act=\"deprecate\""]),
        [true, true, false]
    );
    assert!(greeting.contains("href=\"../runs?workflow=greeting&amp;version=3\""), "{greeting}");
    assert!(!greeting.contains("data-schema"), "it has none");
    let (_, order) = page(&api, "/workflows/order").await;
    assert!(order.contains("data-schema=\"order\" data-version=\"1\""), "{order}");
    assert_eq!(page(&api, "/workflows/tea").await.0, 404);
}

#[tokio::test]
async fn a_start_has_the_versions_and_begins_with_the_input_of_a_run() {
    let host = host().await;
    let api = host.api();
    let (status, start) = page(&api, "/workflows/greeting/start").await;
    assert_eq!(status, 200);
    assert!(start.contains("<option value=\"\" selected>The current one (v3)</option>"), "{start}");
    assert!(start.contains("<option value=\"1\">v1 (deprecated)</option>"), "{start}");
    let run = api.start("greeting", json!("Ada")).await;
    let (_, again) = page(&api, &format!("/workflows/greeting/start?from={run}&version=2")).await;
    assert!(again.contains(&format!("data-from=\"{run}\"")), "{again}");
    assert!(again.contains("<option value=\"2\" selected>v2</option>"), "{again}");
    assert_eq!(page(&api, "/workflows/greeting/start?from=%3Cscript%3E").await.0, 400);
    assert_eq!(page(&api, "/workflows/tea/start").await.0, 404);
}

#[tokio::test]
async fn a_page_offers_only_what_the_role_may() {
    let host = Host::start().await;
    let admin = host
        .api()
        .post_json("/_api/keys", &json!({"name": "admin", "role": "admin", "host": true}))
        .await
        .ok();
    let admin = host.api().with_token(admin["secret"].as_str().unwrap());
    admin.deploy(&component("greeting")).await;
    for (role, may_start, may_deploy) in
        [("read", false, false), ("start", true, false), ("deploy", true, true)]
    {
        let made = admin.post_json("/_api/keys", &json!({"name": role, "role": role})).await.ok();
        let api = host.api().with_token(made["secret"].as_str().unwrap());
        let (_, list) = page(&api, "/workflows").await;
        let (_, one) = page(&api, "/workflows/greeting").await;
        let found = [
            list.contains("/start\""),
            one.contains("/start\""),
            list.contains("upload"),
            one.contains("data-act"),
        ];
        assert_eq!(found, [may_start, may_start, may_deploy, may_deploy], "{role}");
        let (status, _) = page(&api, "/workflows/greeting/start").await;
        assert_eq!(status, if may_start { 200 } else { 403 }, "{role}");
    }
    let nobody = host.api().request(Method::GET, "/workflows/greeting/start").await;
    let answer = nobody.send().await.unwrap();
    assert!(answer.url().path().ends_with("/login"), "{}", answer.url());
}
