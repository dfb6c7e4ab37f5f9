//! The dashboard as a browser without JavaScript sees it: pages, headers, links, roles.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod base_path;
mod run;
mod runs;
mod site;
mod workflows;

use forge_tests::program::{Statement, block, fail_for_good, step};
use forge_tests::{Api, Cli, Host, Services, Terminal};
use serde_json::json;
use tempfile::TempDir;

use self::site::{Page, Site};

/// A text that is a script, ends an attribute, and turns the direction of text.
const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'\u{202e}\u{1b}[2J";

/// The headers of each page.
const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Checks what holds for each page.
#[track_caller]
fn check(page: &Page) {
    let url = &page.url;
    for (name, value) in HEADERS {
        assert_eq!(page.header(name), value, "{url}");
    }
    assert!(page.is_html(), "{url}");
    let tags = page.tags();
    for tag in &tags {
        assert!(tag.name != "style" && tag.name != "base", "{url} has {tag:?}");
        assert!(tag.name != "script" || tag.attributes.contains_key("src"), "{url} has an inline script");
        for (name, value) in &tag.attributes {
            assert!(!name.starts_with("on") && name != "style", "{url} has {tag:?}");
            assert!(!value.trim_start().to_ascii_lowercase().starts_with("javascript:"), "{url} has {tag:?}");
        }
    }
    let count = |name: &str| tags.iter().filter(|tag| tag.name == name).count();
    assert_eq!((count("h1"), count("main")), (1, 1), "{url}");
    check_labels(page, &tags);
}

/// Checks that each field has a label, and that no id is there twice.
#[track_caller]
fn check_labels(page: &Page, tags: &[site::Tag]) {
    let mut ids: Vec<&String> = tags.iter().filter_map(|tag| tag.attributes.get("id")).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "{}: an id is there twice", page.url);
    let labelled: Vec<&String> = tags.iter().filter_map(|tag| tag.attributes.get("for")).collect();
    for tag in tags.iter().filter(|tag| ["input", "select", "textarea"].contains(&tag.name.as_str())) {
        let is_hidden = tag.attributes.get("type").is_some_and(|kind| kind == "hidden");
        let has_label = tag.attributes.contains_key("aria-label")
            || tag.attributes.get("id").is_some_and(|id| labelled.contains(&id));
        assert!(tag.is_in_label || is_hidden || has_label, "{}: {tag:?} has no label", page.url);
    }
}

async fn key(api: &Api, role: &str, name: &str) -> String {
    let body = json!({ "role": role, "name": name, "host": false });
    api.post_json("/_api/keys", &body).await.ok()["token"].as_str().unwrap().to_owned()
}

/// A host with runs that have ended, wait and have failed, with the evil text wherever a workflow has text.
async fn with_runs(services: &Services) -> (Host, Vec<String>) {
    let host = Host::with_interpreter().await;
    let api = host.api();
    let mut runs = Vec::new();
    let evil = EVIL.replace(char::is_control, "");
    for (body, tags, status) in [
        (block![step(EVIL, block![Statement::Draw])], json!({}), "completed"),
        (block![fail_for_good(EVIL)], json!({"order": "1041", "customer": "Ada L", "note": evil}), "failed"),
        (block![Statement::Event("approval".to_owned(), None)], json!({"order": "1041"}), "waiting"),
    ] {
        let start = json!({ "input": services.program(body), "tags": tags });
        let started = api.try_start("program", &start).await.ok();
        let run = started["run_id"].as_str().unwrap();
        api.until_status(run, status).await;
        runs.push(run.to_owned());
    }
    (host, runs)
}

#[tokio::test]
async fn all_pages_have_strict_headers_and_nothing_inline_and_text_of_others_stays_text() {
    let services = Services::start().await;
    let (host, runs) = with_runs(&services).await;
    let pages = Site::of(&host).walk("runs").await;
    let html: Vec<&Page> = pages.iter().filter(|page| page.is_html()).collect();
    assert!(html.len() > runs.len());
    for page in html {
        check(page);
        assert!(page.status < 500, "{} answers {}", page.url, page.status);
        for evil in ["<img", "<script>", "\u{202e}", "\u{1b}"] {
            assert!(!page.body.contains(evil), "{} has {evil:?}", page.url);
        }
    }
    let list = Site::of(&host).get("runs").await;
    assert!(list.body.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", list.body);
    assert!(list.body.contains(r"\u{202e}\u{1b}[2J"), "{}", list.body);
}

#[tokio::test]
async fn the_dashboard_works_below_any_path() {
    let services = Services::start().await;
    let (host, _) = with_runs(&services).await;
    let url = base_path::proxy(&host).await;
    let site = Site::at(&url);
    let root = site.get("").await;
    assert_eq!((root.status, root.header("location")), (303, "runs"));
    // No link leads out of the path.
    let behind = site.walk("runs").await;
    let direct = Site::of(&host).walk("runs").await;
    let paths = |pages: &[Page], base: &str| -> Vec<(String, u16)> {
        let path = |page: &Page| page.url.path().strip_prefix(base).unwrap().to_owned();
        pages.iter().map(|page| (path(page), page.status)).collect()
    };
    assert_eq!(paths(&behind, base_path::BASE), paths(&direct, ""));
}

#[tokio::test]
async fn what_is_not_there_is_a_page_and_in_the_api_a_document() {
    let host = Host::start().await;
    let site = Site::of(&host);
    for path in ["nothing", "runs/nothing", "runs/0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10", "a/b/c/d"] {
        let page = site.get(path).await;
        assert!([400, 404].contains(&page.status), "{path} answers {}", page.status);
        check(&page);
    }
    for path in ["_api", "_api/nothing", "_api/runs/a/b/c"] {
        let page = site.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (404, "application/json"), "{path}");
    }
    // A path of any depth would be in each link of the page.
    let deep = site.get(&"a/".repeat(3_000)).await;
    assert_eq!((deep.status, deep.header("content-type")), (404, "application/json"));
    assert!(deep.body.len() < 10_000);
}

