//! The lines that runs log and the values that they publish.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::ChildStdout;

use forge_tests::program::{Block, Statement, block, effect, fail_for_good, gate, reversible, step};
use forge_tests::{Api, Cli, Cluster, Host, Proxy, Services, component, eventually, eventually_some};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

fn log(line: &str) -> Statement {
    Statement::Log(line.to_owned())
}

fn publish(name: &str, value: impl Into<Value>) -> Statement {
    Statement::Publish(name.to_owned(), value.into())
}

/// Returns the lines of a run as text, with the steps that logged them.
async fn lines(api: &Api, run: &str, query: &str) -> Vec<String> {
    let text = |line: &Value| {
        let message = line["message"].as_str().unwrap();
        match line["step"].as_str() {
            Some(step) => format!("{step}#{}: {message}", line["attempt"]),
            None => message.to_owned(),
        }
    };
    api.logs(run, query).await.iter().map(text).collect()
}

/// A program that logs in its body, in the attempts of a step, and in a compensation.
fn talkative() -> Block {
    block![
        log("begin"),
        step("reserve", block![log("reserving"), effect("seat")])
            .undo(block![log("giving back"), effect("free")]),
        step("charge", block![log("trying"), Statement::Flaky("card".to_owned(), 1)]).retry(2, 5),
        log("end"),
        fail_for_good("sold out"),
    ]
}

const TALK: [&str; 6] = [
    "begin",
    "reserve#1: reserving",
    "charge#1: trying",
    "charge#2: trying",
    "end",
    "reserve#1: giving back",
];

#[tokio::test]
async fn the_lines_of_a_run_are_kept_with_their_step_and_attempt() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let (api, cli) = (host.api(), host.cli());
    let run = api.start_program(&services, talkative()).await;
    assert_eq!(api.settled(&run).await["status"], "compensated");
    assert_eq!(lines(&api, &run, "").await, TALK);
    assert_eq!(lines(&api, &run, "step=charge").await, TALK[2..4]);
    assert_eq!(lines(&api, &run, "limit=1&level=info").await, TALK, "page by page");
    assert_eq!(lines(&api, &run, "level=warn").await, [""; 0]);
    let all = api.logs(&run, "").await;
    let seqs: Vec<u64> = all.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    let (charge, undo) =
        (api.step(&run, "step", "charge").await, api.step(&run, "compensation", "reserve").await);
    assert_eq!((&all[3]["step_seq"], &all[5]["step_seq"]), (&charge["seq"], &undo["seq"]));
    assert!(all[0].get("step_seq").is_none() && all[0]["level"] == "info", "{:#}", all[0]);

    let (code, message) = api.get(&format!("/_api/runs/{run}/logs?level=loud")).await.refused(400);
    assert!(code == "invalid_parameter" && message.contains("`level`"), "{code}: {message}");
    api.get(&format!("/_api/runs/{}/logs", uuid::Uuid::nil())).await.refused(404);

    let shown = cli.run(["runs", "logs", "last"]).await.ok();
    let shown: Vec<&str> = shown.lines().map(|line| line.split_once(" INFO  ").unwrap().1).collect();
    assert_eq!(shown[2..4], ["charge: trying", "charge (attempt 2): trying"]);
    let shown = cli.run(["runs", "logs", &run, "--step", "charge", "--json"]).await.ok();
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown, all[2..4]);
    let none = cli.run(["runs", "logs", &run, "--level", "error"]).await;
    assert_eq!((&*none.stdout, &*none.stderr), ("", "no lines\n"));
    let none = cli.run(["runs", "logs", &run, "--step", "nope"]).await;
    let said = format!("no lines of step nope: `forge runs show {run} --all` has its steps\n");
    assert_eq!((&*none.stdout, &*none.stderr), ("", &*said));
    let debug = cli.run(["runs", "logs", &run, "--level", "debug"]).await;
    assert!(
        debug.stdout.lines().count() == 6 && debug.stderr.contains("--kept-log-level"),
        "{}",
        debug.stderr
    );
    cli.run(["runs", "logs", &run, "--level", "loud"]).await.failed(2);
}

