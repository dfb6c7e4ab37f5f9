//! What the command line says: numbers as they were sent, and each thing once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{block, effect, fail, gate, reversible, step};
use forge_tests::{Cli, Host, Services, component};

/// Numbers that a parser in between would change, and members whose order it would.
const DOCUMENT: &str =
    r#"{"z":[9.104666611827653,959.5160715648269,93023.85071428661,1e23,5e-324,0.1],"a":9007199254740993}"#;

#[tokio::test]
async fn every_command_prints_numbers_as_the_server_has_them() {
    let host = Host::start().await;
    host.api().deploy(&component("echo")).await;
    let cli = host.cli();
    let waited = cli.run(["start", "echo", "--input", DOCUMENT, "--wait", "--json"]).await.ok();
    // The guest has read the input, and has written its members in the order of their names.
    let members = DOCUMENT.trim_matches(['{', '}']).split_once(r#","a""#).unwrap();
    let output = format!(r#"{{"a"{},{}}}"#, members.1, members.0).replace("1e23", "1e+23");
    assert!(waited.contains(&format!("\"input\":{DOCUMENT}")), "{waited}");
    assert!(waited.contains(&format!("\"output\":{output}")), "{waited}");
    let run = serde_json::from_str::<serde_json::Value>(&waited).unwrap()["id"].as_str().unwrap().to_owned();

    let printed = cli.run(["start", "echo", "--input", DOCUMENT, "--wait"]).await.ok();
    let without_space: String = printed.split_whitespace().collect();
    assert_eq!(without_space, output);
    let shown = cli.run(["runs", "show", &run, "--json"]).await.ok();
    assert_eq!(shown.matches(&output).count(), 3, "the output, and the result of the step twice: {shown}");
    let watched = cli.run(["runs", "watch", &run, "--json"]).await.ok();
    assert_eq!(watched.matches(&output).count(), 3, "{watched}");
    let tree: String = cli.run(["runs", "show", &run]).await.ok().split_whitespace().collect();
    assert!(tree.ends_with(&format!("output:{output}")), "{tree}");
}

/// Counts how often a text is in another one.
fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test]
async fn a_failure_names_the_step_and_the_reason_once() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let start = async |body| {
        let program = services.program(body).to_string();
        cli.run(["start", "program", "--input", &program, "--wait"]).await.failed(3)
    };
    let said = start(block![step("bake", block![fail("no flour")])]).await;
    assert_eq!((count(&said, "no flour"), count(&said, "`bake`")), (1, 1), "{said}");
    assert!(said.contains(" failed in step `bake`: no flour"), "{said}");
    let said = start(block![reversible("tea"), step("bake", block![fail("no flour")])]).await;
    assert!(said.contains(" failed in step `bake` and was rolled back: no flour"), "{said}");
    let said = start(block![fail("closed today")]).await;
    assert!(said.contains(" failed: closed today"), "no step failed: {said}");
}

#[tokio::test]
async fn a_pause_is_said_once_with_what_to_do() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let run = host.api().start_program(&services, block![gate("wait")]).await;
    services.until_asked("wait", 1).await;
    cli.run(["runs", "pause", &run]).await.ok();
    let said = cli.run(["runs", "watch", &run]).await.failed(7);
    assert_eq!(
        said,
        format!(
            "error: run {run} is paused (operator): stopped on request. `forge runs resume {run}` lets it go on, \
             `forge runs cancel {run}` rolls it back\n"
        )
    );
    let shown = cli.run(["runs", "show", &run]).await.ok();
    assert_eq!((count(&shown, "paused (operator)"), count(&shown, "forge runs resume")), (1, 1), "{shown}");
}

#[tokio::test]
async fn a_key_that_has_a_run_names_it_and_says_how_it_stands() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let start = async |cli: &Cli, body, more: &[&str]| {
        let program = services.program(body).to_string();
        let arguments = ["start", "program", "--key", "order-1041", "--input", &program];
        cli.run(arguments.iter().chain(more)).await
    };
    let tea = || block![step("bake", block![effect("tea"), fail("no flour")])];
    let first = start(&cli, tea(), &[]).await;
    let run = first.ok().trim().to_owned();
    host.api().settled(&run).await;

    let again = start(&cli, tea(), &[]).await;
    assert!(again.stderr.starts_with(&format!("the key has a run: {run}, started at ")), "{again:?}");
    assert!(
        again.stderr.ends_with(", has failed: no flour. --restart-failed starts another run\n"),
        "{again:?}"
    );
    assert_eq!(again.ok().trim(), run);
    let waited = start(&cli, tea(), &["--wait"]).await.failed(3);
    assert_eq!((count(&waited, "no flour"), count(&waited, "started run")), (1, 0), "{waited}");
    let other = start(&cli, block![effect("milk")], &[]).await.failed(6);
    assert!(
        other.contains(&format!("has started run {run} ")) && other.contains("that run is failed"),
        "{other}"
    );
}
