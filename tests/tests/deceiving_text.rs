//! Text of guests, tenants and servers is nothing but text wherever it is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Read as _;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use forge_tests::program::{Statement, block, fail};
use forge_tests::{Cli, Host, Output, Services, component, eventually_some};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A text that begins a line, clears a screen, turns the direction of text, and has characters that nobody sees.
const EVIL: &str = "x\nFORGED\rFORGED\u{1b}[2J\u{9b}31m\u{7f}\u{85}FORGED\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}FORGED\u{2029}\u{200b}\u{200d}\u{feff}\u{ad}\u{e0041}\u{fe01}\u{e0100}y";

/// Words of every command that asks a server, with a run where `RUN` is, and the words of its group.
const COMMANDS: &[&str] = &[
    "deploy /dev/null",
    "start evil",
    "start evil --wait",
    "send RUN evil",
    "send --workflow evil --run-key evil evil",
    "workflows",
    "workflows evil",
    "workflows schema evil",
    "activate evil 1",
    "deprecate evil 1",
    "runs",
    "runs list",
    "runs show RUN",
    "runs show --all RUN",
    "runs show --deep RUN",
    "runs logs RUN",
    "runs token RUN",
    "runs watch RUN",
    "runs cancel RUN",
    "runs resume RUN",
    "runs pause RUN",
    "runs terminate RUN",
    "runs resolve RUN step --completed",
    "runs delete RUN",
    "db list",
    "db get evil",
    "db put evil 1",
    "db delete evil",
    "tenants list",
    "tenants create evil",
    "tenants show",
    "tenants show evil",
    "tenants set evil --suspend",
    "keys list",
    "keys create evil --role read",
    "keys revoke evil",
    "secrets list",
    "secrets set EVIL --server-rule https://evil.example",
    "secrets remove EVIL",
    "secrets reseal",
    "audit",
    "usage",
    "nodes",
];

/// The commands that ask no server.
const LOCAL: &[&str] = &["serve", "new", "build", "migrate", "dev", "secrets generate-key", "completions"];

const RUN: &str = "0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

/// Returns whether a character controls a terminal, changes the order of others, or is invisible. A line break is looked
/// for by what follows it.
fn deceives(character: char) -> bool {
    character != '\n' && (EVIL.contains(character) && !character.is_ascii_graphic() || character.is_control())
}

#[track_caller]
fn assert_honest(what: &str, printed: &str) {
    assert!(!printed.contains(deceives), "{what}: {printed:?}");
    let forged = printed.lines().find(|line| line.starts_with("FORGED"));
    assert!(forged.is_none(), "{what}: a line is forged in {printed:?}");
}

