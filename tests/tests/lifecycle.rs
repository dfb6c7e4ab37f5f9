//! A run from its start to its end, and what can be read of it meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Host, Services, component};
use serde_json::{Value, json};

#[tokio::test]
async fn a_journal_is_read_in_pages() {
    let services = Services::start().await;
    let host = Host::with_interpreter().await;
    let api = host.api();
    let run = api.start_program(&services, block![effect("a"), effect("b"), effect("c")]).await;
    assert_eq!(api.settled(&run).await["status"], "completed");
    let all = api.steps(&run).await;
    let path = format!("/_api/runs/{run}/steps");
    let mut paged = Vec::new();
    let mut cursor = json!(0);
    while !cursor.is_null() {
        let mut page = api.get(&format!("{path}?limit=2&cursor={cursor}")).await.ok();
        assert!(page["steps"].as_array().unwrap().len() <= 2);
        paged.append(page["steps"].as_array_mut().unwrap());
        cursor = page["next_cursor"].take();
    }
    assert_eq!(paged, all);
    let bare = api.get(&format!("{path}?payloads=false")).await.ok()["steps"].take();
    for (bare, step) in bare.as_array().unwrap().iter().zip(&all) {
        assert!(bare["input"].is_null() && bare["result"].is_null(), "{bare}");
        assert_eq!((&bare["seq"], &bare["status"]), (&step["seq"], &step["status"]));
    }
    let record = api.record(&run).await;
    assert_eq!(
        (record["calls"].as_u64(), &record["has_more_steps"]),
        (Some(all.len() as u64), &json!(false))
    );
    for wrong in ["limit=0", "limit=501", "cursor=-1", "payloads=perhaps", "page=2"] {
        assert_eq!(api.get(&format!("{path}?{wrong}")).await.refused(400).0, "invalid_parameter", "{wrong}");
    }
}

#[tokio::test]
async fn a_record_says_all_that_is_known_of_a_run() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let input = services.program(block![step("tea", block![effect("tea")])]);
    let start = json!({"input": input, "key": "order-1041"});
    let run = api.start_acknowledged("program", &start).await;
    let record = api.settled(&run).await;
    for (field, expected) in [
        ("id", json!(run)),
        ("workflow_name", json!("program")),
        ("version", json!(1)),
        ("input", input),
        ("status", json!("completed")),
        ("error", Value::Null),
        ("error_kind", Value::Null),
        ("pause_reason", Value::Null),
        ("trace_id", Value::Null),
        ("key", json!("order-1041")),
    ] {
        assert_eq!(record[field], expected, "{field}");
    }
    assert_eq!(record["output"][0], record["step_results"]["tea"]);
    assert_eq!(record["output"][0][0]["effect"], "tea");
    assert!(record["started_at"].as_str() <= record["completed_at"].as_str());
    assert!(record["completed_at"].as_str() < record["deadline"].as_str());

    let (tea, request) = (api.step(&run, "step", "tea").await, &api.steps(&run).await[1]);
    assert_eq!(
        (&tea["parent"], &request["parent"], &request["parent_attempt"]),
        (&Value::Null, &tea["seq"], &json!(1))
    );
    assert_eq!((&request["kind"], &request["result"]["status"]), (&json!("http"), &json!(200)));
    assert!(request["step_name"].as_str().unwrap().starts_with("POST http"), "{request:#}");
    assert!(tea["duration_ms"].is_u64(), "{tea:#}");
}

#[tokio::test]
async fn a_start_may_wait_for_the_end() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let quick = json!({"input": services.program(block![effect("quick")])});
    let answer = api.post_json("/_api/workflows/program/start?wait=60", &quick).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")));

    let slow = json!({"input": services.program(block![gate("slow")])});
    let answer = api.post_json("/_api/workflows/program/start?wait=0.1", &slow).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let run = answer.body["run_id"].as_str().expect("whoever does not wait long enough gets the id");
    services.open("slow");
    assert_eq!(api.settled(run).await["status"], "completed");
}

#[tokio::test]
async fn a_key_starts_one_run_however_often_it_is_used() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let start = json!({"input": services.program(block![effect("once")]), "key": "order-1041"});
    let starts = (0..10).map(|_| api.start_acknowledged("program", &start));
    let runs = futures::future::join_all(starts).await;
    host.kill();
    host.restart().await;
    let again = api.start_acknowledged("program", &start).await;
    assert!(runs.iter().all(|run| *run == again), "{runs:?}, {again}");
    api.settled(&again).await;
    // A request that was under way when the host died is sent again, and performed once.
    assert_eq!(services.performed(), ["once"]);

    let other = json!({"input": services.program(block![effect("twice")]), "key": "order-1041"});
    let (code, message) = api.try_start("program", &other).await.refused(409);
    assert!(code == "key_reused" && message.contains(&again), "{message}");
}

