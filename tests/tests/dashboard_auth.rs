//! The pages of those who administer: the login, tenants, nodes and the audit log, and who may see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use forge_tests::program::{block, gate};
use forge_tests::{Api, Host, PATIENCE, Services, component};
use reqwest::{Client, Method, header};
use serde_json::{Value, json};

/// A browser that does not follow redirects.
struct Browser {
    client: Client,
    url: String,
    cookie: Option<String>,
}

/// A response to a browser.
struct Page {
    status: u16,
    body: String,
    headers: header::HeaderMap,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Returns the page without redirects and errors.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Returns where the browser is sent.
    #[track_caller]
    fn leads(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.body);
        self.header("location")
    }
}

impl Browser {
    fn new(host: &Host) -> Self {
        _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Self { client: client.build().unwrap(), url: host.url(), cookie: None }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if method == Method::POST {
            let form = reqwest::Url::parse_with_params("http://form", form)
                .unwrap()
                .query()
                .unwrap_or_default()
                .to_owned();
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Page { status, headers, body: answer.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], &[]).await
    }

    /// Sends the form of the login, and keeps the session.
    async fn log_in(&mut self, key: &str, next: &str) -> Page {
        let page = self.send(Method::POST, "/login", &[("key", key), ("next", next)], &[]).await;
        self.cookie =
            page.header("set-cookie").split(';').next().map(str::to_owned).filter(|it| !it.is_empty());
        page
    }

    async fn logged_in(host: &Host, key: &str) -> Self {
        let mut browser = Self::new(host);
        assert_eq!(browser.log_in(key, "").await.leads(), "runs");
        browser
    }
}

/// Makes an API key. Returns its token and its id.
async fn key(api: &Api, role: &str, name: &str, host: bool) -> (String, String) {
    let created =
        api.post_json("/_api/keys", &json!({ "role": role, "name": name, "host": host })).await.ok();
    (created["token"].as_str().unwrap().to_owned(), created["id"].as_str().unwrap().to_owned())
}

/// A host with keys and the tenants acme and umbrella.
async fn stage() -> (Host, Api, String) {
    let host = Host::start().await;
    let (ops_key, _) = key(&host.api(), "admin", "ops", true).await;
    let ops = host.api().with_token(&ops_key);
    for tenant in ["acme", "umbrella"] {
        ops.post_json("/_api/tenants", &json!({ "name": tenant })).await.ok();
    }
    (host, ops, ops_key)
}

/// Returns the value of a hidden field.
fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let field = format!("name=\"{name}\" value=\"");
    page.split_once(&field)
        .unwrap_or_else(|| panic!("there is no field {name}: {page}"))
        .1
        .split('"')
        .next()
        .unwrap()
}

#[tokio::test]
async fn a_login_begins_a_session_and_leads_to_the_page_that_was_asked_for() {
    let (host, _, ops_key) = stage().await;
    let mut browser = Browser::new(&host);
    let asked = browser.get("/tenants/acme?tenant=acme&period=week").await;
    assert_eq!(asked.leads(), "../login?next=tenants%2Facme%3Ftenant%3Dacme%26period%3Dweek");
    let form = browser.get(asked.leads().trim_start_matches("..")).await.ok();
    let next = hidden(&form, "next").replace("&amp;", "&");
    assert_eq!(next, "tenants/acme?tenant=acme&period=week");
    assert!(form.contains("<label for=\"key\">"), "{form}");

    // A wrong key is said, and the way goes on from there.
    for wrong in ["", "x", "forge_0123456789ab_x", &format!("{ops_key}x")] {
        let refused = browser.log_in(wrong, &next).await;
        assert!(refused.status == 401 && browser.cookie.is_none(), "{}", refused.body);
        assert!(refused.body.contains("unknown, revoked or expired"), "{}", refused.body);
        assert_eq!(hidden(&refused.body, "next").replace("&amp;", "&"), next);
        assert!(wrong.len() < 2 || !refused.body.contains(wrong), "the key is not shown");
    }
    assert_eq!(browser.log_in(&ops_key, &next).await.leads(), next);
    let page = browser.get(&format!("/{next}")).await.ok();
    assert!(page.contains("<h1>acme "), "{page}");
    assert_eq!(browser.get("/login?next=audit").await.leads(), "audit", "nobody logs in twice");

    // Nothing but pages of the dashboard is a way.
    for evil in
        ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "runs/../../x"]
    {
        assert_eq!(browser.log_in(&ops_key, evil).await.leads(), "runs");
        let form = Browser::new(&host).get(&format!("/login?next={evil}")).await.ok();
        assert!(!form.contains("evil") && !form.contains("alert"), "{form}");
    }
    // No other site logs a browser in.
    let foreign = [("origin", "https://evil.example")];
    let refused = browser.send(Method::POST, "/login", &[("key", &ops_key)], &foreign).await;
    assert!(refused.status == 403 && refused.header("set-cookie").is_empty());
}

