//! What the host refuses: with an error that says why, and without harm to itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::block;
use forge_tests::{Answer, Api, Host, Services, component, components, example};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Uploads what is no workflow, and then uses the host as if nothing had happened.
async fn is_refused(bytes: &[u8], status: u16, words: &[&str]) {
    let host = Host::start().await;
    let (_, message) = host.api().upload(bytes).await.refused(status);
    for word in words {
        assert!(message.contains(word), "`{word}` is missing in: {message}");
    }
    is_unharmed(&host).await;
    let known = host.api().get("/_api/workflows").await.ok();
    assert_eq!(known["workflows"].as_array().unwrap().len(), 1, "nothing of it is left: {known:#}");
}

/// Checks that the host does its work.
async fn is_unharmed(host: &Host) {
    let api = host.api();
    assert_eq!(api.health().await["status"], "ok");
    api.deploy(&component("greeting")).await;
    let run = api.start("greeting", json!("Ada")).await;
    assert_eq!(api.settled(&run).await["output"], "3: welcome Ada");
}

#[tokio::test]
async fn what_is_no_wasm() {
    is_refused(b"this is a text", 422, &["no WebAssembly"]).await;
}

#[tokio::test]
async fn nothing_at_all() {
    is_refused(b"", 422, &["no WebAssembly"]).await;
}

#[tokio::test]
async fn truncated_wasm() {
    let whole = component("tally");
    is_refused(&whole[..whole.len() / 2], 422, &["unexpected end"]).await;
}

#[tokio::test]
async fn a_core_module() {
    is_refused(&components::core_module(), 422, &["core module", "forge build"]).await;
}

#[tokio::test]
async fn an_import_of_wasi_is_named() {
    is_refused(&components::importing_wasi(), 422, &["wasi:clocks/monotonic-clock@0.2.0"]).await;
}

#[tokio::test]
async fn another_version_of_the_interface_is_named() {
    is_refused(&components::of_another_version(), 422, &["forge:workflow/types@0.9.0"]).await;
}

#[tokio::test]
async fn a_component_without_workflows() {
    is_refused(&components::describing(&[]), 422, &["no workflows"]).await;
}

#[tokio::test]
async fn a_component_that_has_the_same_workflow_twice() {
    let twice = components::describing(&[("payment", 1), ("refund", 1), ("payment", 1)]);
    is_refused(&twice, 422, &["`payment`", "version 1", "twice"]).await;
}

#[tokio::test]
async fn a_workflow_without_a_proper_name() {
    is_refused(&components::describing(&[("pay ment", 1)]), 422, &["`pay ment`"]).await;
    is_refused(&components::describing(&[("", 1)]), 422, &["name"]).await;
}

#[tokio::test]
async fn version_zero() {
    is_refused(&components::describing(&[("payment", 0)]), 422, &["version"]).await;
}

#[tokio::test]
async fn a_describe_that_does_not_end() {
    is_refused(&components::describing_forever(), 422, &["describe", "fuel"]).await;
}

#[tokio::test]
async fn a_describe_that_traps() {
    is_refused(&components::describing_nothing(), 422, &["describe"]).await;
}

#[tokio::test]
async fn a_component_over_the_size_limit() {
    is_refused(&vec![0; (16 << 20) + 1], 413, &["16777216"]).await;
}

#[tokio::test]
async fn a_body_that_is_no_wasm_by_its_own_account() {
    let host = Host::start().await;
    let upload = host.api().post_json("/_api/workflows", &json!({})).await;
    let (_, message) = upload.refused(415);
    assert!(message.contains("application/wasm"), "{message}");
    is_unharmed(&host).await;
}

/// The endpoints that read a body, with its content type.
const BODIES: [(&str, &str, &str); 6] = [
    ("POST", "/_api/workflows", "application/wasm"),
    ("POST", "/_api/workflows/greeting/start", "application/json"),
    ("POST", "/_api/tenants", "application/json"),
    ("PATCH", "/_api/tenants/default", "application/json"),
    ("POST", "/_api/keys", "application/json"),
    ("PUT", "/_api/secrets/token", "application/json"),
];

