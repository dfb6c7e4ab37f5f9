//! Runs are found, shown and watched by what people have at hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use forge_tests::program::{Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Cli, Host, Services, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Returns the ids of the runs that a command lists.
async fn listed(cli: &Cli, arguments: &[&str]) -> Vec<String> {
    let page = cli.run(["runs", "ls", "--json"].iter().chain(arguments)).await.json();
    let ids = page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn a_run_is_named_by_the_beginning_of_its_id_or_as_the_last_one() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let said = cli.run(["runs", "show", "last"]).await.failed(4);
    assert!(said.contains("there is no run yet"), "{said}");
    let first = host.api().start_program(&services, block![effect("tea")]).await;
    let last = host.api().start_program(&services, block![gate("wait")]).await;
    for name in ["last", &last, &last[..35], &last.replace('-', "")[..30]] {
        let shown = cli.run(["runs", "show", name, "--json"]).await.json();
        assert_eq!(shown["run"]["id"], last, "{name}");
    }
    let cancelled = cli.run(["runs", "cancel", "last"]).await.ok();
    assert!(cancelled.starts_with(&format!("run {last} is ")), "{cancelled}");

    // Both were started in the same minute, or in two.
    let (of_both, said) = (first[..8] == last[..8], cli.run(["runs", "show", &first[..8]]).await);
    if of_both {
        let said = said.failed(2);
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].contains("several runs") && said.contains(&first) && said.contains(&last), "{said}");
    } else {
        said.ok();
    }
    let said = cli.run(["runs", "show", "00000000"]).await.failed(4);
    assert!(said.contains("no run whose id begins with `00000000`"), "{said}");
    let said = cli.run(["runs", "show", "0000"]).await.failed(2);
    assert!(said.contains("at least 8 of its 32 hexadecimal digits"), "{said}");
}

#[tokio::test]
async fn another_tenants_runs_are_neither_last_nor_found_by_a_prefix() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    host.api().post_json("/_api/tenants", &json!({ "name": "acme" })).await.ok();
    let run = host.api().start_program(&services, block![effect("tea")]).await;
    let acme = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let cli = host.cli();
        async move { cli.run(["--tenant".to_owned(), "acme".to_owned()].iter().chain(&arguments)).await }
    };
    acme(&["runs", "show", "last"]).await.failed(4);
    acme(&["runs", "show", &run[..13]]).await.failed(4);
}

#[tokio::test]
async fn runs_are_listed_by_several_statuses_a_time_and_a_key() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let mut runs = Vec::new();
    let bodies = [block![effect("tea")], block![fail("no cups")], block![reversible("tea"), fail("no milk")]];
    for (number, body) in bodies.into_iter().enumerate() {
        let input: Value = services.program(body);
        let body = json!({ "input": input, "key": format!("order-{number}") });
        let run = host.api().start_acknowledged("program", &body).await;
        host.api().settled(&run).await;
        runs.push(run);
    }
    let [completed, failed, compensated] = runs.try_into().unwrap();
    let both = [compensated.clone(), failed.clone()];
    assert_eq!(listed(&cli, &["--failed"]).await, both);
    assert_eq!(listed(&cli, &["--status", "compensated,failed"]).await, both);
    assert_eq!(listed(&cli, &["--key", "order-0"]).await, [completed]);
    assert_eq!(listed(&cli, &["--key", "order-0", "--failed"]).await, [""; 0]);
    assert_eq!(listed(&cli, &["--key", "order-9"]).await, [""; 0]);
    assert_eq!(listed(&cli, &["--since", "1h", "-n", "2"]).await, both);
    assert_eq!(listed(&cli, &["--since", "2999-01-01T00:00:00Z"]).await, [""; 0]);
    assert_eq!(listed(&cli, &["--id-prefix", &failed[..35], "--failed"]).await, both[1..]);
    for wrong in [["--since", "yesterday"], ["--status", "failed,gone"], ["--id-prefix", "0199"]] {
        cli.run(["runs", "list"].iter().chain(&wrong)).await.failed(2);
    }
    let (status, refused) = (400, host.api().get("/_api/runs?status=failed,gone").await);
    let (code, message) = refused.refused(status);
    assert!(
        code == "invalid_parameter" && message.contains("completed") && message.contains("`gone`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_list_says_how_to_go_on_to_older_and_to_newer_runs() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.insert(0, host.api().start_program(&services, block![effect("tea")]).await);
    }
    let page = async |arguments: &[&str]| {
        let output = cli.run(["runs", "-n", "2"].iter().chain(arguments)).await;
        let said =
            |begin: &str| output.stderr.lines().find_map(|line| line.strip_prefix(begin).map(str::to_owned));
        let first = |line: &str| line.split(' ').next().unwrap().to_owned();
        let ids: Vec<String> = output.stdout.lines().skip(1).map(first).collect();
        (ids, said("newer runs: --newer "), said("older runs: --cursor "))
    };
    let (ids, newer, older) = page(&[]).await;
    assert_eq!((&*ids, newer), (&runs[..2], None));
    let (ids, _, older) = page(&["--cursor", &older.unwrap()]).await;
    assert_eq!(ids, runs[2..4]);
    let (ids, newer, older) = page(&["--cursor", &older.unwrap()]).await;
    assert_eq!((&*ids, older), (&runs[4..], None));
    let (ids, newer, older) = page(&["--newer", &newer.unwrap()]).await;
    assert_eq!((&*ids, older.as_ref()), (&runs[2..4], Some(&runs[3])));
    let (ids, newer, older) = page(&["--newer", &newer.unwrap()]).await;
    assert_eq!((&*ids, newer, older.as_ref()), (&runs[..2], None, Some(&runs[1])));
    cli.run(["runs", "--newer", &runs[0], "--cursor", &runs[0]]).await.failed(2);
}