#[tokio::test]
async fn a_session_ends_with_the_logout_and_with_its_key() {
    let (host, ops, _) = stage().await;
    let (token, id) = key(&ops.for_tenant("acme"), "read", "a reader", false).await;
    let browser = Browser::logged_in(&host, &token).await;
    let page = browser.get("/runs").await.ok();
    let csrf = hidden(&page, "csrf").to_owned();
    for wrong in ["", "x"] {
        let refused = browser.send(Method::POST, "/logout", &[("csrf", wrong)], &[]).await;
        assert!(refused.status == 403 && refused.header("set-cookie").is_empty());
    }
    let out = browser.send(Method::POST, "/logout", &[("csrf", &csrf)], &[]).await;
    assert_eq!(out.leads(), "login");
    assert!(out.header("set-cookie").starts_with("forge_session=; Max-Age=0"));

    browser.get("/runs").await.ok();
    ops.for_tenant("acme").send(Method::DELETE, &format!("/_api/keys/{id}"), None).await.ok();
    assert_eq!(browser.get("/runs").await.leads(), "login?next=runs");
    // Who has no session any more can end it.
    assert_eq!(browser.send(Method::POST, "/logout", &[], &[]).await.leads(), "login");
    browser.get("/login").await.ok();
}

/// The pages, each with the endpoint that returns the same.
const PAGES: [(&str, &str); 6] = [
    ("/runs", "/_api/runs"),
    ("/tenants/acme", "/_api/tenants/acme"),
    ("/tenants/nobody", "/_api/tenants/nobody"),
    ("/nodes", "/_api/nodes"),
    ("/audit", "/_api/audit"),
    ("/audit?all=true", "/_api/audit?all=true"),
];

#[tokio::test]
async fn a_page_is_for_those_who_may_read_the_same_from_the_api() {
    let (host, ops, _) = stage().await;
    for (role, of_host) in
        [("read", false), ("deploy", false), ("admin", false), ("read", true), ("admin", true)]
    {
        let (token, _) = key(&ops.for_tenant("acme"), role, "somebody", of_host).await;
        let (browser, api) = (Browser::logged_in(&host, &token).await, host.api().with_token(&token));
        for (page, endpoint) in PAGES {
            let (same, page_of) = (api.get(endpoint).await.status, browser.get(page).await);
            // A caller of the host acts for the tenant at which it looks.
            let follows = of_host && page.starts_with("/tenants/");
            let status = if follows {
                browser.get(&format!("{page}?tenant={}", &page[9..])).await.status
            } else {
                page_of.status
            };
            assert_eq!(status, same, "{page} as {role}, of the host: {of_host}");
        }
        let is_admin = role == "admin";
        let path = if of_host { "/tenants/acme?tenant=acme" } else { "/tenants/acme" };
        let page = browser.get(path).await.ok();
        for (what, is_there) in [
            ("data-new-key", is_admin),
            ("data-revoke", is_admin),
            ("id=\"secrets\"", is_admin),
            ("data-suspend", is_admin && of_host),
            ("id=\"limits\"", true),
            ("href=\"../audit", is_admin),
            ("href=\"../nodes", of_host),
        ] {
            assert_eq!(page.contains(what), is_there, "{what} as {role}, of the host: {of_host}");
        }
        let list = browser.get("/tenants").await;
        if of_host {
            let list = list.ok();
            assert!(list.contains("umbrella") && list.contains("runs?tenant=umbrella"), "{list}");
            assert_eq!(list.contains("API keys of the host"), is_admin);
        } else {
            assert_eq!(list.leads(), "tenants/acme");
            assert_eq!(browser.get("/tenants/umbrella").await.status, 404);
            assert_eq!(browser.get("/tenants/acme?tenant=umbrella").await.status, 403);
        }
    }
    let services = Services::start().await;
    ops.for_tenant("acme").deploy(&component("interpreter")).await;
    let run = ops.for_tenant("acme").start_program(&services, block![gate("g")]).await;
    let made = ops.for_tenant("acme").post_json(&format!("/_api/runs/{run}/tokens"), &json!({})).await.ok();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    for (page, _) in PAGES {
        let with_token =
            Browser::new(&host).send(Method::GET, page, &[], &[("authorization", &bearer)]).await;
        assert_eq!(with_token.status, 403, "a run token is for no page: {page}");
    }
}

