//! Tags: runs are found by what their start and their workflow have said of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Block, Statement, block, effect, fail, gate};
use forge_tests::{Api, Host, Services};
use serde_json::{Value, json};

fn tag(name: &str, value: &str) -> Statement {
    Statement::Tag(name.to_owned(), value.to_owned())
}

/// Starts a program with tags.
async fn start(api: &Api, services: &Services, body: Block, tags: Value) -> String {
    let body = json!({ "input": services.program(body), "tags": tags });
    api.start_acknowledged("program", &body).await
}

/// Returns the ids of a list.
async fn list(api: &Api, query: &str) -> Vec<String> {
    let page = api.get(&format!("/_api/runs?{query}")).await.ok();
    page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_run_is_found_by_its_tags_also_after_a_crash() {
    let mut host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let body = block![
        tag("order", "1041"),
        tag("phase", "first"),
        effect("pay"),
        tag("phase", "second"),
        gate("ship"),
        tag("phase", "last"),
    ];
    let run = start(&api, &services, body, json!({ "customer": "acme & co" })).await;
    let other = start(&api, &services, block![fail("no")], json!({ "customer": "acme & co" })).await;
    api.settled(&other).await;
    services.until_asked("ship", 1).await;
    host.kill();
    host.restart().await;
    let api = host.api();
    let second = json!({ "customer": "acme & co", "order": "1041", "phase": "second" });
    assert_eq!(api.record(&run).await["tags"], second, "they were saved before the request left");
    services.until_asked("ship", 2).await;
    assert_eq!(api.record(&run).await["tags"], second, "a replay changes nothing");
    assert_eq!(list(&api, "tag.order=1041&tag.phase=second").await, [run.as_str()]);
    services.open("ship");
    assert_eq!(api.settled(&run).await["tags"]["phase"], "last");

    let both = "tag.customer=acme+%26+co";
    assert_eq!(list(&api, both).await, [other.clone(), run.clone()]);
    assert_eq!(list(&api, &format!("{both}&status=failed,paused")).await, [other.as_str()]);
    assert_eq!(list(&api, &format!("{both}&error_kind=error&workflow=program")).await, [other.as_str()]);
    assert_eq!(list(&api, &format!("{both}&version=7")).await, [""; 0]);
    assert_eq!(list(&api, "tag.phase=second").await, [""; 0], "it has another value");
    let counts = api.get(&format!("/_api/runs/counts?{both}")).await.ok();
    assert_eq!((&counts["counts"]["completed"], &counts["counts"]["failed"]), (&json!(1), &json!(1)));
    assert_eq!((&counts["capped"], &counts["at_least"]), (&json!(10_000), &json!([])));
    let counts =
        api.get(&format!("/_api/runs/counts?{both}&workflow=program&version=1&status=failed")).await.ok();
    assert_eq!(counts["counts"], json!({ "failed": 1 }));

    let listed = host.cli().run(["runs", "--tag", "order=1041", "--before", "0s"]).await.ok();
    assert!(
        listed.contains(&run) && listed.contains("customer=acme & co  order=1041  phase=last"),
        "{listed}"
    );
    assert!(!listed.contains(&other), "{listed}");
    let shown = host.cli().run(["runs", "show", &run]).await.ok();
    assert!(shown.contains("customer=acme & co  order=1041  phase=last"), "{shown}");
    let (input, cli) = (services.program(block![]).to_string(), host.cli());
    let started = cli.run(["start", "program", "--input", &input, "--tag", "a=b"]).await.ok();
    assert_eq!(list(&api, "tag.a=b").await, [started.trim()]);

    // A deleted run leaves no tag.
    api.delete(&run).await.ok();
    assert_eq!(list(&api, both).await, [other]);
    let counts = api.get("/_api/runs/counts?tag.order=1041").await.ok();
    assert_eq!(counts["counts"]["completed"], 0);
}

#[tokio::test]
async fn names_and_values_that_are_not_allowed_are_refused_with_what_is() {
    let mut host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let sixteen: serde_json::Map<_, _> = (0..16).map(|number| (format!("t{number}"), json!("1"))).collect();
    let mut seventeen = sixteen.clone();
    seventeen.insert("t16".to_owned(), json!("1"));
    for (tags, shown) in [
        (json!({ "<b>": "1" }), "`<b>` cannot be the name of a tag: it must have 1 to 64 characters of A-Z"),
        (json!({ "\u{202e}": "1" }), "`\\u{202e}` cannot be the name of a tag"),
        (json!({ "a": "x".repeat(256) }), "the value of the tag `a` has 256 bytes; the most is 255"),
        (json!({ "a": "\u{1b}[31m" }), "the value of the tag `a` has a control character"),
        (json!(seventeen), "a run can have 16 tags: there is no room for"),
        (json!({ "a": 1 }), "tags"),
    ] {
        let body = json!({ "input": services.program(block![]), "tags": tags });
        let (code, message) = api.try_start("program", &body).await.refused(400);
        assert!(code == "invalid_body" && message.contains(shown), "{code}: {message}");
    }
    for (query, shown) in [
        ("tag.%3Cb%3E=1", "`<b>` cannot be the name of a tag"),
        ("tag.a=1&tag.a=2", "`tag.a` is given twice"),
        ("started_before=soon", "`started_before`"),
        ("version=0x1", "`version`"),
    ] {
        let (code, message) = api.get(&format!("/_api/runs?{query}")).await.refused(400);
        assert!(code == "invalid_parameter" && message.contains(shown), "{code}: {message}");
    }

    // What a guest is answered is the same after a crash.
    let body = block![
        tag("t0", "2"),
        Statement::Try(block![tag("one more", "1")]),
        Statement::Try(block![tag("more", "1")]),
        Statement::Try(block![tag("t1", "\n")]),
        gate("wait"),
        Statement::Try(block![tag("more", "1")]),
    ];
    let run = start(&api, &services, body, json!(sixteen)).await;
    services.until_asked("wait", 1).await;
    host.kill();
    host.restart().await;
    services.until_asked("wait", 2).await;
    services.open("wait");
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "completed", "{record}");
    let kinds: Vec<_> = [1, 2, 3, 5].map(|place| record["output"][place].to_string()).into();
    let expected = ["invalid-input", "limit", "invalid-input", "limit"];
    assert!(kinds.iter().zip(expected).all(|(found, kind)| found.contains(kind)), "{kinds:?}");
    assert_eq!((&record["tags"]["t0"], &record["tags"]["t1"]), (&json!("2"), &json!("1")));
}

