//! Events: messages that a run waits for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Statement, block, effect, fail, reversible};
use forge_tests::{Host, Services, eventually};
use futures::future::join_all;
use serde_json::{Value, json};

fn event(name: &str) -> Statement {
    Statement::Event(name.to_owned(), None)
}

fn within(name: &str, milliseconds: u64) -> Statement {
    Statement::Event(name.to_owned(), Some(milliseconds))
}

fn all(name: &str) -> Statement {
    Statement::EventsThatAreThere(name.to_owned())
}

fn send(run: &str, name: &str, payload: Value, key: Option<&str>) -> Statement {
    Statement::Send(run.to_owned(), name.to_owned(), payload, key.map(str::to_owned))
}

#[tokio::test]
async fn a_run_waits_for_an_event_without_memory_and_says_so() {
    let (host, services) = (quick_to_evict().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![event("approval"), effect("ship")]).await;
    let record = api.until_status(&run, "waiting").await;
    assert_eq!(record["status"], "waiting");
    eventually("the run leaves memory", async || api.health().await["runs_in_memory"] == 0).await;
    let sent = api.send_event(&run, "approval", &json!({"by": "ada"}), None).await;
    assert_eq!(sent, json!({"seq": 1, "duplicate": false}));
    let record = api.settled(&run).await;
    assert_eq!((&record["status"], &record["output"][0]), (&json!("completed"), &json!({"by": "ada"})));
    assert_eq!(api.steps(&run).await[0]["result"], json!({"by": "ada"}));
}

#[tokio::test]
async fn events_that_come_early_are_kept_in_order_for_each_name() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let body = block![effect("first"), event("go"), all("line"), event("late")];
    let run = api.start_program(&services, body).await;
    for number in 0..20 {
        api.send_event(&run, "line", &json!(number), None).await;
    }
    host.kill();
    host.restart().await;
    let api = host.api();
    api.send_event(&run, "late", &json!("late"), None).await;
    api.send_event(&run, "go", &json!("now"), None).await;
    let record = api.settled(&run).await;
    let lines: Vec<u64> = (0..20).collect();
    assert_eq!(
        record["output"].as_array().unwrap()[1..],
        [json!("now"), json!(lines), json!("late")],
        "{record:#}"
    );
}

#[tokio::test]
async fn events_with_the_same_key_are_one_also_after_a_crash() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let run = host.api().start_program(&services, block![event("paid"), event("end"), all("paid")]).await;
    let first = host.api().send_event(&run, "paid", &json!(1), Some("p-1")).await;
    host.api().until_step(&run, "event", "paid", "completed").await;
    host.kill();
    host.restart().await;
    let api = host.api();
    let again = api.send_event(&run, "paid", &json!(2), Some("p-1")).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
    api.send_event(&run, "paid", &json!(3), Some("p-2")).await;
    api.send_event(&run, "end", &json!("end"), Some("p-1")).await;
    assert_eq!(api.settled(&run).await["output"], json!([1, "end", [3]]));
}

#[tokio::test]
async fn an_event_that_comes_after_the_timeout_stays_for_the_next_wait() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let body = block![Statement::Try(block![within("approval", 20)]), within("approval", 60_000)];
    let run = api.start_program(&services, body).await;
    api.until_step(&run, "event", "approval", "failed").await;
    api.send_event(&run, "approval", &json!("yes"), None).await;
    let output = api.settled(&run).await["output"].take();
    assert_eq!(output, json!([{"failed": "no event `approval` came in time", "kind": "timeout"}, "yes"]));
}

#[tokio::test]
async fn an_event_and_the_end_of_its_wait_at_the_same_time_lose_nothing() {
    const RUNS: u64 = 1_000;
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let body = block![Statement::Try(block![within("now", 60)]), within("now", 60_000)];
    let (mut taken, mut timed_out) = (0, 0);
    let outcomes = (0..RUNS).map(|number| {
        let (api, services, body) = (&api, &services, body.clone());
        async move {
            let run = api.start_program(services, body).await;
            tokio::time::sleep(Duration::from_millis(number % 60)).await;
            api.send_event(&run, "now", &json!("first"), None).await;
            // The run may have ended with the first.
            let second =
                api.post_json(&format!("/_api/runs/{run}/events/now"), &json!({"payload": "second"})).await;
            assert!(matches!(second.status, 202 | 409), "{}", second.status);
            api.settled(&run).await["output"].take()
        }
    });
    for outcomes in join_in_groups(outcomes, 50).await {
        match outcomes.as_array().unwrap().as_slice() {
            [first, second] if *first == json!(["first"]) && second == "second" => taken += 1,
            [failed, first] if failed["kind"] == "timeout" && first == "first" => timed_out += 1,
            other => panic!("an event was lost or reordered: {other:?}"),
        }
    }
    println!("{taken} runs took the event in time, {timed_out} afterwards");
    assert!(taken > 0 && timed_out > 0, "both happen: {taken}, {timed_out}");
}