#[tokio::test]
async fn the_lines_of_a_step_in_a_loop_are_those_of_all_its_passes() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let (api, cli) = (host.api(), host.cli());
    let pass = |number: u32| step("fetch", block![log(&format!("pass {number}"))]);
    let body = block![pass(1), pass(2), step("fetch_all", block![log("another step")]), pass(3)];
    let run = api.start_program(&services, body).await;
    api.settled(&run).await;
    let all = ["fetch#1: pass 1", "fetch#2#1: pass 2", "fetch#3#1: pass 3"];
    assert_eq!(lines(&api, &run, "step=fetch").await, all);
    assert_eq!(lines(&api, &run, "step=fetch%232").await, all[1..2]);
    let shown = cli.run(["runs", "logs", &run, "--step", "fetch"]).await.ok();
    let shown: Vec<&str> = shown.lines().map(|line| line.split_once(" INFO  ").unwrap().1).collect();
    assert_eq!(shown, ["fetch: pass 1", "fetch#2: pass 2", "fetch#3: pass 3"]);
}

#[tokio::test]
async fn crashes_neither_repeat_nor_lose_a_line_or_a_value() {
    let services = Services::start().await;
    let mut host = Host::with_interpreter().await;
    let api = host.api();
    let body = block![
        log("begin"),
        publish("progress", 1),
        step(
            "wait",
            block![log("before the gate"), gate("gate"), publish("progress", 2), log("after the gate")]
        ),
        log("between"),
        gate("second"),
        publish("progress", 3),
        log("end"),
    ];
    let run = api.start_program(&services, body).await;
    services.until_asked("gate", 1).await;
    assert_eq!(lines(&api, &run, "").await, ["begin", "wait#1: before the gate"]);
    assert_eq!(api.record(&run).await["published"], json!({ "progress": 1 }));
    host.kill();
    host.restart().await;
    services.until_asked("gate", 2).await;
    services.open("gate");
    services.until_asked("second", 1).await;
    host.kill();
    host.restart().await;
    services.until_asked("second", 2).await;
    assert_eq!(api.record(&run).await["published"], json!({ "progress": 2 }));
    services.open("second");
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["published"]), (&json!("completed"), &json!({ "progress": 3 })));
    let all = ["begin", "wait#1: before the gate", "wait#1: after the gate", "between", "end"];
    assert_eq!(lines(&api, &run, "").await, all);
}

#[tokio::test]
async fn a_run_that_left_memory_shows_its_lines_and_values_and_repeats_none() {
    let services = Services::start().await;
    let host = Host::builder().flag(["--evict-after", "0s"]).start().await;
    let (api, cli) = (host.api(), host.cli());
    api.deploy(&component("interpreter")).await;
    let wait = |name: &str| Statement::Event(name.to_owned(), None);
    let body = block![log("one"), publish("p", "a"), wait("go"), log("two"), wait("go"), publish("p", "b")];
    let run = api.start_program(&services, body).await;
    for (expected, already) in [(&["one"][..], 0), (&["one", "two"], 1)] {
        eventually("the run has left memory", async || {
            api.record(&run).await["status"] == "waiting" && api.health().await["runs_in_memory"] == 0
        })
        .await;
        let known = async || lines(&api, &run, "").await.len() > already;
        eventually("its lines are there", known).await;
        assert_eq!(lines(&api, &run, "").await, expected);
        assert_eq!(api.record(&run).await["published"], json!({ "p": "a" }));
        api.send_event(&run, "go", &json!(1), None).await;
    }
    assert_eq!(api.settled(&run).await["published"], json!({ "p": "b" }));
    assert_eq!(lines(&api, &run, "").await, ["one", "two"]);
    let shown = cli.run(["runs", "show", &run]).await.ok();
    assert!(shown.contains("published:\n  p: \"b\""), "{shown}");
}

