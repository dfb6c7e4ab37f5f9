//! Tenants: nothing of one reaches another, and API keys say who may do what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Statement, block, effect, gate};
use forge_tests::{Api, Host, Services, component};
use reqwest::Method;
use serde_json::{Value, json};

/// Makes an API key and gives what to present.
async fn key(api: &Api, role: &str, host: bool) -> String {
    let body = json!({ "role": role, "name": format!("a {role}"), "host": host });
    let created = api.post_json("/_api/keys", &body).await.ok();
    created["token"].as_str().unwrap().to_owned()
}

/// A host with keys, and two tenants that may reach the services; as the host's admin.
async fn with_tenants(services: &Services) -> (Host, Api) {
    let host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
    let ops = host.api().with_token(&key(&host.api(), "admin", true).await);
    for name in ["acme", "umbrella"] {
        let body = json!({ "name": name, "egress": [services.url()] });
        ops.post_json("/_api/tenants", &body).await.ok();
    }
    (host, ops)
}

#[tokio::test]
async fn every_endpoint_asks_for_its_role_and_nothing_of_another_tenant_is_there() {
    let services = Services::start().await;
    let (host, ops) = with_tenants(&services).await;
    let open = host.api();
    // What belongs to umbrella.
    let umbrella = ops.for_tenant("umbrella");
    umbrella.deploy(&component("interpreter")).await;
    let run = umbrella.start_program(&services, block![gate("g")]).await;
    let their_key = key(&umbrella, "read", false).await;
    let their_key = their_key.split('_').nth(1).unwrap().to_owned();
    let document = open.get("/_api/openapi.json").await.ok();
    let roles = ["read", "start", "deploy", "admin"];
    let mut of_acme = Vec::new();
    for role in roles {
        of_acme.push(open.with_token(&key(&ops.for_tenant("acme"), role, false).await));
    }
    let host_reader = open.with_token(&key(&ops, "read", true).await);
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let what = format!("{method} {path}");
            let scopes = operation["security"][0]["key"].as_array();
            let scopes: Vec<&str> =
                scopes.into_iter().flatten().map(|scope| scope.as_str().unwrap()).collect();
            let needed = roles.iter().position(|role| scopes.contains(role));
            let for_host = scopes.contains(&"host");
            let filled = path
                .replace("{id}", if path.contains("keys") { &their_key } else { &run })
                .replace("{name}", "program")
                .replace("{version}", "1")
                .replace("{tenant}", "umbrella");
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = operation.get("requestBody").map(|_| json!({ "role": "read", "name": "x" }));
            let ask = async |api: &Api| api.send(method.clone(), &filled, body.as_ref()).await;
            checked += 1;
            let Some(needed) = needed else {
                assert!(![401, 403].contains(&ask(&open).await.status), "{what} is for everybody");
                continue;
            };
            assert_eq!(ask(&open).await.refused(401).0, "unauthorized", "{what} without a key");
            let unknown = open.with_token("forge_000000000000_nothing");
            assert_eq!(ask(&unknown).await.refused(401).0, "unauthorized", "{what} with a key that is none");
            for (place, api) in of_acme.iter().enumerate() {
                let (what, answer) = (format!("{what} as {}", roles[place]), ask(api).await);
                if place < needed || for_host {
                    assert_eq!(answer.status, 403, "{what}: {}", answer.body);
                } else if filled != *path {
                    // It names something of umbrella's, or something that is not there.
                    assert!([404, 400, 415, 409].contains(&answer.status), "{what}: {}", answer.body);
                } else {
                    assert!(![401, 403].contains(&answer.status), "{what}: {}", answer.body);
                    let text = answer.body.to_string();
                    assert!(
                        !text.contains(&run) && !text.contains(&their_key),
                        "{what} shows what is another's"
                    );
                }
            }
            let elsewhere = of_acme[3].for_tenant("umbrella");
            assert_eq!(ask(&elsewhere).await.refused(403).0, "forbidden", "{what} for another tenant");
            let reader = host_reader.for_tenant("umbrella");
            if path.ends_with("/live") {
                // The body would follow the run to its end.
                let answer = reader.request(method.clone(), &filled).await.send().await.unwrap();
                assert_eq!(answer.status() == 403, needed > 0, "{what} as a reader of the host");
                continue;
            }
            let answer = ask(&reader).await;
            assert_eq!(answer.status == 403, needed > 0, "{what} as a reader of the host: {}", answer.body);
        }
    }
    assert!(checked > 25, "{checked}");
    let record = umbrella.record(&run).await;
    assert_eq!(record["status"], "running", "nobody has done anything to it: {record:#}");
    let keys = umbrella.get("/_api/keys").await.ok();
    assert_eq!(keys["keys"][0].get("revoked_at"), None);
}

