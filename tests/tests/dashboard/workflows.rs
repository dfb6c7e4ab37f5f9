//! The pages of workflows, their versions, and starts.

use forge_tests::{Host, component};
use serde_json::json;

use super::site::{Page, Site};
use super::{check, key};

async fn host() -> Host {
    let host = Host::start().await;
    host.api().deploy(&component("checked")).await;
    host.api().deploy(&component("greeting")).await;
    host
}

/// Reads a page that is there.
async fn page(site: &Site, path: &str) -> Page {
    let page = site.get(path).await;
    check(&page);
    assert_eq!(page.status, 200, "{path}");
    page
}

/// Returns the texts of links, fields and the like by one of their attributes.
fn has(page: &Page, name: &str, attribute: &str, value: &str) -> bool {
    page.all(name, attribute).iter().any(|known| known == value)
}

#[tokio::test]
async fn the_list_has_each_workflow_with_its_current_version() {
    let host = Host::start().await;
    let site = Site::of(&host);
    assert!(page(&site, "workflows").await.body.contains("There are no workflows."));
    host.api().deploy(&component("greeting")).await;
    let list = page(&site, "workflows").await;
    assert!(
        has(&list, "a", "href", "workflows/greeting") && has(&list, "a", "href", "workflows/greeting/start")
    );
    assert!(has(&list, "span", "data-counts", "workflow=greeting") && has(&list, "section", "id", "upload"));
    assert!(list.body.contains("<span class=\"version\">v3</span>"), "{}", list.body);
    for version in 1..=3 {
        host.api().post(&format!("/_api/workflows/greeting/versions/{version}/deprecate")).await.ok();
    }
    assert!(page(&site, "workflows").await.body.contains("all deprecated"));
    assert!(page(&site, "workflows/greeting").await.body.contains("All versions are deprecated"));
    let start = page(&site, "workflows/greeting/start").await;
    assert!(!start.body.contains("The current one"), "a start must name a version");
}

#[tokio::test]
async fn a_workflow_has_its_versions_with_what_can_be_done_to_each() {
    let host = host().await;
    let site = Site::of(&host);
    host.api().post("/_api/workflows/greeting/versions/2/activate").await.ok();
    let greeting = page(&site, "workflows/greeting").await;
    let rows: Vec<&str> = greeting.body.split("<tr").skip(2).collect();
    let says = |row: &str| {
        let states = ["current", "activated", "deprecated"]
            .into_iter()
            .filter(|state| row.contains(&format!(">{state}<")));
        let acts =
            ["activate", "deprecate"].into_iter().filter(|act| row.contains(&format!("data-act=\"{act}\"")));
        (states.collect::<Vec<_>>(), acts.collect::<Vec<_>>())
    };
    assert_eq!(
        rows.iter().map(|row| says(row)).collect::<Vec<_>>(),
        [
            (vec![], vec!["activate", "deprecate"]),
            (vec!["current", "activated"], vec!["deprecate"]),
            (vec!["deprecated"], vec!["activate"]),
        ]
    );
    assert!(
        has(&greeting, "a", "href", "../runs?workflow=greeting&version=3"),
        "{:?}",
        greeting.all("a", "href")
    );
    assert_eq!(greeting.all("details", "data-schema"), [""; 0], "it has none");
    let of_versions = [3, 2, 1].map(|version| format!("workflow=greeting&version={version}"));
    assert_eq!(
        greeting.all("span", "data-counts"),
        [&["workflow=greeting".to_owned()], &of_versions[..]].concat()
    );
    assert_eq!(page(&site, "workflows/order").await.all("details", "data-schema"), ["order"]);
    let unknown = site.get("workflows/tea").await;
    check(&unknown);
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_start_has_the_versions_and_begins_with_the_input_of_a_run() {
    let host = host().await;
    let site = Site::of(&host);
    let start = page(&site, "workflows/greeting/start").await;
    assert!(
        start.body.contains("<option value=\"\" selected>The current one (v3)</option>"),
        "{}",
        start.body
    );
    assert!(start.body.contains("<option value=\"1\">v1 (deprecated)</option>"), "{}", start.body);
    let run = host.api().start("greeting", json!("Ada")).await;
    let again = page(&site, &format!("workflows/greeting/start?from={run}&version=2")).await;
    assert_eq!(again.all("form", "data-from"), [run]);
    assert!(again.body.contains("<option value=\"2\" selected>v2</option>"), "{}", again.body);
    for (path, status) in [("workflows/greeting/start?from=%3Cscript%3E", 400), ("workflows/tea/start", 404)]
    {
        let refused = site.get(path).await;
        check(&refused);
        assert_eq!(refused.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_page_of_workflows_offers_only_what_the_role_may() {
    let host = host().await;
    let body = json!({ "role": "admin", "name": "ops", "host": true });
    let admin = host.api().post_json("/_api/keys", &body).await.ok()["token"].as_str().unwrap().to_owned();
    let ops = host.api().with_token(&admin);
    for (role, may_start, may_deploy) in
        [("read", false, false), ("start", true, false), ("deploy", true, true)]
    {
        let site = Site::of(&host).with_token(&key(&ops, role, role).await);
        let list = page(&site, "workflows").await;
        let one = page(&site, "workflows/greeting").await;
        let starts = [
            has(&list, "a", "href", "workflows/greeting/start"),
            has(&one, "a", "href", "../workflows/greeting/start"),
        ];
        assert_eq!(starts, [may_start; 2], "{role}");
        let changes = [has(&list, "section", "id", "upload"), !one.all("button", "data-act").is_empty()];
        assert_eq!(changes, [may_deploy; 2], "{role}");
        let start = site.get("workflows/greeting/start").await;
        check(&start);
        assert_eq!(start.status, if may_start { 200 } else { 403 }, "{role}");
    }
}