#[tokio::test]
async fn a_start_with_the_key_of_a_failed_run_says_so_or_takes_the_key_over() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let failing = services.program(block![reversible("seat"), fail("sold out")]);
    let body = json!({"input": failing, "key": "order-1041"});
    let first = api.start_acknowledged("program", &body).await;
    assert_eq!(api.settled(&first).await["status"], "compensated");

    // Without a word, the answer is the old run, and says so.
    let again = api.try_start("program", &body).await.ok();
    assert_eq!((&again["run_id"], &again["existing"]["status"]), (&json!(first), &json!("compensated")));
    assert!(again["existing"]["error"].as_str().unwrap().contains("sold out"), "{again:#}");
    let cli = async |flags: &[&str]| {
        let input = failing.to_string();
        let start = ["start", "program", "--input", &input, "--key", "order-1041"];
        host.cli().run(start.iter().chain(flags)).await
    };
    let output = cli(&[]).await;
    assert_eq!(output.stdout.trim(), first);
    assert!(output.stderr.contains("has failed and was rolled back: sold out"), "{}", output.stderr);
    assert!(output.stderr.contains("--restart-failed"), "{}", output.stderr);

    // Of several that restart it, one starts a run. Its input may be another.
    let right = services.program(block![reversible("seat"), effect("thanks")]);
    let restart = json!({"input": right, "key": "order-1041", "on_failed": "restart"});
    let starts = (0..8).map(|_| api.start_acknowledged("program", &restart));
    let runs = futures::future::join_all(starts).await;
    assert!(runs.iter().all(|run| *run == runs[0]) && runs[0] != first, "{runs:?}");
    let record = api.settled(&runs[0]).await;
    assert_eq!((&record["status"], &record["restart_of"]), (&json!("completed"), &json!(first)));
    let old = api.record(&first).await;
    assert_eq!((&old["restarted_as"], &old["key"]), (&json!(runs[0]), &Value::Null));
    let shown = host.cli().run(["runs", "show", &first]).await.ok();
    assert!(shown.contains(&format!("restarted as {}", runs[0])), "{shown}");

    // A run that has not failed keeps its key.
    let kept = api.try_start("program", &restart).await.ok();
    assert_eq!((&kept["run_id"], &kept["existing"]["status"]), (&json!(runs[0]), &json!("completed")));
    assert_eq!(cli(&["--restart-failed"]).await.failed(6).lines().count(), 1, "another input");
}

#[tokio::test]
async fn a_failed_run_whose_steps_are_not_compensated_is_not_restarted_before_a_person_has_undone_them() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let body = block![reversible("seat"), gate("wait")];
    let start = json!({"input": services.program(body), "key": "order-1041", "on_failed": "restart"});
    let first = api.start_acknowledged("program", &start).await;
    services.until_asked("wait", 1).await;
    assert_eq!(api.start_acknowledged("program", &start).await, first, "it has not failed");
    api.terminate(&first).await.ok();
    let (code, message) = api.try_start("program", &start).await.refused(409);
    assert!(code == "not_compensated" && message.contains("(seat)"), "{code}: {message}");
    api.resolve(&first, "seat", &json!({"completed": null})).await.ok();
    let second = api.start_acknowledged("program", &start).await;
    assert_ne!(second, first);
    services.open("wait");
    assert_eq!(api.settled(&second).await["status"], "completed");
}

#[tokio::test]
async fn a_run_that_only_waits_for_a_timer_is_waiting_and_another_is_running() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let sleeping = api.start_program(&services, block![Statement::Sleep(3_600_000)]).await;
    let asking = api.start_program(&services, block![step("ask", block![gate("ask")])]).await;
    api.until_status(&sleeping, "waiting").await;
    services.until_asked("ask", 1).await;
    let record = api.record(&asking).await;
    assert_eq!((&record["status"], &record["current_step"]), (&json!("running"), &json!("ask")));
    let timer = api.step(&sleeping, "sleep", "1h").await;
    assert!(timer["wake_at"].as_str() > timer["started_at"].as_str(), "{timer:#}");
}