#[tokio::test]
async fn tenants_have_the_same_names_and_keys_and_see_their_own() {
    let services = Services::start().await;
    let (_host, ops) = with_tenants(&services).await;
    let mut runs = Vec::new();
    for tenant in ["acme", "umbrella"] {
        let api = ops.for_tenant(tenant);
        let registered = api.deploy(&component("interpreter")).await;
        assert_eq!(registered["created"], true, "nobody learns that another has the same component");
        let body =
            json!({ "input": services.program(block![Statement::Auth, effect(tenant)]), "key": "same" });
        let started = api.try_start("program", &body).await.ok();
        let again = api.try_start("program", &body).await.ok();
        assert_eq!(started["run_id"], again["run_id"]);
        let run = started["run_id"].as_str().unwrap().to_owned();
        let record = api.settled(&run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(record["output"][0]["claims"]["tenant"], tenant, "{record:#}");
        assert_eq!(record["output"][0]["roles"], json!(["admin"]));
        runs.push(run);
    }
    assert_ne!(runs[0], runs[1]);
    let acme = ops.for_tenant("acme");
    let listed = acme.get("/_api/runs").await.ok();
    let listed: Vec<&Value> = listed["runs"].as_array().unwrap().iter().map(|run| &run["id"]).collect();
    assert_eq!(listed, [&json!(runs[0])]);
    for path in ["", "/steps", "?wait=1"] {
        assert_eq!(acme.get(&format!("/_api/runs/{}{path}", runs[1])).await.refused(404).0, "unknown_run");
    }
    assert_eq!(acme.cancel(&runs[1]).await.refused(404).0, "unknown_run");
    acme.post("/_api/workflows/program/versions/1/deprecate").await.ok();
    let theirs = ops.for_tenant("umbrella").get("/_api/workflows/program").await.ok();
    assert_eq!(theirs["current"], 1, "{theirs}");
    assert_eq!(ops.for_tenant("nobody").get("/_api/runs").await.refused(404).0, "unknown_tenant");
}

#[tokio::test]
async fn a_host_without_keys_serves_its_own_machine_until_there_is_one() {
    let host = Host::start().await;
    let api = host.api();
    assert_eq!(api.get("/_api/caller").await.ok()["tenant"], "default");
    let (_, message) =
        api.post_json("/_api/keys", &json!({ "role": "read", "name": "x" })).await.refused(400);
    assert!(message.contains("--host"), "{message}");
    let token = host.cli().run(["keys", "create", "ops", "--host", "--role", "admin"]).await.ok();
    let token = token.trim();
    assert_eq!(api.get("/_api/runs").await.refused(401).0, "unauthorized");
    let ops = api.with_token(token);
    assert_eq!(api.health().await, json!({ "status": "ok" }), "how much the tenants do concerns nobody else");
    assert_eq!(ops.health().await["active_runs"], 0);
    assert_eq!(ops.get("/_api/caller").await.ok()["host"], true);
    let id = token.split('_').nth(1).unwrap();
    ops.send(Method::DELETE, &format!("/_api/keys/{id}?host=true"), None).await.ok();
    ops.get("/_api/caller").await.refused(401);
    assert_eq!(api.get("/_api/caller").await.status, 401, "a host that had keys never opens again");
}

#[tokio::test]
async fn the_first_key_is_one_with_which_others_can_be_made() {
    let host = Host::start().await;
    let api = host.api();
    let past = "2020-01-01T00:00:00Z";
    for (wrong, why) in [
        (json!({ "role": "admin", "name": "a" }), "a key of the host"),
        (json!({ "role": "read", "name": "a", "host": true }), "with the role `admin`"),
        (json!({ "role": "admin", "name": "a", "host": true, "expires_at": past }), "in the future"),
    ] {
        let (code, message) = api.post_json("/_api/keys", &wrong).await.refused(400);
        assert!(code == "invalid_key" && message.contains(why), "{code}: {message}");
    }
    let ops = api.with_token(&key(&api, "admin", true).await);
    let late = json!({ "role": "read", "name": "a", "expires_at": past });
    assert_eq!(ops.post_json("/_api/keys", &late).await.refused(400).0, "invalid_key");
    ops.get("/_api/workflows").await.ok();
}

#[tokio::test]
async fn a_host_without_keys_answers_to_no_name_that_a_web_page_may_have_lead_here() {
    let host = Host::start().await;
    let api = host.api();
    let named = async |api: &Api, path: &str| {
        let request = api.request(Method::GET, path).await.header("host", "evil.example:7070");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, body) = named(&api, "/_api/workflows").await;
    assert!(status == 403 && body.contains("cross_site") && body.contains("localhost"), "{status}: {body}");
    let (status, body) = named(&api, "/_api/health").await;
    assert!(status == 200 && !body.contains("version"), "it is told no more than everybody: {body}");
    assert!(api.health().await["version"].is_string());
    // Who presents a key has it from somebody.
    let ops = api.with_token(&key(&api, "admin", true).await);
    assert_eq!(named(&ops, "/_api/workflows").await.0, 200);
}

#[tokio::test]
async fn what_is_not_known_of_a_tenant_is_refused() {
    let services = Services::start().await;
    let (_host, ops) = with_tenants(&services).await;
    for (wrong, code) in [
        (json!({ "name": "new", "limit": { "versions": 5 } }), "invalid_body"),
        (json!({ "limits": { "versions": 5 } }), "invalid_body"),
        (json!({ "name": "new", "limits": { "verions": null } }), "invalid_limit"),
        (json!({ "name": "new", "egress_private": ["10.0.0.0/8"] }), "invalid_rule"),
    ] {
        assert_eq!(ops.post_json("/_api/tenants", &wrong).await.refused(400).0, code, "{wrong}");
    }
    ops.get("/_api/tenants/new").await.refused(404);
    let right = json!({ "name": "new", "egress": [], "limits": { "versions": 5 }, "suspended": true });
    assert_eq!(ops.post_json("/_api/tenants", &right).await.ok()["settings"]["suspended"], true);
}

#[tokio::test]
async fn other_machines_reach_a_host_only_if_it_has_keys() {
    // An address for documentation: nothing listens there, because the keys are looked for first.
    let refused = Host::builder().flag(["--listen", "192.0.2.1:0"]).try_start().await.err().unwrap();
    assert!(refused.log.contains("forge keys create NAME --host --role admin --database"), "{}", refused.log);
    let folder = tempfile::TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("forge.db").display());
    let create = ["keys", "create", "ops", "--host", "--role", "admin", "--database", &database];
    forge_tests::Cli::default().run(create).await.ok();
    let with_keys = Host::builder().flag(["--listen", "192.0.2.1:0"]).folder(folder);
    let refused = with_keys.try_start().await.err().unwrap();
    assert!(refused.log.contains("cannot listen on 192.0.2.1"), "{}", refused.log);
    let folder = tempfile::TempDir::new().unwrap();
    let database = format!("sqlite:{}", folder.path().join("forge.db").display());
    let create = ["keys", "create", "ops", "--host", "--role", "admin", "--database", &database];
    let token = forge_tests::Cli::default().run(create).await.ok();
    let host = Host::builder().folder(folder).start().await;
    let api = host.api();
    api.get("/_api/caller").await.refused(401);
    assert_eq!(api.with_token(token.trim()).get("/_api/caller").await.ok()["role"], "admin");
}

