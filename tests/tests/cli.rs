//! The command line, as people and scripts use it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Block, Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Cli, Host, Services, component};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The interpreter's input as `--input` takes it.
fn input(services: &Services, body: Block) -> String {
    services.program(body).to_string()
}

#[tokio::test]
async fn a_new_project_is_compiled_deployed_and_run() {
    let host = Host::start().await;
    let folder = TempDir::new().unwrap();
    let project = folder.path().join("book-table");
    let created = host.cli().folder(folder.path()).run(["new", "book-table"]).await.ok();
    assert_eq!(created, "created book-table\n");

    let cli = host.cli().folder(&project);
    let built = cli.run(["build"]).await.ok();
    assert!(built.starts_with("target/book-table.wasm ("), "{built}");
    let deployed = cli.run(["deploy", "target/book-table.wasm"]).await.ok();
    assert!(deployed.starts_with("book_table v1 (timeout 1h)\ndeployed: "), "{deployed}");
    let again = cli.run(["deploy", "."]).await.ok();
    assert!(again.contains("nothing changed"), "{again}");

    let output = cli.run(["start", "book_table", "--input", "@input.json", "--wait"]).await.json();
    assert_eq!(output, json!({"table": "table for 4", "message": "See you at eight, Ada!"}));
    let thirteen = r#"{"name": "Ada", "guests": 13}"#;
    let said = cli.run(["start", "book_table", "--input", thirteen, "--wait"]).await.failed(3);
    assert!(
        said.contains("failed in step `ask_kitchen` and was rolled back: the kitchen cannot cook for 13"),
        "{said}"
    );

    let runs = cli.run(["runs", "--json"]).await.json();
    let shown = cli.run(["runs", "show", runs["runs"][0]["id"].as_str().unwrap()]).await.ok();
    for words in
        ["↩ book_table v1", "↩ reserve_table", "compensation", "✘ ask_kitchen", "the kitchen cannot cook"]
    {
        assert!(shown.contains(words), "`{words}` is missing in:\n{shown}");
    }
}

#[tokio::test]
async fn a_run_is_shown_as_a_tree_with_all_that_happened() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let body = block![
        reversible("reserve"),
        step("charge", block![Statement::Flaky("bank".to_owned(), 1)])
            .retry(2, 10)
            .undo(block![effect("refund")]),
        step("greet", block![fail("nobody is there")]).optional(),
        step("pack", block![Statement::Never(None)]).timeout(50),
    ];
    let run = host.api().start_program(&services, body).await;
    host.api().settled(&run).await;
    let shown = host.cli().run(["runs", "show", &run]).await.ok();
    let lines: Vec<&str> = shown.lines().collect();
    let line = |mark: &str| {
        let found = lines.iter().position(|line| line.contains(mark));
        found.unwrap_or_else(|| panic!("`{mark}` is missing in:\n{shown}"))
    };
    assert!(lines[0].starts_with("↩ program v1") && lines[1].contains(&run), "{shown}");
    let order =
        ["↩ reserve", "(2nd)", "↩ charge", "(1st)", "✘ greet", "nobody is there", "✘ pack", "timed out"];
    let places: Vec<usize> = order.iter().map(|mark| line(mark)).collect();
    assert!(places.is_sorted(), "{places:?} in:\n{shown}");
    for words in ["→ 200", "→ 503", "attempt 2", "optional", "ms"] {
        line(words);
    }
}

#[tokio::test]
async fn with_json_everything_can_be_read_by_programs() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let program = input(&services, block![effect("tea")]);
    let started = cli.run(["start", "program", "--input", &program, "--json"]).await.json();
    let run = started["run_id"].as_str().unwrap();
    host.api().settled(run).await;
    let shown = cli.run(["runs", "show", run, "--json"]).await.json();
    assert_eq!((&shown["run"]["status"], &shown["steps"][0]["kind"]), (&json!("completed"), &json!("http")));
    let record = cli.run(["start", "program", "--input", &program, "--wait", "--json"]).await.json();
    assert_eq!(record["status"], "completed");
    assert_eq!(cli.run(["runs", "--json", "--limit", "1"]).await.json()["runs"][0]["id"], record["id"]);
    let workflows = cli.run(["workflows", "--json"]).await.json();
    assert_eq!(workflows["workflows"][0]["name"], "hasty_program");
    assert_eq!(cli.run(["workflows", "program", "--json"]).await.json()["current"], 1);

    let said = cli.run(["start", "nothing", "--json"]).await.failed(4);
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(error["error"]["code"], "unknown_workflow");
}