#[tokio::test]
async fn a_paused_run_does_nothing_until_it_is_resumed() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let run = api.start_program(&services, block![effect("a"), gate("wait"), effect("b")]).await;
    services.until_asked("wait", 1).await;
    let record = api.pause(&run).await.ok();
    assert_eq!((&record["status"], &record["pause_reason"]), (&json!("paused"), &json!("operator")));
    services.open("wait");
    host.kill();
    host.restart().await;
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "paused", "a restart does not resume it");
    assert!(services.asked("b").is_empty());
    api.resume(&run).await.ok();
    api.until_status(&run, "completed").await;
    assert_eq!(services.performed(), ["a", "wait", "b"]);
    assert_eq!(api.resume(&run).await.refused(409).0, "conflict");
    assert_eq!(api.pause(&run).await.refused(409).0, "conflict");
}

#[tokio::test]
async fn a_failure_of_an_optional_step_does_not_fail_the_run() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let body = block![
        reversible("charge"),
        step("mail", block![effect("mail"), fail("the address is wrong")]).optional(),
        step("slow", block![Statement::Never(None)]).timeout(50).optional(),
        effect("thanks"),
    ];
    let run = api.start_program(&services, body).await;
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["error"]), (&json!("completed"), &Value::Null));
    assert_eq!((&record["output"][1], &record["output"][2]), (&json!("gave up"), &json!("gave up")));
    assert_eq!(services.performed(), ["charge", "mail", "thanks"]);
    let mail = api.step(&run, "step", "mail").await;
    assert_eq!((&mail["status"], &mail["optional"]), (&json!("failed"), &json!(true)));
    assert_eq!((&mail["error"], &mail["error_kind"]), (&json!("the address is wrong"), &json!("error")));
}

#[tokio::test]
async fn errors_can_be_read_in_the_record_the_journal_and_the_command_line() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let nowhere = "http://127.0.0.1:9";
    for (body, services_at, kind, words) in [
        (block![step("pay", block![fail("no money")])], services.url(), "error", "no money"),
        (
            block![step("pay", block![Statement::Get("/echo?status=503".to_owned())])],
            services.url(),
            "http",
            "503",
        ),
        (block![step("pay", block![Statement::Never(Some(50))])], services.url(), "timeout", "50ms"),
        (
            block![step("pay", block![Statement::Never(None)]).timeout(50)],
            services.url(),
            "timeout",
            "timed out after 50ms",
        ),
        (block![step("pay", block![effect("pay")])], nowhere, "http", "127.0.0.1:9"),
    ] {
        let mut input = services.program(body);
        input["services"] = json!(services_at);
        let run = api.start("program", input).await;
        let record = api.settled(&run).await;
        let pay = api.step(&run, "step", "pay").await;
        for (place, found) in [("the record", &record), ("the journal", &pay)] {
            let error = found["error"].as_str().unwrap_or_default();
            assert!(
                found["error_kind"] == kind && error.contains(words),
                "{kind}, {words} in {place}: {found:#}"
            );
        }
        assert_eq!((&record["status"], &pay["status"]), (&json!("failed"), &json!("failed")));
        let shown = host.cli().run(["runs", "show", &run]).await.ok();
        assert!(shown.contains("✘ pay") && shown.contains(words), "{shown}");
        let listed = host.cli().run(["runs", "--json"]).await.json();
        assert_eq!(listed["runs"][0]["error"], record["error"]);
    }
}

#[tokio::test]
async fn what_a_workflow_draws_is_the_same_on_every_replay() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let draw = || step("draw", block![Statement::Draw]);
    let body = block![
        draw(),
        Statement::Draw,
        Statement::Draw,
        effect("digest"),
        draw(),
        step("open", block![Statement::Draw, effect("open"), gate("wait")])
    ];
    let run = api.start_program(&services, body).await;
    services.until_asked("wait", 1).await;
    let before = api.record(&run).await["step_results"].take();
    host.kill();
    host.restart().await;
    services.open("wait");
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    let output = &record["output"];
    assert_eq!((&output[0], &output[4]), (&before["draw"], &before["draw#2"]));
    let drawn = [&output[0][0], &output[1], &output[2], &output[4][0], &output[5][0]];
    let different: std::collections::BTreeSet<_> =
        drawn.iter().map(|drawn| drawn.as_str().unwrap()).collect();
    assert_eq!(different.len(), drawn.len(), "no two draws are the same: {different:#?}");
    for effect in ["digest", "open"] {
        assert_eq!(services.asked(effect).len(), 1, "what was sent before is what would be sent now");
    }
}

#[tokio::test]
async fn a_line_is_logged_once_although_it_is_replayed() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let line = Statement::Log("the kettle is on".to_owned());
    let run = host.api().start_program(&services, block![line, gate("wait")]).await;
    services.until_asked("wait", 1).await;
    host.kill();
    host.restart().await;
    services.open("wait");
    host.api().settled(&run).await;
    let log = host.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("the kettle is on")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains(&run), "it says which run wrote it: {}", lines[0]);
}