#[tokio::test]
async fn a_suspended_tenant_looks_and_does_nothing_and_goes_on_later() {
    let services = Services::start().await;
    let (_host, ops) = with_tenants(&services).await;
    let acme = ops.for_tenant("acme");
    acme.deploy(&component("interpreter")).await;
    let own = ops.with_token(&key(&acme, "admin", false).await);
    let run = acme.start_program(&services, block![Statement::Sleep(300), effect("late")]).await;
    ops.send(Method::PATCH, "/_api/tenants/acme", Some(&json!({ "suspended": true }))).await.ok();
    let start = json!({ "input": services.program(block![]) });
    assert_eq!(acme.try_start("program", &start).await.refused(403).0, "suspended");
    assert_eq!(acme.record(&run).await["id"], json!(run));
    assert_eq!(own.record(&run).await["id"], json!(run));
    for path in [format!("/_api/runs/{run}/cancel"), "/_api/workflows/program/versions/1/activate".into()] {
        assert_eq!(own.post(&path).await.refused(403).0, "suspended", "{path}");
    }
    let more = json!({ "role": "admin", "name": "another" });
    assert_eq!(own.post_json("/_api/keys", &more).await.refused(403).0, "suspended");
    ops.send(Method::PATCH, "/_api/tenants/acme", Some(&json!({ "suspended": false }))).await.ok();
    assert_eq!(acme.settled(&run).await["status"], "completed");
    acme.try_start("program", &start).await.ok();
}