#[tokio::test]
async fn follow_shows_lines_as_they_come_across_a_restart_until_the_run_ends() {
    let services = Services::start().await;
    let mut host = Host::with_interpreter().await;
    let api = host.api();
    let body = block![log("one"), gate("first"), log("two"), gate("second"), log("three")];
    let run = api.start_program(&services, body).await;
    services.until_asked("first", 1).await;
    // The host gets another address when it starts again.
    let proxy = Proxy::start(address(&host)).await;
    let cli = Cli::default().server(&format!("http://{}", proxy.address()));
    let mut following = cli.command(["runs", "logs", &run, "--follow"]).spawn().unwrap();
    let mut shown = following_lines(following.stdout.take().unwrap());
    assert_eq!(shown.recv().await.unwrap(), "one");
    services.open("first");
    services.until_asked("second", 1).await;
    assert_eq!(shown.recv().await.unwrap(), "two");
    host.kill();
    host.restart().await;
    proxy.lead_to(address(&host));
    services.open("second");
    assert_eq!(shown.recv().await.unwrap(), "three");
    assert_eq!(shown.recv().await, None, "the run has ended");
    let output = tokio::task::spawn_blocking(|| following.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn address(host: &Host) -> SocketAddr {
    host.url().trim_start_matches("http://").parse().unwrap()
}

/// Returns the messages that a command prints, as they come.
fn following_lines(stdout: ChildStdout) -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    tokio::task::spawn_blocking(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let (_, message) = line.split_once(" INFO  ").unwrap();
            sender.send(message.to_owned()).unwrap();
        }
    });
    receiver
}

#[tokio::test]
async fn a_run_that_computes_shows_its_values_and_lines_meanwhile() {
    let services = Services::start().await;
    let host = Host::builder().flag(["--fuel", "100G"]).start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run =
        api.start_program(&services, block![log("begin"), publish("progress", 0.5), Statement::Spin]).await;
    let record = eventually_some("the value is there", async || {
        Some(api.record(&run).await).filter(|record| record["published"].is_object())
    })
    .await;
    assert_eq!((&record["status"], &record["published"]["progress"]), (&json!("running"), &json!(0.5)));
    assert_eq!(lines(&api, &run, "").await, ["begin"]);
    api.terminate(&run).await.ok();
    assert_eq!(lines(&api, &run, "").await, ["begin"]);
}

#[tokio::test]
async fn the_host_decides_which_levels_are_kept() {
    let services = Services::start().await;
    for (level, kept) in [("warn", 0), ("off", 0), ("trace", 1)] {
        let host = Host::builder().flag(["--kept-log-level", level]).start().await;
        let api = host.api();
        api.deploy(&component("interpreter")).await;
        let run = api.start_program(&services, block![log("said"), effect("done")]).await;
        api.settled(&run).await;
        assert_eq!(lines(&api, &run, "").await.len(), kept, "{level}");
        assert!(host.log().contains("said"), "the host's log has its own level");
    }
}

#[tokio::test]
async fn a_deleted_run_has_no_lines_and_its_tenant_gets_their_bytes_back() {
    let services = Services::start().await;
    let host = Host::with_interpreter().await;
    let api = host.api();
    let stored = async || api.get("/_api/usage").await.ok()["storage_bytes"].as_u64().unwrap();
    let before = stored().await;
    let many = Statement::Repeat(50, block![log(&"x".repeat(1_000)), publish("p", "y".repeat(1_000))]);
    let run = api.start_program(&services, block![many, effect("done")]).await;
    api.settled(&run).await;
    eventually("they are counted", async || stored().await >= before + 50_000).await;
    assert_eq!(api.delete(&run).await.status, 204);
    api.get(&format!("/_api/runs/{run}/logs")).await.refused(404);
    let rows: Vec<(i64,)> = host.database().await.rows("SELECT count(*) FROM forge_logs", &[]).await;
    assert_eq!(rows[0].0, 0);
    eventually("they are counted no more", async || stored().await <= before).await;
}

#[tokio::test]
async fn any_node_shows_the_lines_of_a_run_which_move_with_it() {
    let services = Services::start().await;
    let mut cluster = Cluster::start(["a", "b"]).await;
    let api = cluster.api(0);
    api.deploy(&component("interpreter")).await;
    let body = block![
        log("on a"),
        publish("node", "a"),
        gate("gate"),
        log("on b"),
        publish("node", "b"),
        reversible("end")
    ];
    let run = api.start_program(&services, body).await;
    services.until_asked("gate", 1).await;
    let other = cluster.api(1);
    assert_eq!(lines(&other, &run, "").await, ["on a"]);
    cluster.host(0).kill();
    services.until_asked("gate", 2).await;
    services.open("gate");
    let record = other.settled(&run).await;
    assert_eq!(record["published"], json!({ "node": "b" }), "{record:#}");
    assert_eq!(lines(&other, &run, "").await, ["on a", "on b"]);
}