#[tokio::test]
async fn sigterm_ends_the_host_within_five_seconds_and_leaves_runs_resumable() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let asking = api.start_program(&services, block![reversible("a"), gate("wait"), effect("b")]).await;
    let sleeping = api.start_program(&services, block![Statement::Sleep(3_000)]).await;
    let computing =
        api.start_program(&services, block![reversible("c"), gate("compute"), Statement::Spin]).await;
    services.until_asked("wait", 1).await;
    services.until_asked("compute", 1).await;
    services.open("compute");

    let (status, took) = host.terminate().await;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(host.log().contains("stopped"), "{}", host.log());

    services.open("wait");
    host.restart().await;
    assert_eq!(api.settled(&asking).await["status"], "completed");
    assert_eq!(api.settled(&sleeping).await["status"], "completed");
    assert_eq!(api.settled(&computing).await["error_kind"], "out-of-fuel");
    for effect in ["a", "b", "c", "undo-c"] {
        assert_eq!(services.asked(effect).len(), 1, "{effect}");
    }
}

#[tokio::test]
async fn sigterm_ends_the_host_within_five_seconds_although_a_workflow_computes_for_longer() {
    let mut host = Host::builder().flag(["--fuel", "100G"]).start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let run = api.start_program(&services, block![reversible("a"), gate("compute"), Statement::Spin]).await;
    services.until_asked("compute", 1).await;
    services.open("compute");
    let (status, took) = host.terminate().await;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(6), "it took {took:?}");
    host.restart().await;
    assert_eq!(api.record(&run).await["status"], "running");
    assert_eq!(services.asked("a").len(), 1);
}

#[tokio::test]
async fn a_request_that_waits_for_a_run_is_answered_when_the_host_stops() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let run = api.start_program(&services, block![gate("wait")]).await;
    services.until_asked("wait", 1).await;
    let path = format!("/_api/runs/{run}?wait=60");
    let waiting = api.request(reqwest::Method::GET, &path).await;
    let (answer, (status, _)) = futures::join!(waiting.send(), host.terminate());
    assert!(status.success());
    // Whether the request arrived before the host stopped to accept any is left to chance.
    if let Ok(answer) = answer {
        let record: Value = answer.json().await.unwrap();
        assert_eq!(record["status"], "running");
    }
}

#[tokio::test]
async fn runs_are_listed_page_by_page_the_newest_first() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let api = host.api();
    let mut runs = Vec::new();
    for _ in 0..5 {
        let run = api.start_program(&services, block![]).await;
        api.settled(&run).await;
        runs.insert(0, run);
    }
    let failed = api.start_program(&services, block![fail("sold out")]).await;
    api.settled(&failed).await;

    let mut listed = Vec::new();
    let mut path = "/_api/runs?workflow=program&status=completed&limit=2".to_owned();
    loop {
        let page = api.get(&path).await.ok();
        listed.extend(
            page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/_api/runs?workflow=program&status=completed&limit=2&cursor={cursor}");
    }
    assert_eq!(listed, runs);
    let page = api.get("/_api/runs?status=failed").await.ok();
    assert_eq!((&page["runs"][0]["id"], &page["runs"][0]["error"]), (&json!(failed), &json!("sold out")));
    assert_eq!(api.get("/_api/runs?workflow=nothing").await.ok()["runs"], json!([]));
}

#[tokio::test]
async fn the_api_describes_itself() {
    let host = Host::start().await;
    let document = host.api().get("/_api/openapi.json").await.ok();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for path in [
        "/_api/workflows",
        "/_api/workflows/{name}",
        "/_api/workflows/{name}/versions/{version}/activate",
        "/_api/workflows/{name}/versions/{version}/deprecate",
        "/_api/workflows/{workflow}/start",
        "/_api/runs",
        "/_api/runs/{id}",
        "/_api/runs/{id}/steps",
        "/_api/runs/{id}/cancel",
        "/_api/runs/{id}/resume",
        "/_api/runs/{id}/pause",
        "/_api/health",
    ] {
        let generic = path.replace("{workflow}", "{name}");
        let known = [path, &*generic].iter().any(|path| document["paths"][path].is_object());
        assert!(known, "{path} is not described");
    }
}

#[tokio::test]
async fn a_host_may_have_as_many_files_open_as_it_is_allowed_to() {
    let host = Host::builder().start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.pid())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard, ..] = files.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{files}") };
    assert_eq!(soft, hard);
}