#[tokio::test]
async fn a_long_loop_is_one_line_and_its_failure_is_seen() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let mut body: Vec<Statement> =
        (1..=60).map(|number| step(format!("page_{number}"), block![effect("page")]).into()).collect();
    body.push(step("greet", block![fail("nobody is there")]).optional().into());
    let run = host.api().start_program(&services, body).await;
    host.api().settled(&run).await;
    let cli = host.cli();
    let shown = cli.run(["runs", "show", "last"]).await.ok();
    assert!(shown.contains("✔ page_1 … page_60  60 alike"), "{shown}");
    let tree = shown.split("\n\n").nth(1).unwrap();
    assert!(tree.lines().count() == 3 && tree.contains("✘ greet"), "{shown}");
    let failed = cli.run(["runs", "show", "last", "--failed"]).await.ok();
    assert!(failed.contains("✘ greet") && !failed.contains("page_"), "{failed}");
    let all = cli.run(["runs", "show", "last", "--all"]).await.ok();
    assert!(all.contains("page_59") && all.lines().count() > 120, "{all}");
}

#[tokio::test]
async fn a_run_is_shown_with_what_it_does_now() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let body = block![
        effect("tea"),
        Statement::Join(vec![block![Statement::Sleep(3_600_000)], block![gate("wait")]])
    ];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("wait", 1).await;
    let shown = cli.run(["runs", "show", &run]).await.ok();
    let end = shown.lines().last().unwrap();
    assert!(end.contains("the run sleeps until 2") && end.contains("/gate/wait`"), "{shown}");
    let sleeping = host.api().start_program(&services, block![Statement::Sleep(3_600_000)]).await;
    let record = host.api().until_status(&sleeping, "waiting").await;
    assert!(record["wake_at"].as_str() > record["started_at"].as_str(), "{record:#}");
}

#[tokio::test]
async fn ctrl_c_ends_the_command_and_not_the_run() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let cli = host.cli();
    let program = services.program(block![gate("wait")]).to_string();
    let start = ["start", "program", "--key", "k", "--input", &program];
    let run = cli.run(start).await.ok().trim().to_owned();
    services.until_asked("wait", 1).await;
    let waiting: [Command; 2] =
        [cli.command(start.iter().chain(&["--wait"])), cli.command(["runs", "watch", "last"])];
    for mut command in waiting {
        let child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        // SIGINT ends a process as usual until it waits, and then it is caught.
        eventually("the command waits for a signal", async || catches_sigint(pid)).await;
        kill_process(pid, Signal::INT).unwrap();
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(
            said.ends_with(&format!("run {run} goes on; `forge runs watch {run}` shows it again\n")),
            "{said}"
        );
    }
    services.open("wait");
    assert_eq!(host.api().settled(&run).await["status"], "completed");
}

/// Returns whether a process has a handler for SIGINT.
fn catches_sigint(pid: Pid) -> bool {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught & 0b10 != 0
}

#[tokio::test]
async fn what_is_misspelled_is_answered_with_what_was_probably_meant() {
    let host = Host::with_interpreter().await;
    let cli = host.cli();
    let said = cli.run(["start", "progam"]).await.failed(4);
    assert!(said.contains("there is no workflow `progam`: did you mean `program`?"), "{said}");
    for (wrong, right) in [("deplo", "deploy"), ("workflow", "workflows")] {
        let said = cli.run([wrong]).await.failed(2);
        assert!(said.contains(&format!("'{right}'")), "{said}");
    }
    assert!(cli.run(["--version"]).await.ok().starts_with("forge "));
}

#[tokio::test]
async fn a_failed_run_is_one_line_of_the_log_with_its_kind_message_and_step() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host.api().start_program(&services, block![step("bake", block![fail("no flour")])]).await;
    host.api().settled(&run).await;
    let of_run = || {
        let log = host.log();
        let lines = log.lines().filter(|line| line.contains(" WARN ") && line.contains(&run));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("the failure is in the log", async || !of_run().is_empty()).await;
    // A command for a run that has ended loads it again.
    host.cli().run(["runs", "cancel", &run]).await.failed(6);
    let lines = of_run();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for part in ["the run has failed: no flour", "kind=error", "step=\"bake\"", "workflow=program"] {
        assert!(lines[0].contains(part), "`{part}` is missing in {lines:#?}");
    }
}

#[tokio::test]
async fn completions_are_scripts_of_the_shell() {
    let cli = Cli::default();
    for (shell, words) in [
        ("bash", ["complete -F _forge", "completions"]),
        ("zsh", ["#compdef forge", "completions"]),
        ("fish", ["complete -c forge", "completions"]),
    ] {
        let script = cli.run(["completions", shell]).await.ok();
        assert!(words.iter().all(|word| script.contains(word)), "{shell}: {script}");
        assert!(!script.contains("compile-component"), "hidden commands are not completed");
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("forge");
        std::fs::write(&file, script).unwrap();
        let checked = Command::new(shell).arg("-n").arg(&file).output();
        let checked =
            checked.unwrap_or_else(|error| panic!("{shell}: {error}; `cargo xtask setup` installs it"));
        assert!(checked.status.success(), "{shell}: {checked:?}");
    }
    cli.run(["completions", "tcsh"]).await.failed(2);
}