#[tokio::test]
async fn who_did_what_and_what_was_used_can_be_read() {
    let services = Services::start().await;
    let (host, ops) = with_tenants(&services).await;
    let acme = ops.for_tenant("acme");
    acme.deploy(&component("interpreter")).await;
    let run = acme.start_program(&services, block![effect("one"), effect("two")]).await;
    acme.settled(&run).await;
    acme.post("/_api/workflows/program/versions/1/activate").await.ok();
    acme.cancel(&run).await.refused(409);
    let log = acme.get("/_api/audit").await.ok();
    let actions: Vec<&str> =
        log["records"].as_array().unwrap().iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["run.cancel", "version.activate", "component.upload", "tenant.create"]);
    let uploaded = &log["records"][2]["detail"]["workflows"];
    assert!(uploaded.as_array().unwrap().contains(&json!("program v1")), "{log:#}");
    assert!(log["records"][0]["actor"].as_str().unwrap().contains("(a admin)"), "{log:#}");
    let all = ops.get("/_api/audit?all=true&limit=2").await.ok();
    assert_eq!(all["next_cursor"], all["records"][1]["seq"]);
    let database = rusqlite::Connection::open(host.database_file()).unwrap();
    for forbidden in ["DELETE FROM forge_audit", "UPDATE forge_audit SET actor = 'nobody'"] {
        let error = database.execute(forbidden, ()).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    let usage = acme.get("/_api/usage").await.ok();
    let total = &usage["total"];
    assert_eq!((&total["runs"], &total["http_requests"]), (&json!(1), &json!(2)), "{usage:#}");
    for amount in ["fuel", "steps", "http_bytes", "journal_bytes"] {
        assert!(total[amount].as_u64().unwrap() > 0, "{amount}: {usage:#}");
    }
    let other = ops.for_tenant("umbrella").get("/_api/usage").await.ok();
    assert_eq!(other["hours"], json!([]));
    acme.get("/_api/usage?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z").await.refused(400);
}