/// A server whose answers have the evil text wherever they have text. With a status, every answer is an error.
async fn hostile_server(error: Option<StatusCode>) -> String {
    let app = Router::new().fallback(move |method: Method, uri: Uri| async move {
        match error {
            Some(status) => {
                (status, axum::Json(json!({"error": {"code": EVIL, "message": EVIL}}))).into_response()
            }
            None => answer(&method, uri.path()),
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

fn answer(method: &Method, path: &str) -> Response {
    let parts: Vec<&str> = path.trim_start_matches("/_api/").split('/').collect();
    let answer = match (method.as_str(), parts.as_slice()) {
        ("POST", ["workflows"]) => json!({"digest": EVIL, "workflows": [version()], "created": true}),
        ("POST", ["workflows", _, "start"]) => json!({"run_id": RUN, "existing": {
            "status": "failed", "error": EVIL, "started_at": at(), "completed_at": at()}}),
        ("POST", [_, _, "events", _]) => json!({"run_id": RUN, "seq": 1, "duplicate": false}),
        ("POST", ["workflows", ..]) => version(),
        ("GET", ["workflows"]) => json!({"workflows": [versions()]}),
        ("GET", ["workflows", _, "schema"]) => {
            json!({"title": EVIL, "properties": {EVIL: {"type": "string"}}})
        }
        ("GET", ["workflows", ..]) => versions(),
        ("GET", ["runs"]) => json!({"runs": [run()], "next_cursor": RUN}),
        ("GET", ["runs", _, "steps"]) => {
            let kinds = ["step", "http", "sleep", "event", "child"];
            json!({"steps": kinds.map(step)})
        }
        ("GET", ["runs", _, "logs"]) => {
            json!({"lines": [{"seq": 1, "at": at(), "level": "info", "step": EVIL,
            "step_seq": 1, "attempt": 2, "message": EVIL}], "next_cursor": null})
        }
        ("POST", ["runs", _, "tokens"]) => json!({"token": EVIL, "expires_at": at(), "run_id": RUN}),
        ("DELETE", ["runs", ..]) => json!({}),
        (_, ["runs", ..]) => run(),
        ("GET", ["db"]) => {
            json!({"entries": [{"key": EVIL, "version": 1, "value": EVIL}], "next_cursor": EVIL})
        }
        ("GET", ["db", ..]) => return ([("etag", "\"1\"")], axum::Json(json!(EVIL))).into_response(),
        ("DELETE", ["db", ..]) => return StatusCode::NO_CONTENT.into_response(),
        (_, ["db", ..]) => json!({"key": EVIL, "version": 1}),
        ("GET", ["caller"]) => json!({"tenant": "evil", "role": "admin", "host": true, "key": EVIL}),
        ("GET", ["tenants"]) => json!({"tenants": [tenant()]}),
        (_, ["tenants", ..]) => tenant(),
        ("GET", ["keys"]) => json!({"keys": [key()]}),
        (_, ["keys", ..]) => key(),
        ("GET", ["secrets"]) => json!({"secrets": [secret()]}),
        (_, ["secrets", ..]) => secret(),
        (_, ["reseal-secrets"]) => json!({"resealed": 1}),
        (_, ["audit"]) => {
            json!({"records": [{"seq": 1, "at": at(), "tenant": EVIL, "actor": EVIL, "action": EVIL,
            "subject": EVIL, "detail": {EVIL: EVIL}}], "next_cursor": 1})
        }
        (_, ["usage"]) => {
            let amounts = json!({"fuel": 1, "runs": 1, "steps": 1, "http_requests": 1, "http_bytes": 1,
                "journal_bytes": 1, "run_ms": 1, "log_bytes": 1, "log_dropped": 1, "audit_lines": 1, "db_puts": 1,
                "db_bytes": 1});
            let mut hour = amounts.clone();
            hour["tenant"] = EVIL.into();
            hour["hour"] = at();
            json!({"hours": [hour], "total": amounts, "storage_bytes": 1})
        }
        (_, ["nodes"]) => json!({"nodes": [{"name": EVIL, "epoch": 1, "version": EVIL, "started_at": at(),
            "lease_until": at(), "ended_at": null, "runs": 1, "here": true}]}),
        _ => return (StatusCode::NOT_FOUND, "what is that?").into_response(),
    };
    axum::Json(answer).into_response()
}

fn at() -> Value {
    "2026-01-01T00:00:00Z".into()
}

fn version() -> Value {
    json!({"name": EVIL, "version": 1, "timeout": EVIL, "timeout_ms": 1, "deprecated": true, "active": true,
        "digest": EVIL, "created_at": at()})
}

fn versions() -> Value {
    json!({"name": EVIL, "current": 1, "versions": [version()]})
}

fn run() -> Value {
    json!({"id": RUN, "workflow_name": EVIL, "version": 1, "input": EVIL, "output": {EVIL: EVIL},
        "status": "failed", "current_step": EVIL, "step_results": {EVIL: EVIL}, "started_at": at(), "completed_at": at(),
        "error": EVIL, "trace_id": EVIL, "in_doubt": [EVIL], "error_kind": EVIL, "not_compensated": [EVIL],
        "pause_reason": null, "deadline": at(), "digest": EVIL, "key": EVIL,
        "tags": {EVIL: EVIL}, "published": {EVIL: EVIL},
        "waits_for": [{"kind": EVIL, "name": EVIL, "until": at(), "run": RUN}],
        "events": {"count": 1, "bytes": 1, "first": [{"seq": 1, "name": EVIL, "key": EVIL, "at": at(), "bytes": 1}]},
        "parent": {"run_id": RUN, "call": 1, "depth": 1, "attached": true}})
}

fn step(kind: &str) -> Value {
    json!({"seq": 1, "parent": null, "parent_attempt": null, "kind": kind, "step_name": EVIL, "status": "failed",
        "attempt": 2, "optional": true, "compensable": true, "input": EVIL, "result": EVIL, "error": EVIL,
        "error_kind": EVIL, "child_run": RUN, "wake_at": null, "started_at": at(), "completed_at": at(), "duration_ms": 1})
}

fn tenant() -> Value {
    json!({"name": EVIL, "settings": {"egress": [EVIL], "egress_private": [EVIL], "suspended": true},
        "limits": [{"name": EVIL, "value": 1, "unit": "count", "is_set": true, "about": EVIL}]})
}

fn key() -> Value {
    json!({"token": EVIL, "id": EVIL, "tenant": EVIL, "role": "read", "name": EVIL, "created_at": at(),
        "revoked_at": at()})
}

fn secret() -> Value {
    json!({"name": EVIL, "servers": [EVIL], "updated_at": at(), "key": EVIL})
}

async fn printed(cli: &Cli, command: &str, json: bool) -> Output {
    let words = command.split(' ').map(|word| if word == "RUN" { RUN } else { word });
    cli.run(words.chain(json.then_some("--json"))).await
}

#[tokio::test]
async fn no_command_prints_what_a_hostile_server_sends_as_it_is() {
    for error in [None, Some(StatusCode::CONFLICT)] {
        let cli = Cli::default().server(&hostile_server(error).await).stdin("the-value");
        for command in COMMANDS {
            let Output { code, stdout, stderr } = printed(&cli, command, false).await;
            let fails = error.is_some() || command.contains("watch") || command.contains("--wait");
            assert_eq!(code != 0, fails, "{command}: {stdout}{stderr}");
            assert_honest(command, &stdout);
            assert_honest(command, &stderr);
            let shows = format!("{stdout}{stderr}");
            // The other commands print a number, a status, or what they were given.
            let is_own = [
                "send",
                "runs cancel",
                "runs resume",
                "runs pause",
                "runs delete",
                "db delete",
                "secrets remove",
                "reseal",
                "resolve",
            ];
            let is_own = error.is_none() && is_own.iter().any(|own| command.contains(own));
            // A table cuts texts that do not fit.
            let escaped = ["\\u{202e}", "\\u202e", "…"].iter().any(|escaped| shows.contains(escaped));
            let is_shown = shows.contains("FORGED") && escaped;
            assert!(is_own || is_shown, "{command}: {shows}");
        }
    }
}

#[tokio::test]
async fn json_output_has_the_same_data_and_no_character_that_deceives() {
    for error in [None, Some(StatusCode::CONFLICT)] {
        let cli = Cli::default().server(&hostile_server(error).await).stdin("the-value");
        for command in COMMANDS {
            let Output { stdout, stderr, .. } = printed(&cli, command, true).await;
            assert_honest(command, &stdout);
            assert_honest(command, &stderr);
            let documents = stdout.lines().chain(stderr.lines());
            let documents: Vec<Value> =
                documents.filter_map(|line| serde_json::from_str(line).ok()).collect();
            let is_own = ["send", "runs delete", "db delete", "secrets remove", "reseal"]
                .iter()
                .any(|own| command.contains(own));
            let has = |document: &Value| has_text(document, EVIL);
            assert!(error.is_none() && is_own || documents.iter().any(has), "{command}: {stdout}{stderr}");
        }
    }
}

/// Returns whether a string in a document contains this text.
fn has_text(document: &Value, text: &str) -> bool {
    match document {
        Value::String(string) => string.contains(text),
        Value::Array(array) => array.iter().any(|value| has_text(value, text)),
        Value::Object(object) => object.values().any(|value| has_text(value, text)),
        _ => false,
    }
}

#[tokio::test]
async fn every_command_is_in_this_test() {
    let mut commands = BTreeSet::new();
    for command in subcommands(&[]).await {
        let within = subcommands(&[&command]).await;
        commands.extend(within.iter().map(|subcommand| format!("{command} {subcommand}")));
        commands.insert(command);
    }
    let is_tested = |command: &String| {
        COMMANDS.iter().chain(LOCAL).any(|tested| {
            tested.strip_prefix(command.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    };
    commands.retain(|command| !is_tested(command));
    assert!(commands.is_empty(), "{commands:?}");
}

async fn subcommands(of: &[&str]) -> Vec<String> {
    let help = Cli::default().run(of.iter().copied().chain(["--help"])).await.ok();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // Descriptions may continue on lines that are indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[tokio::test]
async fn what_a_workflow_logs_is_one_line_of_the_log() {
    for form in ["text", "json"] {
        let services = Services::start().await;
        let log = tempfile::NamedTempFile::new().unwrap();
        let host = Host::builder().flag(["--log", form]).log_to(log.reopen().unwrap()).start().await;
        let api = host.api();
        api.deploy(&component("interpreter")).await;
        let body = block![Statement::Log(format!("begin{EVIL}end")), fail(EVIL)];
        let run = api.start_program(&services, body).await;
        assert_eq!(api.settled(&run).await["status"], "failed");
        let line = eventually_some("the line is in the log", async || {
            let mut text = String::new();
            log.reopen().unwrap().read_to_string(&mut text).unwrap();
            assert_honest(form, &text);
            text.lines().find(|line| line.contains("begin") && line.contains("end")).map(str::to_owned)
        })
        .await;
        match form {
            "json" => {
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line["message"], format!("begin{EVIL}end"));
            }
            _ => assert!(line.contains("beginx\\nFORGED\\rFORGED\\u{1b}[2J"), "{line}"),
        }
        let cli = host.cli();
        for command in ["runs", "runs show RUN", "runs watch RUN", "audit"] {
            for json in [false, true] {
                let words = command.split(' ').map(|word| if word == "RUN" { run.as_str() } else { word });
                let Output { stdout, stderr, .. } = cli.run(words.chain(json.then_some("--json"))).await;
                assert_honest(command, &stdout);
                assert_honest(command, &stderr);
            }
        }
    }
}