#[tokio::test]
async fn no_page_has_a_script_of_its_own_and_text_of_others_is_escaped() {
    let (host, ops, _) = stage().await;
    let hostile = "<script>alert(1)</script>\"'>\u{202e}gnp.exe";
    let acme = ops.for_tenant("acme");
    key(&acme, "start", hostile, false).await;
    let (token, _) = key(&ops, "admin", hostile, true).await;
    let browser = Browser::logged_in(&host, &token).await;
    let unknown = format!(
        "/{}",
        hostile
            .replace('/', "%2f")
            .replace('<', "%3c")
            .replace('"', "%22")
            .replace('>', "%3e")
            .replace('\u{202e}', "%e2%80%ae")
    );
    for path in [
        "/login?next=runs",
        "/tenants",
        "/tenants/acme?tenant=acme",
        "/tenants/default?period=month",
        "/nodes",
        "/audit",
        "/audit?all=true",
        "/audit?tenant=acme",
        "/tenants/nobody?tenant=nobody",
        &unknown,
    ] {
        let page = if path.starts_with("/login") {
            Browser::new(&host).get(path).await
        } else {
            browser.get(path).await
        };
        assert!([200, 404].contains(&page.status), "{path}: {}", page.status);
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(
            (page.header("x-content-type-options"), page.header("cache-control")),
            ("nosniff", "no-store"),
            "{path}"
        );
        let body = &page.body;
        assert!(!body.contains("<script>") && !body.contains('\u{202e}'), "{path}: {body}");
        assert!(!body.contains(" style=") && !body.contains(" onclick="), "{path}");
        assert_eq!(body.matches("<h1>").count(), 1, "{path}");
        assert_eq!(
            body.matches("<script ").count(),
            body.matches("<script type=\"module\" src=").count(),
            "{path}"
        );
    }
    for path in ["/audit?all=true", "/tenants/acme?tenant=acme", "/tenants"] {
        let page = browser.get(path).await.ok();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{path}: {page}");
        assert!(page.contains("\\u{202e}gnp.exe"), "{path}");
    }
}

#[tokio::test]
async fn the_audit_log_has_pages_that_together_are_the_whole_log() {
    let (host, ops, ops_key) = stage().await;
    let acme = ops.for_tenant("acme");
    for number in 0..60 {
        key(&acme, "read", &format!("key number {number}"), false).await;
    }
    let browser = Browser::logged_in(&host, &ops_key).await;
    let (mut path, mut seen, mut pages) = ("audit?tenant=acme".to_owned(), BTreeSet::new(), 0);
    loop {
        let page = browser.get(&format!("/{path}")).await.ok();
        pages += 1;
        for row in page.split("key number ").skip(1) {
            let number: u32 = row.split(|next: char| !next.is_ascii_digit()).next().unwrap().parse().unwrap();
            assert!(seen.insert(number), "{number} is on two pages");
        }
        let Some((_, older)) = page.split_once("rel=\"next\" href=\"") else { break };
        path = older.split('"').next().unwrap().replace("&amp;", "&");
        assert!(path.contains("tenant=acme"), "{path}");
    }
    assert_eq!((seen.len(), pages), (60, 2));
    let all = browser.get("/audit?all=true").await.ok();
    assert!(all.contains("All tenants and the host") && all.contains(">Tenant<"), "{all}");
}

#[tokio::test]
async fn a_tenant_page_shows_what_was_used_and_whether_the_tenant_is_suspended() {
    let (host, ops, ops_key) = stage().await;
    let acme = ops.for_tenant("acme");
    let services = Services::start().await;
    acme.deploy(&component("interpreter")).await;
    acme.start_program(&services, block![gate("g")]).await;
    let change = json!({ "suspended": true, "egress": ["https://api.acme.example"], "limits": { "runs_in_flight": 1_234 } });
    ops.send(Method::PATCH, "/_api/tenants/acme", Some(&change)).await.ok();
    let browser = Browser::logged_in(&host, &ops_key).await;
    assert_eq!(browser.get("/tenants/acme").await.leads(), "../tenants/acme?tenant=acme");
    for period in ["day", "week", "month", "<x>"] {
        let page = browser.get(&format!("/tenants/acme?tenant=acme&period={period}")).await.ok();
        assert!(page.contains("Runs started: 1 in all, at most 1 at once"), "{page}");
        assert!(page.contains("data-status=\"suspended\"") && page.contains(">Resume<"), "{page}");
        assert!(page.contains("https://api.acme.example") && page.contains("1\u{202f}234"), "{page}");
        assert!(page.contains("data-tenant=\"acme\""), "requests of the page act for the tenant");
    }
}

#[tokio::test]
async fn a_host_without_keys_has_pages_for_everybody_on_the_machine_and_for_no_other_name() {
    let host = Host::start().await;
    let browser = Browser::new(&host);
    assert_eq!(browser.get("/login?next=audit").await.leads(), "audit");
    for page in ["/runs", "/tenants", "/tenants/default", "/nodes", "/audit"] {
        let body = browser.get(page).await.ok();
        assert!(!body.contains("Log out"), "there is no session");
        let renamed = browser.send(Method::GET, page, &[], &[("host", "evil.example:7070")]).await;
        assert_eq!(renamed.status, 403, "{page}");
    }
    let health: Value = host.api().health().await;
    assert!(health.is_object());
}