#[tokio::test]
async fn a_body_that_is_too_large_by_its_own_account_is_refused_before_it_is_sent() {
    let host = Host::start().await;
    let url: reqwest::Url = host.url().parse().unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    for (method, path, media_type) in BODIES {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {media_type}\r\n\
             content-length: 2000000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413", "{method} {path}");
    }
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_its_name() {
    let host = Host::start().await;
    for (method, path, media_type) in BODIES {
        let request = host.api().request(method.parse().unwrap(), path).await;
        let request = request.header("content-type", media_type).header("content-encoding", "zstd");
        let answer = request.body("whatever").send().await.unwrap();
        assert_eq!(answer.status(), 415, "{method} {path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "unsupported_encoding");
        assert!(body["error"]["message"].as_str().unwrap().contains("`zstd`"), "{body}");
    }
    is_unharmed(&host).await;
}

/// A host with workflows to be asked for in the wrong way.
async fn host() -> Host {
    let host = Host::start().await;
    host.api().deploy(&example("payment")).await;
    host
}

/// A start with this body, which may be no JSON.
async fn start(api: &Api, body: &'static str) -> Answer {
    let request = api.request(Method::POST, "/_api/workflows/payment_workflow/start").await;
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    Answer { status: response.status().as_u16(), body: response.json().await.unwrap(), retry_after: None }
}

#[tokio::test]
async fn an_input_that_is_no_json() {
    let host = host().await;
    let (code, message) = start(&host.api(), r#"{"input": {"items": }"#).await.refused(400);
    assert_eq!(code, "invalid_body");
    assert!(message.contains("not valid JSON") && message.contains("column 21"), "{message}");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_start_with_an_unknown_field() {
    let host = host().await;
    let (_, message) = start(&host.api(), r#"{"inptu": {}}"#).await.refused(400);
    assert!(message.contains("unknown field `inptu`"), "{message}");
}

#[tokio::test]
async fn an_input_that_does_not_fit_the_workflow_fails_the_run_and_names_the_field() {
    let host = host().await;
    let api = host.api();
    for (input, words) in [
        (json!({"items": [], "email": "ada@example.com"}), "missing field `card_token`"),
        (json!({"items": 5, "card_token": "t", "email": "e"}), "expected a sequence"),
        (json!("a text"), "PaymentInput"),
    ] {
        let run = api.start("payment_workflow", input).await;
        let record = api.settled(&run).await;
        assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("invalid-input")));
        let error = record["error"].as_str().unwrap();
        assert!(error.contains("input of `payment_workflow` version 1") && error.contains(words), "{error}");
        assert!(api.steps(&run).await.is_empty(), "nothing was done");
    }
    is_unharmed(&host).await;
}

#[tokio::test]
async fn an_input_over_the_size_limit() {
    let host = host().await;
    let input = json!("x".repeat(1 << 20));
    let (code, message) =
        host.api().try_start("payment_workflow", &json!({ "input": input })).await.refused(413);
    assert!(
        ["input_too_large", "body_too_large"].contains(&&*code) && message.contains("1048576"),
        "{message}"
    );
    is_unharmed(&host).await;
}

#[tokio::test]
async fn an_unknown_workflow_and_those_that_there_are_are_named() {
    let host = host().await;
    let (code, message) = host.api().try_start("paymnt", &json!({})).await.refused(404);
    assert_eq!(code, "unknown_workflow");
    assert!(message.contains("`paymnt`") && message.contains("payment_workflow"), "{message}");
    let (code, _) = host.api().get("/_api/workflows/paymnt").await.refused(404);
    assert_eq!(code, "unknown_workflow");
}

#[tokio::test]
async fn an_unknown_version_and_those_that_there_are_are_named() {
    let host = host().await;
    let start = json!({"input": {}, "version": 7});
    let (code, message) = host.api().try_start("payment_workflow", &start).await.refused(404);
    assert_eq!(code, "unknown_version");
    assert!(message.contains("no version 7") && message.ends_with("there are: 1"), "{message}");
    for action in ["activate", "deprecate"] {
        let path = format!("/_api/workflows/payment_workflow/versions/7/{action}");
        let (code, _) = host.api().post(&path).await.refused(404);
        assert_eq!(code, "unknown_version");
    }
}

#[tokio::test]
async fn an_unknown_run() {
    let host = host().await;
    let run = "01a2067d-19b8-719e-a2a6-031945f4bafe";
    for path in ["", "/steps"] {
        let (code, message) = host.api().get(&format!("/_api/runs/{run}{path}")).await.refused(404);
        assert!(code == "unknown_run" && message.contains(run), "{message}");
    }
    for action in ["cancel", "resume", "pause"] {
        let (code, message) = host.api().post(&format!("/_api/runs/{run}/{action}")).await.refused(404);
        assert!(code == "unknown_run" && message.contains(run), "{message}");
    }
    let (code, _) = host.api().get("/_api/runs/not-an-id").await.refused(400);
    assert_eq!(code, "invalid_parameter");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_key_that_is_too_long_or_empty() {
    let host = host().await;
    for key in [String::new(), "k".repeat(256)] {
        let (code, _) = host.api().try_start("payment_workflow", &json!({ "key": key })).await.refused(400);
        assert_eq!(code, "invalid_key");
    }
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method() {
    let host = host().await;
    let (code, message) = host.api().get("/_api/nothing").await.refused(404);
    assert!(code == "unknown_route" && message.contains("openapi.json"), "{message}");
    let (code, _) = host.api().post("/_api/health").await.refused(405);
    assert_eq!(code, "method_not_allowed");
}

#[tokio::test]
async fn a_second_host_on_the_same_database() {
    let host = Host::with_interpreter().await;
    let database = format!("sqlite:{}", host.database_file().display());
    let second = host.cli().run(["serve", "--listen", "127.0.0.1:0", "--database", &database]).await;
    let said = second.failed(1);
    assert!(said.contains("in use by another forge process"), "{said}");
    assert!(said.contains(&format!("pid {}", host.pid())), "{said}");
    assert!(said.contains("forge.db"), "{said}");
    is_at_work(&host).await;
}

/// Checks that a host with the interpreter executes programs.
async fn is_at_work(host: &Host) {
    let services = Services::start().await;
    let run = host.api().start_program(&services, block![]).await;
    assert_eq!(host.api().settled(&run).await["status"], "completed");
}

#[tokio::test]
async fn a_database_from_a_newer_version() {
    let mut host = Host::with_interpreter().await;
    host.kill();
    let mut database = host.database().await;
    let (known,): (i64,) = database.row("PRAGMA user_version", &[]).await;
    database.change("PRAGMA user_version = 4711", &[]).await;
    database.close().await;

    let refused = host.try_restart().await.expect_err("it does not serve");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.log.contains("newer version of Forge"), "{}", refused.log);
    assert!(refused.log.contains("4711"), "{}", refused.log);

    let mut database = host.database().await;
    database.change(&format!("PRAGMA user_version = {known}"), &[]).await;
    database.close().await;
    host.restart().await;
    is_at_work(&host).await;
}

#[tokio::test]
async fn a_database_that_is_none() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("forge.db"), "a text of some length that is no database".repeat(100))
        .unwrap();
    let refused = Host::builder().folder(folder).try_start().await.err().expect("it does not serve");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.log.contains("cannot open the database"), "{}", refused.log);
}
