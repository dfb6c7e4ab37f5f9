//! Limits of a tenant: each is set by its name, enforced, and named by what it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use chrono::DateTime;
use forge_tests::program::{Block, Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Api, Host, Services, component};
use reqwest::Method;
use serde_json::{Value, json};

/// A tenant with this limit that may reach the services and has the interpreter.
async fn tenant(host: &Host, services: &Services, limit: &str, value: u64) -> Api {
    let name = limit.replace('_', "-");
    let body = json!({ "name": name, "egress": [services.url()] });
    host.api().post_json("/_api/tenants", &body).await.ok();
    let api = host.api().for_tenant(&name);
    api.deploy(&component("interpreter")).await;
    let change = json!({ "limits": { limit: value } });
    let info = host.api().send(Method::PATCH, &format!("/_api/tenants/{name}"), Some(&change)).await.ok();
    let shown =
        info["limits"].as_array().unwrap().iter().find(|shown| shown["name"] == limit).unwrap().clone();
    assert_eq!((&shown["value"], &shown["is_set"]), (&json!(value), &json!(true)), "{limit}");
    api
}

fn many(statement: Statement, times: u32) -> Block {
    vec![Statement::Repeat(times, vec![statement])]
}

#[tokio::test]
async fn a_run_that_reaches_a_limit_fails_with_an_error_that_names_it() {
    let services = Services::start().await;
    let host = Host::start().await;
    let at_once: Vec<Block> = (0..20).map(|number| block![effect(format!("e{number}"))]).collect();
    let cases: Vec<(&str, u64, &str, Block)> = vec![
        ("fuel_per_activation", 50_000_000, "out-of-fuel", block![Statement::Spin]),
        ("fuel_per_run", 1, "out-of-fuel", block![step("a", block![Statement::Sleep(1)])]),
        ("memory_bytes", 8 << 20, "out-of-memory", block![Statement::Hoard]),
        ("payload_bytes", 400, "limit", block![step("a", many(Statement::Draw, 20))]),
        ("calls_per_run", 5, "limit", many(effect("e"), 20)),
        ("calls_outstanding", 10, "limit", block![Statement::Join(at_once)]),
        ("journal_bytes_per_run", 1_000, "limit", many(effect("e"), 50)),
        ("response_bytes", 10, "limit", block![effect("e")]),
    ];
    for (limit, value, kind, program) in cases {
        let api = tenant(&host, &services, limit, value).await;
        let input = services.program(program);
        // What starts it is not what is bounded here.
        assert!(limit != "payload_bytes" || input.to_string().len() < 400);
        let run = api.start("program", input).await;
        let record = api.settled(&run).await;
        assert_eq!(
            (&record["status"], &record["error_kind"]),
            (&json!("failed"), &json!(kind)),
            "{limit}: {record:#}"
        );
        let error = record["error"].as_str().unwrap();
        let shown = if limit == "memory_bytes" { 8 } else { value };
        assert!(error.contains(limit) && error.contains(&shown.to_string()), "{limit}: {error}");
        // A tenant beside it has the host's limits.
        let record = host.api().for_tenant(&limit.replace('_', "-")).record(&run).await;
        assert_eq!(record["id"], json!(run));
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_is_the_failure_of_its_step_and_says_that_the_effect_stands() {
    let services = Services::start().await;
    let mut host = Host::start().await;
    let api = tenant(&host, &services, "payload_bytes", 2_000).await;
    let large = |name: &str| {
        let body =
            block![effect(name), reversible(&format!("{name}-part")), many(Statement::Draw, 50).remove(0)];
        step(name, body).retry(3, 1)
    };
    let body = block![
        Statement::Try(block![large("caught")]),
        large("optional").optional(),
        gate("hold"),
        fail("no")
    ];
    let run = api.start_program(&services, body).await;
    services.until_asked("hold", 1).await;
    host.kill();
    host.restart().await;
    services.open("hold");
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["error"]), (&json!("compensated"), &json!("no")), "{record:#}");
    for name in ["caught", "optional"] {
        let failed = api.step(&run, "step", name).await;
        assert_eq!((&failed["status"], &failed["attempt"]), (&json!("failed"), &json!(1)), "{failed:#}");
        let error = failed["error"].as_str().unwrap();
        for words in [
            &format!("the result of step `{name}` has "),
            "2000 (payload_bytes)",
            "effect of the step stands",
        ] {
            assert!(error.contains(words), "{error}");
        }
    }
    let undone = ["undo-optional-part", "undo-caught-part"];
    assert_eq!(services.performed()[5..], undone, "what completed inside is undone");
}

#[tokio::test]
async fn an_answer_that_the_journal_has_no_room_for_is_the_failure_of_its_request() {
    let services = Services::start().await;
    let host = Host::start().await;
    // The request has room, and its answer has none.
    let api = tenant(&host, &services, "journal_bytes_per_run", 300).await;
    let run = api.start_program(&services, block![Statement::Try(block![effect("e")])]).await;
    let record = api.settled(&run).await;
    let caught = record["output"].to_string();
    assert_eq!(record["status"], "completed", "{record:#}");
    assert!(
        caught.contains("journal_bytes_per_run") && caught.contains("What the call did stands"),
        "{caught}"
    );
    assert_eq!(services.performed(), ["e"]);
}

