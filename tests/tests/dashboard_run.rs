//! The page of a run, as a browser gets it: what it says, to whom it offers what, and what it loads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use forge_tests::program::{Statement, block, effect, fail_for_good, gate, step};
use forge_tests::{Api, Host, Services};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// A page or an asset.
struct Page {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Page {
    async fn get(api: &Api, path: &str) -> Self {
        let response = api.request(Method::GET, path).await.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    async fn of_run(api: &Api, run: &str) -> Self {
        let page = Self::get(api, &format!("/runs/{run}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page
    }

    #[track_caller]
    fn says(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.text.contains(text), "`{text}` is missing in:\n{}", self.text);
        }
    }

    #[track_caller]
    fn says_not(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.text.contains(text), "`{text}` is in:\n{}", self.text);
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the values of an attribute.
    fn attributes(&self, name: &str) -> Vec<String> {
        let begin = format!("{name}=\"");
        let values = self.text.split(&begin).skip(1);
        values.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn the_page_of_a_run_follows_it_from_its_wait_to_its_end() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let body =
        block![step("reserve", block![effect("reserve")]), Statement::Event("approval".to_owned(), None)];
    let start = json!({ "input": services.program(body), "key": "order-7" });
    let run = api.try_start("program", &start).await.ok()["run_id"].as_str().unwrap().to_owned();
    api.until_status(&run, "waiting").await;

    let page = Page::of_run(&api, &run).await;
    let state = "data-status=\"waiting\"";
    page.says(&[
        state,
        "It waits for the event <code>approval</code>",
        "<code>order-7</code>",
        "data-calls=\"3\"",
    ]);
    page.says(&[
        "data-action=\"pause\"",
        "data-action=\"cancel\"",
        "data-action=\"terminate\"",
        "data-document=\"input\"",
    ]);
    page.says_not(&["data-document=\"output\"", "data-action=\"delete\"", "data-final"]);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");

    api.send_event(&run, "approval", &json!("yes"), None).await;
    api.settled(&run).await;
    let page = Page::of_run(&api, &run).await;
    page.says(&[
        "data-status=\"completed\"",
        "data-final",
        "data-document=\"output\"",
        "data-action=\"delete\"",
    ]);
    page.says_not(&["data-action=\"pause\"", "It waits"]);
}

#[tokio::test]
async fn the_modules_of_the_page_are_there_and_are_kept_by_browsers() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let run = api.start_program(&services, block![]).await;
    let page = Page::of_run(&api, &run).await;
    let mut waiting: Vec<String> = page.attributes("src");
    waiting.extend(page.attributes("href").into_iter().filter(|link| link.contains("assets/")));
    assert!(waiting.iter().any(|link| link.ends_with("/run.js")), "{waiting:?}");
    let mut known = BTreeSet::new();
    while let Some(link) = waiting.pop() {
        let path = link.strip_prefix("../").map_or_else(|| link.clone(), |rest| format!("/{rest}"));
        if !known.insert(path.clone()) {
            continue;
        }
        let asset = Page::get(&api, &path).await;
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
        assert_eq!(asset.header("x-content-type-options"), "nosniff", "{path}");
        if path.ends_with(".js") {
            assert_eq!(asset.header("content-type"), "text/javascript; charset=utf-8", "{path}");
            let folder = path.rsplit_once('/').unwrap().0;
            let imports =
                asset.text.lines().filter(|line| line.starts_with("import ") || line.starts_with("} from "));
            waiting.extend(imports.map(|line| resolved(folder, line.split('"').nth(1).unwrap())));
        }
    }
    assert!(known.len() > 20, "{known:?}");
}

/// Returns the path to which a relative import in a folder leads.
fn resolved(folder: &str, import: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in import.split('/') {
        match part {
            "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[tokio::test]
async fn the_page_of_a_failed_run_says_why_and_offers_the_compensations_again() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let hostile = "<script>alert(1)</script>\u{202e}";
    let body = block![
        step("reserve", block![effect("reserve")]).undo(block![fail_for_good("the shelf is gone")]),
        fail_for_good(hostile),
    ];
    let run = api.start_program(&services, body).await;
    assert_eq!(api.settled(&run).await["status"], "failed");
    let page = Page::of_run(&api, &run).await;
    page.says(&[
        "It failed, and steps of it are not compensated.",
        "<code>reserve</code>",
        "Retry compensations",
    ]);
    page.says(&[
        "data-action=\"resume\"",
        "data-dialog=\"resolve\"",
        "&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}",
    ]);
    page.says_not(&["<script>alert", "\u{202e}"]);
}

#[tokio::test]
async fn a_page_has_no_button_that_the_role_does_not_allow_and_shows_no_run_of_another_tenant() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let run = api.start_program(&services, block![gate("pick")]).await;
    let of_host = json!({ "role": "admin", "name": "ops", "host": true });
    let created = api.post_json("/_api/keys", &of_host).await.ok();
    let ops = api.with_token(created["token"].as_str().unwrap());
    let key = async |tenant: &str, role: &str| {
        let body = json!({ "role": role, "name": role });
        let created = ops.for_tenant(tenant).post_json("/_api/keys", &body).await.ok();
        api.with_token(created["token"].as_str().unwrap())
    };
    let actions =
        async |role: &str| Page::of_run(&key("default", role).await, &run).await.attributes("data-action");
    assert_eq!(actions("read").await, Vec::<String>::new());
    assert_eq!(actions("start").await, ["pause", "event", "again", "cancel"]);
    assert_eq!(actions("admin").await, ["pause", "event", "again", "cancel", "terminate"]);

    ops.post_json("/_api/tenants", &json!({ "name": "acme" })).await.ok();
    let other = key("acme", "admin").await;
    let page = Page::get(&other, &format!("/runs/{run}")).await;
    assert_eq!(page.status, 404, "{}", page.text);
    page.says(&["<h1>Not found</h1>"]);
    let nobody = Page::get(&api, &format!("/runs/{run}")).await;
    nobody.says_not(&["pick", "data-status"]);
}

#[tokio::test]
async fn a_wrong_address_is_a_page_that_says_so() {
    let host = Host::with_interpreter().await;
    let api = host.api();
    for (path, status) in [
        ("/runs/01a22e16-0cfd-77d5-b34e-4d40e4d141b0", 404),
        ("/runs/no-run", 400),
        ("/runs/%3Cscript%3E", 400),
    ] {
        let page = Page::get(&api, path).await;
        assert_eq!(page.status, status, "{path}: {}", page.text);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        page.says_not(&["<script>"]);
    }
    let asset = Page::get(&api, "/assets/0000000000000000/run/../api.js").await;
    assert_ne!(asset.header("cache-control"), "public, max-age=31536000, immutable");
    let unknown = Page::get(&api, "/assets/0000000000000000/run/none.js").await;
    assert_eq!((unknown.status, unknown.text.as_str()), (404, ""));
}

/// The documents of a page come from the API, whose texts keep each digit.
#[tokio::test]
async fn one_call_is_read_with_its_documents() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let run = api.start_program(&services, block![step("reserve", block![effect("reserve")])]).await;
    api.settled(&run).await;
    let light = api.get(&format!("/_api/runs/{run}/steps?payloads=false&limit=500&cursor=0")).await.ok();
    assert!(light["steps"].as_array().unwrap().iter().all(|step| step["input"] == Value::Null));
    let one = api.get(&format!("/_api/runs/{run}/steps?cursor=1&limit=1")).await.ok();
    assert_eq!((&one["steps"][0]["seq"], &one["steps"][0]["input"]["method"]), (&json!(2), &json!("POST")));
}