#[tokio::test]
async fn a_tenant_sees_in_the_audit_log_that_an_operator_acted_and_not_which() {
    let services = Services::start().await;
    let (host, ops) = with_tenants(&services).await;
    let acme = ops.for_tenant("acme");
    let token = key(&acme, "admin", false).await;
    let own = host.api().with_token(&token);
    own.deploy(&component("interpreter")).await;
    acme.post("/_api/workflows/program/versions/1/activate").await.ok();
    let keys = ops.get("/_api/keys?host=true").await.ok();
    let operator = keys["keys"][0]["id"].as_str().unwrap().to_owned();
    // As earlier versions wrote it.
    let database = rusqlite::Connection::open(host.database_file()).unwrap();
    for actor in
        [format!("key {operator} (a admin)"), "key 0123456789ab (gone)".to_owned(), "retention".to_owned()]
    {
        let insert = "INSERT INTO forge_audit (at, tenant, actor, action, subject) VALUES (1, 'acme', ?, 'run.old', 'r')";
        database.execute(insert, [actor]).unwrap();
    }
    let seen = async |api: &Api| -> Vec<String> {
        let log = api.get("/_api/audit").await.ok();
        let records = log["records"].as_array().unwrap().iter();
        records.map(|record| record["actor"].as_str().unwrap().to_owned()).collect()
    };
    let own_key = format!("key {} (a admin)", token.split('_').nth(1).unwrap());
    let theirs = seen(&own).await;
    assert_eq!(
        theirs,
        ["retention", "a former key", "operator", "operator", &own_key, "operator", "operator"],
        "the newest first"
    );
    let all = seen(&acme).await;
    assert_eq!(all[3], format!("operator key {operator} (a admin)"));
    assert_eq!(all[2], format!("key {operator} (a admin)"));
    assert_eq!((&*all[1], &*all[4]), ("key 0123456789ab (gone)", &*own_key));
}

#[tokio::test]
async fn the_audit_log_grows_at_a_bounded_rate_and_has_what_exists() {
    let services = Services::start().await;
    let (host, ops) = with_tenants(&services).await;
    let acme = ops.for_tenant("acme");
    let own = host.api().with_token(&key(&acme, "admin", false).await);
    own.deploy(&component("interpreter")).await;
    let run = own.start_program(&services, block![gate("g")]).await;
    let lines = async || {
        let log = ops.for_tenant("acme").get("/_api/audit?limit=500").await.ok();
        log["records"].as_array().unwrap().clone()
    };
    let before = lines().await.len();
    // What does not exist leaves no line.
    let long = "x".repeat(60_000);
    let (code, message) = own.post(&format!("/_api/workflows/{long}/versions/1/activate")).await.refused(400);
    assert!(code == "invalid_parameter" && message.len() < 500, "{code}: {message}");
    own.post(&format!("/_api/runs/{run}/steps/{long}/resolve")).await.refused(400);
    for path in ["program/versions/9/activate", "nothing/versions/1/deprecate"] {
        own.post(&format!("/_api/workflows/{path}")).await.refused(404);
    }
    assert_eq!(lines().await.len(), before);
    // What a tenant writes into a line is bounded.
    let reason = json!({ "failed": "y".repeat(500_000) });
    own.resolve(&run, "1", &reason).await.refused(409);
    let line = lines().await[0].clone();
    assert!(line["action"] == "run.resolve" && line.to_string().len() < 8_000, "{}", line.to_string().len());

    let limit = json!({ "limits": { "audit_rate": 2 } });
    ops.send(Method::PATCH, "/_api/tenants/acme", Some(&limit)).await.ok();
    let before = lines().await.len();
    let mut refused = 0;
    for _ in 0..20 {
        let answer = own.resume(&run).await;
        if answer.status == 429 {
            refused += 1;
            assert_eq!(answer.retry_after.as_deref(), Some("1"));
            let (code, message) = answer.refused(429);
            assert!(code == "busy" && message.contains("audit_rate = 2"), "{code}: {message}");
        }
    }
    assert!(refused >= 10, "{refused}");
    assert_eq!(lines().await.len() - before, 20 - refused, "a refused operation leaves no line");
    // Operators are not held up by what a tenant does.
    for _ in 0..5 {
        acme.resume(&run).await.ok();
    }
    let usage = own.get("/_api/usage").await.ok();
    assert!(usage["total"]["audit_lines"].as_u64().unwrap() >= 5, "{usage:#}");
}