#[tokio::test]
async fn children_beyond_the_start_rate_wait_their_turn_and_their_parent_goes_on() {
    let services = Services::start().await;
    let host = Host::start().await;
    let slow = tenant(&host, &services, "start_rate", 2).await;
    let run = slow.start_program(&services, block![Statement::Children(8, block![effect("leaf")])]).await;
    let record = slow.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    let steps = slow.steps(&run).await;
    let mut times = Vec::new();
    for child in steps.iter().filter_map(|step| step["child_run"].as_str()) {
        let started = slow.record(child).await["started_at"].as_str().unwrap().to_owned();
        times.push(DateTime::parse_from_rfc3339(&started).unwrap());
    }
    times.sort_unstable();
    assert_eq!(times.len(), 8);
    // Two began at once at most, and then two a second.
    let took = times[7] - times[0];
    assert!(took.num_milliseconds() >= 2_500, "{took}");
}

#[tokio::test]
async fn starts_beyond_the_rate_are_refused_and_nothing_of_another_tenant_is() {
    let services = Services::start().await;
    let host = Host::start().await;
    let slow = tenant(&host, &services, "start_rate", 2).await;
    let other = tenant(&host, &services, "start_queue", 100).await;
    let body = json!({ "input": services.program(block![]) });
    let mut refused = 0;
    for _ in 0..10 {
        let answer = slow.try_start("program", &body).await;
        if answer.status == 429 {
            refused += 1;
            assert_eq!(answer.retry_after.as_deref(), Some("1"));
            let (code, message) = answer.refused(429);
            assert_eq!(code, "busy");
            assert!(message.contains("`start_rate` = 2") && message.contains("`start-rate`"), "{message}");
        }
        other.try_start("program", &body).await.ok();
    }
    assert!((6..=8).contains(&refused), "{refused}");
}

#[tokio::test]
async fn runs_beyond_those_that_may_be_in_memory_wait_for_their_turn() {
    let services = Services::start().await;
    let host = Host::start().await;
    let api = tenant(&host, &services, "runs_in_flight", 1).await;
    let first = api.start_program(&services, block![gate("first")]).await;
    api.until_step(&first, "http", &format!("POST {}/gate/first", services.url()), "running").await;
    let second = api.start_program(&services, block![effect("second")]).await;
    let other = tenant(&host, &services, "versions", 10).await;
    let free = other.start_program(&services, block![effect("free")]).await;
    assert_eq!(other.settled(&free).await["status"], "completed", "another tenant does not wait");
    assert_eq!(services.asked("second").len(), 0);
    services.open("first");
    assert_eq!(api.settled(&second).await["status"], "completed");
}

#[tokio::test]
async fn what_a_tenant_may_have_is_bounded() {
    let services = Services::start().await;
    let host = Host::start().await;
    let refused = |answer: forge_tests::Answer, status: u16, limit: &str| {
        let (_, message) = answer.refused(status);
        assert!(message.contains(limit), "{message}");
    };
    let api = tenant(&host, &services, "versions", 1).await;
    refused(api.upload(&component("greeting")).await, 403, "versions = 1");
    let api = tenant(&host, &services, "component_bytes", 1_000).await;
    refused(api.upload(&component("greeting")).await, 413, "1000");
    host.cli().run(["keys", "create", "ops", "--host", "--role", "admin"]).await.ok();
}

#[tokio::test]
async fn a_limit_is_shown_set_and_taken_back_on_the_command_line() {
    let host = Host::start().await;
    let run = async |arguments: &[&str]| host.cli().run(arguments.iter().copied()).await;
    run(&["tenants", "create", "acme", "--limit", "payload_bytes=64KiB", "--egress", "https://a.example"])
        .await
        .ok();
    let shown = run(&["tenants", "show", "acme"]).await.ok();
    assert!(
        shown.contains("payload_bytes") && shown.contains("64.0 KiB") && shown.contains("https://a.example"),
        "{shown}"
    );
    run(&["tenants", "set", "acme", "--limit", "payload_bytes=default", "--no-egress", "--suspend"])
        .await
        .ok();
    let info: Value = run(&["tenants", "show", "acme", "--json"]).await.json();
    assert_eq!(info["settings"], json!({ "egress": [], "suspended": true }));
    assert!(run(&["tenants"]).await.ok().contains("suspended"));
    let error = run(&["tenants", "set", "acme", "--limit", "payload=1"]).await.failed(1);
    assert!(error.contains("there is no limit `payload`; there are: fuel_per_activation"), "{error}");
    let error = run(&["tenants", "set", "acme", "--limit", "memory_bytes=1GiB"]).await.failed(1);
    assert!(error.contains("`memory_bytes` can be 67108864 at most"), "{error}");
    run(&["tenants", "create", "acme"]).await.failed(6);
    run(&["tenants", "create", "Acme!"]).await.failed(1);
    run(&["--tenant", "nobody", "workflows"]).await.failed(4);
}