#[tokio::test]
async fn lists_have_pages_in_both_directions() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(start(&api, &services, block![], json!({ "kind": "page" })).await);
    }
    runs.reverse();
    let page = async |position: &str| {
        let page = api.get(&format!("/_api/runs?tag.kind=page&limit=2{position}")).await.ok();
        let ids: Vec<_> = page["runs"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect();
        let position = |name: &str| page[name].as_str().map(str::to_owned);
        (ids, position("newer"), position("next_cursor"))
    };
    let (first, newer, older) = page("").await;
    assert_eq!((first, newer), (vec![json!(runs[0]), json!(runs[1])], None));
    let (second, newer, older) = page(&format!("&cursor={}", older.unwrap())).await;
    assert_eq!(second, [json!(runs[2]), json!(runs[3])]);
    let (last, newer_than_last, end) = page(&format!("&cursor={}", older.unwrap())).await;
    assert_eq!((last, end), (vec![json!(runs[4])], None));
    let (again, ..) = page(&format!("&newer={}", newer_than_last.unwrap())).await;
    assert_eq!(again, second, "the page before the last, the newest first");
    let (first, newest, older) = page(&format!("&newer={}", newer.unwrap())).await;
    assert_eq!((first, newest), (vec![json!(runs[0]), json!(runs[1])], None));
    assert_eq!(page(&format!("&cursor={}", older.unwrap())).await.0, second);
    let (none, newest, older) = page(&format!("&newer={}", runs[0])).await;
    assert_eq!((none.len(), newest), (0, None));
    assert_eq!(page(&format!("&cursor={}", older.unwrap())).await.0, [json!(runs[0]), json!(runs[1])]);
    let (_, message) = api.get(&format!("/_api/runs?cursor={0}&newer={0}", runs[0])).await.refused(400);
    assert_eq!(message, "`cursor` and `newer` cannot be given together");
}
