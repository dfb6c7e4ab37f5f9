//! What a browser presents instead of an API key: run tokens and sessions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{block, effect, gate, step};
use forge_tests::{Answer, Api, Cluster, Host, Services, component, eventually};
use reqwest::{Method, header};
use serde_json::{Value, json};

/// Makes an API key. Returns its token and its id.
async fn key(api: &Api, role: &str, host: bool) -> (String, String) {
    let body = json!({ "role": role, "name": format!("a {role}"), "host": host });
    let created = api.post_json("/_api/keys", &body).await.ok();
    (text(&created["token"]), text(&created["id"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A host with keys and two tenants, each with a run.
struct Stage {
    _host: Host,
    _services: Services,
    anyone: Api,
    ops: Api,
    /// The key of acme that makes tokens, and its id.
    acme: Api,
    acme_key: String,
    run: String,
    other_run: String,
    their_run: String,
}

impl Stage {
    async fn start() -> Self {
        let services = Services::start().await;
        let host = Host::start().await;
        let anyone = host.api();
        let ops = anyone.with_token(&key(&anyone, "admin", true).await.0);
        let mut runs = Vec::new();
        for (tenant, count) in [("acme", 2), ("umbrella", 1)] {
            let body = json!({ "name": tenant, "egress": [services.url()] });
            ops.post_json("/_api/tenants", &body).await.ok();
            let api = ops.for_tenant(tenant);
            api.deploy(&component("interpreter")).await;
            for _ in 0..count {
                let body = block![step("pay", block![effect("pay")]), gate("g")];
                runs.push(api.start_program(&services, body).await);
            }
        }
        services.until_asked("g", 3).await;
        let (token, acme_key) = key(&ops.for_tenant("acme"), "start", false).await;
        let acme = anyone.with_token(&token);
        let [run, other_run, their_run] = <[String; 3]>::try_from(runs).unwrap();
        Self { _host: host, _services: services, anyone, ops, acme, acme_key, run, other_run, their_run }
    }

    /// Makes a token for a run.
    async fn token(&self, run: &str, body: Value) -> String {
        text(&make(&self.acme, run, body).await.ok()["token"])
    }

    /// Returns the answer of the run's record to a token.
    async fn read(&self, token: &str) -> Answer {
        self.anyone.with_token(token).get(&format!("/_api/runs/{}", self.run)).await
    }
}

async fn make(api: &Api, run: &str, body: Value) -> Answer {
    api.post_json(&format!("/_api/runs/{run}/tokens"), &body).await
}

/// A browser that has logged in.
struct Browser {
    api: Api,
    cookie: String,
    csrf: String,
}

impl Browser {
    async fn log_in(api: &Api, key: &str) -> Self {
        let login = api.request(Method::POST, "/_api/session").await.json(&json!({ "key": key }));
        let answer = login.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let set = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains("Path"), "{set}");
        let cookie = set.split(';').next().unwrap().to_owned();
        let session: Value = answer.json().await.unwrap();
        Self { api: api.clone(), cookie, csrf: text(&session["csrf"]) }
    }

    /// Sends a request with the cookie and these headers.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.api.request(method, path).await.header("cookie", &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        Answer { status, body, retry_after: None }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }
}

/// The operations of the OpenAPI document: method, path with names filled in, whether it has a body, and its scopes.
async fn operations(api: &Api, run: &str) -> Vec<(Method, String, Option<Value>, Value)> {
    let document = api.get("/_api/openapi.json").await.ok();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let filled = path.replace("{id}", run).replace("{name}", "program").replace("{version}", "1");
            let filled = filled.replace("{tenant}", "acme").replace("{step}", "pay").replace("{event}", "e");
            let body = operation.get("requestBody").map(|_| json!({}));
            let security = operation["security"][0].clone();
            operations.push((method.to_uppercase().parse().unwrap(), filled, body, security));
        }
    }
    assert!(operations.len() > 35, "{}", operations.len());
    operations
}

#[tokio::test]
async fn a_run_token_reads_its_run_and_reaches_no_other_endpoint() {
    let it = Stage::start().await;
    let token = it.anyone.with_token(&it.token(&it.run, json!({})).await);
    let run = format!("/_api/runs/{}", it.run);
    let live = format!("{run}/live");
    let mut reached = Vec::new();
    for (method, path, body, security) in operations(&it.anyone, &it.run).await {
        if path == live {
            // It goes on as long as the run.
            let answer = token.request(method, &path).await.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            reached.push(path);
            continue;
        }
        let answer = token.send(method.clone(), &path, body.as_ref()).await;
        if answer.status == 403 {
            assert_eq!(answer.refused(403).0, "token_scope", "{method} {path}");
        } else if security != json!({}) {
            assert_eq!(method, Method::GET, "{path}");
            reached.push(path.clone());
        }
        if path == "/_api/health" {
            assert_eq!(token.health().await, json!({ "status": "ok" }));
        }
    }
    assert!(reached.contains(&run) && reached.contains(&format!("{run}/steps")), "{reached:?}");
    assert!(reached.iter().all(|path| path.starts_with(&run)), "{reached:?}");
    // Also not with the run of somebody else, or a name that is none.
    for other in [it.other_run.as_str(), &it.their_run, "x", "%ff", &it.run.replace('-', "%2d%2d")] {
        for path in reached.iter().map(|path| path.replace(&it.run, other)) {
            assert_eq!(token.get(&path).await.refused(403).0, "token_scope", "{path}");
        }
    }
    assert_eq!(token.for_tenant("umbrella").get(&run).await.refused(403).0, "forbidden");
    token.for_tenant("acme").get(&run).await.ok();
    let (code, message) = token.get("/_api/runs").await.refused(403);
    assert!(code == "token_scope" && message.contains(&it.run), "{message}");
    assert_eq!(it.acme.record(&it.run).await["status"], "running", "nobody has done anything to it");
}

#[tokio::test]
async fn a_url_may_have_a_run_token_for_the_live_view_alone_and_never_an_api_key() {
    let it = Stage::start().await;
    let token = it.token(&it.run, json!({})).await;
    let (reader, _) = key(&it.ops.for_tenant("acme"), "read", false).await;
    let path = |run: &str, rest: &str| format!("/_api/runs/{run}{rest}");
    let live = it.anyone.request(Method::GET, &path(&it.run, &format!("/live?token={token}"))).await;
    assert_eq!(live.send().await.unwrap().status(), 200);
    it.anyone.get(&path(&it.other_run, &format!("/live?token={token}"))).await.refused(403);
    for wrong in [format!("/live?token={reader}"), format!("/steps?token={token}"), format!("?token={token}")]
    {
        it.anyone.get(&path(&it.run, &wrong)).await.refused(401);
    }
}

#[tokio::test]
async fn a_token_without_payloads_reads_what_happened_and_not_with_what() {
    let it = Stage::start().await;
    let path = format!("/_api/runs/{}", it.run);
    let full = it.anyone.with_token(&it.token(&it.run, json!({ "payloads": true })).await);
    assert_ne!(full.get(&path).await.ok()["input"], Value::Null);
    let bare = it.anyone.with_token(&it.token(&it.run, json!({ "payloads": false })).await);
    let record = bare.get(&path).await.ok();
    assert_eq!((&record["input"], &record["step_results"]), (&Value::Null, &json!({})), "{record:#}");
    assert_eq!(record["status"], "running");
    full.get(&format!("{path}/logs")).await.ok();
    assert_eq!(bare.get(&format!("{path}/logs")).await.refused(403).0, "token_scope");
    for query in ["", "?payloads=true", "?payloads=false"] {
        let steps = bare.get(&format!("{path}/steps{query}")).await.ok();
        let steps = steps["steps"].as_array().unwrap();
        assert!(steps.iter().any(|step| step["step_name"] == "pay"));
        for step in steps {
            assert_eq!((&step["input"], &step["result"]), (&Value::Null, &Value::Null), "{step:#}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_forged_cut_or_of_another_kind_is_none() {
    let it = Stage::start().await;
    let token = it.token(&it.run, json!({})).await;
    it.read(&token).await.ok();
    let (claims, signature) = token.split_once('.').unwrap();
    let other = it.token(&it.other_run, json!({})).await;
    let session = Browser::log_in(&it.anyone, &key(&it.ops, "admin", true).await.0).await;
    let session_token = session.cookie.split_once('=').unwrap().1;
    for wrong in [
        claims,
        &format!("{claims}."),
        &format!("{}.{signature}", other.split_once('.').unwrap().0),
        &token[..token.len() - 1],
        &token.replace("forge_run_", "forge_session_"),
        &session_token.replace("forge_session_", "forge_run_"),
        session_token,
        "forge_run_",
        "forge_run_e30.e30",
        &format!("forge_run_{}", "a".repeat(20_000)),
    ] {
        assert_eq!(it.read(wrong).await.refused(401).0, "unauthorized", "{wrong}");
    }
    let as_cookie = Browser { cookie: format!("forge_session={token}"), ..session };
    as_cookie.get(&format!("/_api/runs/{}", it.run)).await.refused(401);
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_key_and_its_tenant() {
    let it = Stage::start().await;
    let lasting = it.token(&it.run, json!({ "ttl": "24h" })).await;
    let (code, message) = make(&it.acme, &it.run, json!({ "ttl": "25h" })).await.refused(400);
    assert!(code == "invalid_body" && message.contains("at most 1day (--run-token-time)"), "{message}");
    for wrong in [json!({ "ttl": "0s" }), json!({ "ttl": "soon" }), json!({ "time": "1m" })] {
        make(&it.acme, &it.run, wrong).await.refused(400);
    }
    assert_eq!(make(&it.acme, &it.their_run, json!({})).await.refused(404).0, "unknown_run");
    let short = it.token(&it.run, json!({ "ttl": "1ms" })).await;
    eventually("a token expires", async || it.read(&short).await.status == 401).await;

    // A suspended tenant is read-only, and a token only reads.
    it.ops.send(Method::PATCH, "/_api/tenants/acme", Some(&json!({ "suspended": true }))).await.ok();
    it.read(&lasting).await.ok();
    it.ops.send(Method::PATCH, "/_api/tenants/acme", Some(&json!({ "suspended": false }))).await.ok();

    // What waits with a token is closed with the key that made it.
    let waiting = it.anyone.with_token(&lasting);
    let path = format!("/_api/runs/{}?wait=60", it.run);
    let wait = tokio::spawn(async move { waiting.get(&path).await });
    let acme = it.ops.for_tenant("acme");
    acme.send(Method::DELETE, &format!("/_api/keys/{}", it.acme_key), None).await.ok();
    wait.await.unwrap().refused(401);
    let (_, message) = it.read(&lasting).await.refused(401);
    assert!(message.contains("its API key was revoked"), "{message}");

    let of_operator = text(&make(&acme, &it.run, json!({})).await.ok()["token"]);
    it.read(&of_operator).await.ok();
    it.anyone.with_token(&of_operator).get("/_api/tenants").await.refused(403);
    let database = rusqlite::Connection::open(it._host.database_file()).unwrap();
    database.execute("DELETE FROM forge_directory WHERE kind = 'tenant' AND tenant = 'acme'", ()).unwrap();
    // The host learns of a change by hand with the next change of its own.
    key(&it.ops, "read", true).await;
    assert_eq!(it.read(&of_operator).await.refused(404).0, "unknown_tenant");
}

#[tokio::test]
async fn a_host_without_keys_makes_tokens_that_end_when_it_has_some() {
    let services = Services::start().await;
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![gate("g")]).await;
    let token = api.with_token(&text(&make(&api, &run, json!({})).await.ok()["token"]));
    let path = format!("/_api/runs/{run}");
    token.get(&path).await.ok();
    assert_eq!(token.get("/_api/runs").await.refused(403).0, "token_scope");
    // No login is needed, and the cookie of another host does not matter.
    assert_eq!(api.get("/_api/session").await.ok()["csrf"], Value::Null);
    let stale = Browser { api: api.clone(), cookie: "forge_session=x".to_owned(), csrf: String::new() };
    assert_eq!(stale.get("/_api/session").await.ok()["role"], "admin");
    let cancel = format!("{path}/pause");
    assert!(stale.send(Method::POST, &cancel, None, &[]).await.status < 300);
    key(&api, "admin", true).await;
    token.get(&path).await.refused(401);
}

#[tokio::test]
async fn a_session_does_what_its_key_may_and_changes_nothing_without_its_csrf_token() {
    let it = Stage::start().await;
    let operations = operations(&it.anyone, &it.their_run).await;
    for role in ["read", "start", "deploy", "admin"] {
        let (token, id) = key(&it.ops.for_tenant("acme"), role, false).await;
        let (browser, own) = (Browser::log_in(&it.anyone, &token).await, it.anyone.with_token(&token));
        let who = browser.get("/_api/session").await.ok();
        assert_eq!(
            (&who["role"], &who["key"], &who["csrf"]),
            (&json!(role), &json!(id), &json!(browser.csrf))
        );
        for (method, path, body, security) in &operations {
            let what = format!("{method} {path} as {role}");
            let csrf = [("forge-csrf", browser.csrf.as_str())];
            let is_self = path == "/_api/session";
            if method != Method::GET && *security != json!({}) {
                for without in [&[][..], &[("forge-csrf", "x")], &[("forge-csrf", "")]] {
                    let answer = browser.send(method.clone(), path, body.as_ref(), without).await;
                    let (code, _) = answer.refused(403);
                    assert!(["csrf", "forbidden"].contains(&code.as_str()), "{what}: {code}");
                }
            }
            let with_key = own.send(method.clone(), path, body.as_ref()).await;
            let with_session = browser.send(method.clone(), path, body.as_ref(), &csrf).await;
            assert_eq!(with_session.status, with_key.status, "{what}: {}", with_session.body);
            if with_key.status == 403 && !is_self {
                assert_eq!(with_session.body, with_key.body, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_of_an_operator_acts_for_the_tenant_it_names_and_ends_with_its_key() {
    let it = Stage::start().await;
    let (token, id) = key(&it.ops, "admin", true).await;
    let browser = Browser::log_in(&it.anyone, &token).await;
    let runs = async |tenant: &str| {
        let answer = browser.send(Method::GET, "/_api/runs", None, &[("forge-tenant", tenant)]).await;
        answer.ok()["runs"].as_array().unwrap().len()
    };
    assert_eq!((runs("acme").await, runs("umbrella").await, runs("default").await), (2, 1, 0));
    // A token that a page makes ends with the key of its session.
    let csrf = browser.csrf.as_str();
    let with = [("forge-tenant", "acme"), ("forge-csrf", csrf)];
    let path = format!("/_api/runs/{}/tokens", it.run);
    let made = browser.send(Method::POST, &path, Some(&json!({})), &with).await.ok();
    it.read(&text(&made["token"])).await.ok();
    let origin = [("origin", "https://evil.example"), ("forge-csrf", csrf)];
    assert_eq!(browser.send(Method::GET, "/_api/runs", None, &origin).await.refused(403).0, "cross_site");

    let end = browser.api.request(Method::DELETE, "/_api/session").await;
    let end = end.header("cookie", &browser.cookie).header("forge-csrf", csrf).send().await.unwrap();
    let removed = end.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(end.status() == 204 && removed.starts_with("forge_session=; Max-Age=0"), "{removed}");

    it.ops.send(Method::DELETE, &format!("/_api/keys/{id}?host=true"), None).await.ok();
    let (_, message) = browser.get("/_api/session").await.refused(401);
    assert!(message.contains("log in again"), "{message}");
    it.read(&text(&made["token"])).await.refused(401);
    for (wrong, status) in
        [(json!({ "key": token }), 401), (json!({ "key": made["token"] }), 401), (json!({}), 400)]
    {
        it.anyone.post_json("/_api/session", &wrong).await.refused(status);
    }
}

#[tokio::test]
async fn a_session_ends_after_its_time() {
    let host = Host::builder().flag(["--session-time", "300ms"]).start().await;
    let token = key(&host.api(), "admin", true).await.0;
    let browser = Browser::log_in(&host.api(), &token).await;
    eventually("the session ends", async || browser.get("/_api/caller").await.status == 401).await;
    // The key goes on.
    host.api().with_token(&token).get("/_api/caller").await.ok();
}

#[tokio::test]
async fn every_node_accepts_what_another_one_has_signed_also_after_a_restart() {
    let services = Services::start().await;
    let mut cluster = Cluster::start(["one", "two"]).await;
    let ops = cluster.api(0).with_token(&key(&cluster.api(0), "admin", true).await.0);
    ops.deploy(&component("interpreter")).await;
    let run = ops.start_program(&services, block![gate("g")]).await;
    let token = text(&make(&ops, &run, json!({})).await.ok()["token"]);
    let path = format!("/_api/runs/{run}");
    let read = async |cluster: &Cluster, node: usize| {
        eventually("a node knows the key", async || {
            cluster.api(node).with_token(&token).get(&path).await.status == 200
        })
        .await;
    };
    read(&cluster, 1).await;
    cluster.host(0).kill();
    cluster.host(0).restart().await;
    read(&cluster, 0).await;
}