#[tokio::test]
async fn assets_are_kept_for_as_long_as_they_stay_the_same() {
    let host = Host::start().await;
    let site = Site::of(&host);
    let page = site.get("runs").await;
    let scripts = page.all("script", "src");
    assert!(scripts.iter().any(|script| script.ends_with("/runs/page.js")), "{scripts:?}");
    for script in scripts.iter().chain(&page.all("link", "href")) {
        let asset = site.get(script).await;
        assert_eq!(asset.status, 200, "{script}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
        let kinds = ["text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"];
        assert!(kinds.contains(&asset.header("content-type")), "{script}");
    }
    assert_eq!(site.get("assets/0000000000000000/page.js").await.header("cache-control"), "no-store");
    assert_eq!(site.get("assets/0000000000000000/../../Cargo.toml").await.status, 404);
    assert_eq!(site.get("assets/0000000000000000/nothing.js").await.status, 404);
}

#[tokio::test]
async fn with_keys_a_page_needs_a_login_and_shows_what_the_role_may() {
    let services = Services::start().await;
    let (host, runs) = with_runs(&services).await;
    let api = host.api();
    let name = EVIL.replace(char::is_control, "");
    let body = json!({ "role": "admin", "name": name, "host": true });
    let admin = api.post_json("/_api/keys", &body).await.ok()["token"].as_str().unwrap().to_owned();
    let ops = api.with_token(&admin);
    let site = Site::of(&host);
    let page = site.get("runs?status=failed&key=a%26b").await;
    assert_eq!(page.status, 303);
    assert_eq!(page.header("location"), "login?next=runs%3Fstatus%3Dfailed%26key%3Da%2526b");
    assert!(!page.body.contains(&runs[0]));
    let login = site.get("login?next=https%3A%2F%2Fevil.example").await;
    check(&login);
    assert!(login.status == 200 && !login.body.contains("evil.example"));
    assert!(login.body.contains("Log in") && !login.body.contains("href=\"nodes\""));
    let mut seen = Vec::new();
    for role in ["read", "start", "deploy", "admin"] {
        let site = site.with_token(&key(&ops, role, role).await);
        let page = site.get("runs").await;
        check(&page);
        assert!(page.body.contains(&runs[0]), "{role}");
        let has = |part: &str| page.body.contains(part);
        seen.push((has("data-bulk=\"cancel\""), has("href=\"audit\""), has("href=\"nodes\"")));
    }
    assert_eq!(
        seen,
        [(false, false, false), (true, false, false), (true, false, false), (true, true, false)]
    );
    let page = site.with_token(&admin).get("runs").await;
    check(&page);
    assert!(page.body.contains("href=\"nodes\""));
    let acme = json!({ "name": "acme" });
    ops.post_json("/_api/tenants", &acme).await.ok();
    let page = site.with_token(&admin).get("runs?tenant=acme").await;
    check(&page);
    assert!(!page.body.contains(&runs[0]));
    let links = page.links();
    let pages = links.iter().filter(|link| !link.path().starts_with("/assets/") && link.path() != "/runs");
    for link in pages {
        assert_eq!(link.query(), Some("tenant=acme"), "{link} forgets the tenant");
    }
    assert_eq!(page.all("html", "data-tenant"), ["acme"]);
    let other = site.with_token(&key(&ops, "admin", "of default").await).get("runs?tenant=acme").await;
    assert_eq!(other.status, 403);
    check(&other);
}

#[tokio::test]
async fn the_dashboard_can_be_turned_off() {
    let host = Host::builder().flag(["--no-dashboard"]).start().await;
    let site = Site::of(&host);
    for path in ["", "runs", "login", "assets/0000000000000000/page.js"] {
        let page = site.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (404, "application/json"), "{path}");
    }
    assert_eq!(host.api().health().await["status"], "ok");
}

#[tokio::test]
async fn the_host_prints_the_address_of_the_dashboard() {
    let folder = TempDir::new().unwrap();
    let cli = Cli::default().folder(folder.path());
    let mut serve = Terminal::start(cli.command(["serve", "--listen", "127.0.0.1:0"]), 24, 200);
    serve.until("the dashboard is http://127.0.0.1:").await;
}