#[tokio::test]
async fn an_event_and_a_cancel_at_the_same_time_end_in_one_of_the_allowed_ways() {
    const RUNS: u64 = 1_000;
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let outcomes = (0..RUNS).map(|_| {
        let (api, services) = (&api, &services);
        async move {
            let body = block![reversible("tea"), event("now"), Statement::Draw];
            let run = api.start_program(services, body).await;
            api.until_status(&run, "waiting").await;
            let path = format!("/_api/runs/{run}/events/now");
            let event = json!({"payload": 1});
            let (sent, cancelled) = tokio::join!(api.post_json(&path, &event), api.cancel(&run));
            let record = api.settled(&run).await;
            (sent.status, cancelled.status, record["status"].as_str().unwrap().to_owned())
        }
    });
    for outcome in join_in_groups(outcomes, 50).await {
        match (outcome.0, outcome.1, outcome.2.as_str()) {
            // The event is kept in a run that is rolled back, or came when it had ended.
            (202 | 409, 200..300, "compensated") | (202, 409, "completed") => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_final_run_takes_no_events_and_a_paused_one_keeps_them() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let done = api.start_program(&services, block![effect("quick")]).await;
    api.settled(&done).await;
    let path = format!("/_api/runs/{done}/events/late");
    let (code, message) = api.post_json(&path, &json!({"payload": 1})).await.refused(409);
    assert_eq!(code, "conflict");
    assert!(message.contains("is completed"), "{message}");

    let run = api.start_program(&services, block![event("approval")]).await;
    api.until_status(&run, "waiting").await;
    api.pause(&run).await.ok();
    api.send_event(&run, "approval", &json!("kept"), None).await;
    assert_eq!(api.record(&run).await["status"], "paused");
    api.resume(&run).await.ok();
    assert_eq!(api.settled(&run).await["output"], json!(["kept"]));
}

#[tokio::test]
async fn runs_send_events_to_each_other_once_however_often_the_host_is_killed() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let receiver = host.api().start_program(&services, block![event("go"), all("line")]).await;
    let lines: Vec<Statement> = (0..30).map(|number| send(&receiver, "line", json!(number), None)).collect();
    let mut body = vec![];
    for line in lines {
        body.extend([effect("step"), line]);
    }
    body.push(send(&receiver, "go", json!("go"), None));
    let sender = host.api().start_program(&services, body).await;
    for pause in [5_u64, 10, 20, 30, 40, 60] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        host.kill();
        host.restart().await;
    }
    let api = host.api();
    assert_eq!(api.settled(&sender).await["status"], "completed");
    let lines: Vec<u64> = (0..30).collect();
    assert_eq!(api.settled(&receiver).await["output"], json!(["go", lines]));
}

#[tokio::test]
async fn a_call_that_cannot_send_fails_and_says_why() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let done = api.start_program(&services, block![Statement::Draw]).await;
    api.settled(&done).await;
    let unknown = "0192f0c1-1111-7000-8000-000000000000";
    let body = block![
        Statement::Try(block![send(unknown, "x", json!(1), None)]),
        Statement::Try(block![send(&done, "x", json!(1), None)]),
        send("self", "x", json!(1), Some("k")),
        send("self", "x", json!(2), Some("k")),
        all("x"),
    ];
    let run = api.start_program(&services, body).await;
    let output = api.settled(&run).await["output"].take();
    assert_eq!(output[0]["failed"], format!("there is no run {unknown}"));
    assert!(output[1]["failed"].as_str().unwrap().contains("is completed, so it takes no more events"));
    assert_eq!(output[4], json!([1]), "{output}");
}

#[tokio::test]
async fn a_run_sends_to_itself_with_its_first_call() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![send("self", "x", json!(1), None), event("x")]).await;
    assert_eq!(api.settled(&run).await["output"], json!(["sent", 1]));
}

#[tokio::test]
async fn a_full_inbox_refuses_events_and_keeps_what_it_has() {
    let (host, services) = (Host::start().await, Services::start().await);
    let limits = json!({"inbox_events": 3, "inbox_bytes": 100});
    let tenant = json!({"name": "small", "egress": [services.url()], "limits": limits});
    host.api().post_json("/_api/tenants", &tenant).await.ok();
    let api = host.api().for_tenant("small");
    api.deploy(&forge_tests::component("interpreter")).await;
    let run = api.start_program(&services, block![event("go"), all("line")]).await;
    let path = format!("/_api/runs/{run}/events/line");
    for number in 0..3 {
        api.send_event(&run, "line", &json!(number), None).await;
    }
    let (code, message) = api.post_json(&path, &json!({"payload": 3})).await.refused(429);
    assert_eq!(code, "inbox_full");
    assert!(message.contains("3 events") && message.contains("inbox_events"), "{message}");
    let run = api.start_program(&services, block![event("go"), all("line")]).await;
    let path = format!("/_api/runs/{run}/events/line");
    api.send_event(&run, "line", &json!("x".repeat(60)), None).await;
    let (_, message) = api.post_json(&path, &json!({"payload": "x".repeat(60)})).await.refused(429);
    assert!(message.contains("inbox_bytes"), "{message}");
    api.send_event(&run, "go", &json!(1), None).await;
    assert_eq!(api.settled(&run).await["output"][1].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_program_with_events_is_rolled_back_as_any_other() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![reversible("tea"), event("go"), fail("no")]).await;
    api.send_event(&run, "go", &json!(1), None).await;
    assert_eq!(api.settled(&run).await["status"], "compensated");
}

async fn quick_to_evict() -> Host {
    let host = Host::builder().flag(["--evict-after", "1ms"]).start().await;
    host.api().deploy(&forge_tests::component("interpreter")).await;
    host
}

/// Runs futures in groups, so that the host has something else to do between them.
async fn join_in_groups<T>(futures: impl Iterator<Item = impl Future<Output = T>>, size: usize) -> Vec<T> {
    let mut futures: Vec<_> = futures.collect();
    let mut done = Vec::new();
    while !futures.is_empty() {
        let group: Vec<_> = futures.drain(..futures.len().min(size)).collect();
        done.extend(join_all(group).await);
    }
    done
}