#[tokio::test]
async fn the_exit_code_says_what_went_wrong() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let start = async |body: Block, more: &[&str]| {
        let program = input(&services, body);
        let arguments = ["start", "program", "--input", &program];
        cli.run(arguments.iter().chain(more)).await
    };
    start(block![], &["--wait"]).await.ok();
    cli.run(["deploy", "nowhere.wasm"]).await.failed(1);
    cli.run(["start", "program", "--input", "{no json"]).await.failed(2);
    cli.run(["brew"]).await.failed(2);
    start(block![fail("sold out")], &["--wait"]).await.failed(3);
    start(block![], &["--version", "7"]).await.failed(4);
    cli.run(["runs", "show", "01a2067d-19b8-719e-a2a6-031945f4bafe"]).await.failed(4);
    start(block![gate("slow")], &["--wait=0.1"]).await.failed(7);

    let key = ["--key", "order-1041"];
    let first = start(block![effect("tea")], &key).await.ok();
    assert_eq!(start(block![effect("tea")], &key).await.ok(), first, "the same run");
    start(block![effect("milk")], &key).await.failed(6);
    host.api().settled(first.trim()).await;
    cli.run(["runs", "cancel", first.trim()]).await.failed(6);

    let said = Cli::default().server("http://127.0.0.1:9").run(["runs"]).await.failed(5);
    assert!(said.contains("cannot reach the server http://127.0.0.1:9"), "{said}");
    assert!(said.contains("forge serve"), "{said}");
}

#[tokio::test]
async fn an_input_may_come_from_a_file_or_the_standard_input() {
    let host = Host::start().await;
    host.api().deploy(&component("greeting")).await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("name.json"), "\"Ada\"").unwrap();
    let cli = host.cli().folder(folder.path());
    let start = ["start", "greeting", "--wait", "--input"];
    let greeting = cli.run(start.iter().chain(&["@name.json"])).await.json();
    assert_eq!(greeting, "3: welcome Ada");
    let greeting = cli.stdin("\"Grace\"").run(start.iter().chain(&["@-"])).await.json();
    assert_eq!(greeting, "3: welcome Grace");
}

#[tokio::test]
async fn a_run_is_watched_to_its_end() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let body = block![step("tea", block![gate("kettle")]), step("milk", block![effect("milk")])];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("kettle", 1).await;
    let cli = host.cli();
    let watch = cli.run(["runs", "watch", &run]);
    let boil = async {
        host.api().until_step(&run, "step", "tea", "running").await;
        services.open("kettle");
    };
    let (watched, ()) = futures::join!(watch, boil);
    let watched = watched.ok();
    let lines: Vec<&str> = watched.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("tea: completed")), "{watched}");
    assert!(lines.iter().any(|line| line.starts_with("milk: completed")), "{watched}");
    assert_eq!(lines.last(), Some(&"program v1: completed"), "{watched}");
}

#[tokio::test]
async fn a_run_that_is_rolled_back_is_watched_until_it_is() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host.api().start_program(&services, block![reversible("tea"), fail("no cups")]).await;
    let watched = host.cli().run(["runs", "watch", &run, "--json"]).await;
    assert_eq!(watched.code, 3, "{watched:#?}");
    let changes: Vec<Value> =
        watched.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(changes.last().unwrap()["run"]["status"], "compensated");
    assert!(changes.iter().any(|change| change["step"]["kind"] == "compensation"), "{changes:#?}");
}

#[tokio::test]
async fn runs_are_paused_resumed_and_cancelled() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let run = host.api().start_program(&services, block![reversible("tea"), gate("wait")]).await;
    services.until_asked("wait", 1).await;
    assert_eq!(cli.run(["runs", "pause", &run]).await.ok(), format!("run {run} is paused\n"));
    let said = cli.run(["runs", "watch", &run]).await.failed(7);
    assert!(said.contains(&format!("forge runs resume {run}")), "{said}");
    assert_eq!(cli.run(["runs", "--status", "paused", "--json"]).await.json()["runs"][0]["id"], run);
    cli.run(["runs", "resume", &run]).await.ok();
    services.until_asked("wait", 2).await;
    cli.run(["runs", "cancel", &run]).await.ok();
    assert_eq!(host.api().settled(&run).await["status"], "compensated");
    let listed = cli.run(["runs"]).await.ok();
    assert!(listed.contains(&run) && listed.contains("compensated"), "{listed}");
}

#[tokio::test]
async fn versions_are_listed_activated_and_deprecated() {
    let host = Host::start().await;
    host.api().deploy(&component("greeting")).await;
    let cli = host.cli();
    let current = async || cli.run(["workflows", "greeting", "--json"]).await.json()["current"].take();
    assert_eq!(current().await, 3);
    cli.run(["deprecate", "greeting", "3"]).await.ok();
    assert_eq!(current().await, 2);
    cli.run(["activate", "greeting", "1"]).await.ok();
    assert_eq!(current().await, 1);
    let listed = cli.run(["workflows", "greeting"]).await.ok();
    assert!(listed.contains("current (activated)") && listed.contains("deprecated"), "{listed}");
}

#[tokio::test]
async fn every_command_has_examples_in_its_help() {
    let cli = Cli::default();
    let runs = ["show", "watch", "cancel", "resume", "pause"].map(|command| vec!["runs", command]);
    let others = ["serve", "new", "build", "deploy", "start", "workflows", "activate", "deprecate", "runs"];
    for mut command in others.map(|command| vec![command]).into_iter().chain(runs) {
        command.push("--help");
        let help = cli.run(&command).await.ok();
        assert!(help.contains("Examples:\n  forge "), "{command:?}: {help}");
    }
    let help = cli.run(["serve", "--help"]).await.ok();
    assert!(help.contains("[default: 127.0.0.1:7070]"), "it listens on loopback only: {help}");
}
