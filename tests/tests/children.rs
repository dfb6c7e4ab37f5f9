//! Runs that start runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_tests::program::{Block, Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Api, Host, Services};
use serde_json::{Value, json};

fn child(body: Block) -> Statement {
    Statement::Child(body)
}

/// Returns the ids of the runs that a run has started.
async fn children(api: &Api, run: &str) -> Vec<String> {
    let steps = api.steps(run).await;
    steps.iter().filter_map(|step| step["child_run"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_parent_gets_the_output_of_its_child() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let run = api.start_program(&services, block![child(block![effect("pack"), Statement::Auth])]).await;
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(record["output"][0][0]["effect"], "pack");
    let children = children(&api, &run).await;
    let child = api.record(&children[0]).await;
    assert_eq!((&child["status"], &child["parent"]["run_id"]), (&json!("completed"), &json!(run)));
    assert_eq!(
        (child["tenant"].as_str(), child["output"].clone()),
        (record["tenant"].as_str(), record["output"][0].clone())
    );
}

#[tokio::test]
async fn a_child_is_started_once_and_none_is_orphaned_however_often_the_host_is_killed() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    services.slow_down(5);
    let grandchild = child(block![effect("leaf")]);
    let body = block![
        Statement::Children(5, block![effect("a"), grandchild, effect("b")]),
        Statement::Children(5, block![effect("c")]),
    ];
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(host.api().start_program(&services, body.clone()).await);
    }
    for pause in [10_u64, 20, 30, 40, 60, 80, 100] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        host.kill();
        host.restart().await;
    }
    let api = host.api();
    for run in &runs {
        let record = api.settled(run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(children(&api, run).await.len(), 10);
    }
    let mut database = host.database().await;
    let count: Vec<(i64,)> = database.rows("SELECT count(*) FROM forge_runs", &[]).await;
    assert_eq!(count[0].0, 4 * (1 + 5 + 5 + 5), "each child once");
    let unfinished: Vec<(i64,)> =
        database.rows("SELECT count(*) FROM forge_runs WHERE status <> 'completed'", &[]).await;
    assert_eq!(unfinished[0].0, 0);
}

#[tokio::test]
async fn the_failure_of_a_child_is_a_failure_of_its_call() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let failing = block![reversible("tea"), fail("sold out")];
    let run = api.start_program(&services, block![Statement::Try(block![child(failing)])]).await;
    let output = api.settled(&run).await["output"].take();
    let child = &children(&api, &run).await[0];
    let message = output[0]["failed"].as_str().unwrap();
    assert!(message.starts_with(&format!("run {child} failed (error): sold out")), "{message}");
    assert_eq!(output[0]["kind"], "child");
    assert_eq!(api.record(child).await["status"], "compensated");
}

#[tokio::test]
async fn each_attempt_of_a_step_starts_a_new_child() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    services.refuse("packing", 1);
    let mut packing = step("pack", block![child(block![effect("packing")])]);
    packing.retry = Some((3, 1));
    let run = api.start_program(&services, block![packing]).await;
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(children(&api, &run).await.len(), 2);
}

#[tokio::test]
async fn a_run_that_is_cancelled_rolls_its_children_back_before_itself() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let body = block![
        reversible("parent"),
        child(block![
            reversible("child"),
            child(block![reversible("grandchild"), Statement::Event("never".to_owned(), None)])
        ]),
    ];
    let run = api.start_program(&services, body).await;
    services.until_asked("grandchild", 1).await;
    api.cancel(&run).await.ok();
    let record = api.settled(&run).await;
    assert_eq!(
        (&record["status"], &record["error_kind"]),
        (&json!("compensated"), &json!("cancelled")),
        "{record:#}"
    );
    let child = &children(&api, &run).await[0];
    let record = api.record(child).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert_eq!(undone(&services), ["undo-grandchild", "undo-child", "undo-parent"]);
}

#[tokio::test]
async fn a_run_that_fails_beside_its_child_rolls_the_child_back_first() {
    let (mut host, services) = (Host::with_interpreter().await, Services::start().await);
    let long = child(block![reversible("child"), gate("child")]);
    let body = block![reversible("parent"), Statement::Join(vec![block![long], block![effect("other")]]),];
    // The branch that fails ends the join only at the end, so the failure is that of a race.
    let racing = block![
        reversible("parent"),
        Statement::Race(vec![
            block![child(block![reversible("child"), Statement::Event("never".to_owned(), None)])],
            block![Statement::Event("fail".to_owned(), None), fail("it fails")],
        ]),
    ];
    drop(body);
    let run = host.api().start_program(&services, racing).await;
    services.until_asked("child", 1).await;
    host.api().send_event(&run, "fail", &json!(1), None).await;
    host.kill();
    host.restart().await;
    let api = host.api();
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert_eq!(record["error"].as_str().unwrap(), "it fails");
    let child = &children(&api, &run).await[0];
    assert_eq!(api.settled(child).await["status"], "compensated");
}

#[tokio::test]
async fn a_child_that_is_dropped_by_the_failure_of_its_parent_is_rolled_back_before_it() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    services.delay("undo-child", 1, 300);
    let waiting = block![reversible("child"), Statement::Event("never".to_owned(), None)];
    let failing = block![Statement::Event("fail".to_owned(), None), fail("it fails")];
    let run = api
        .start_program(&services, block![reversible("parent"), Statement::DropChild(waiting, failing)])
        .await;
    services.until_asked("child", 1).await;
    api.send_event(&run, "fail", &json!(1), None).await;
    assert_eq!(api.settled(&run).await["status"], "compensated");
    assert_eq!(undone(&services), ["undo-child", "undo-parent"]);
}

#[tokio::test]
async fn a_child_whose_handle_is_dropped_is_cancelled_and_a_detached_run_goes_on() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let waiting = block![reversible("kept"), Statement::Event("go".to_owned(), None)];
    let body = block![
        Statement::DropChild(
            block![reversible("dropped"), Statement::Event("never".to_owned(), None)],
            block![effect("beside")]
        ),
        Statement::Detach(waiting),
        fail("and so it ends"),
    ];
    let run = api.start_program(&services, body).await;
    assert_eq!(api.settled(&run).await["status"], "failed");
    let children = children(&api, &run).await;
    let detached = api.steps(&run).await;
    let detached =
        detached.iter().find(|step| step["kind"] == "start").unwrap()["result"].as_str().unwrap().to_owned();
    assert_eq!(api.settled(&children[0]).await["status"], "compensated");
    api.until_status(&detached, "waiting").await;
    api.send_event(&detached, "go", &json!(1), None).await;
    assert_eq!(api.settled(&detached).await["status"], "completed");
    assert_eq!(api.record(&detached).await["parent"]["attached"], false);
}

#[tokio::test]
async fn a_parent_that_times_out_or_is_terminated_cancels_its_children() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let waiting = block![reversible("child"), Statement::Event("never".to_owned(), None)];
    let run = api.start("hasty_program", services.program(block![child(waiting.clone())])).await;
    let other = api.start_program(&services, block![child(waiting)]).await;
    let other_child = loop {
        if let [child] = children(&api, &other).await.as_slice() {
            break child.clone();
        }
    };
    api.until_status(&other_child, "waiting").await;
    api.terminate(&other).await.ok();
    assert_eq!(api.settled(&other_child).await["status"], "compensated");
    let record = api.settled(&run).await;
    assert_eq!(
        (&record["status"], &record["error_kind"]),
        (&json!("failed"), &json!("timeout")),
        "{record:#}"
    );
    let child = &children(&api, &run).await[0];
    assert_eq!(api.record(child).await["status"], "compensated");
}

#[tokio::test]
async fn a_workflow_that_starts_itself_is_stopped_by_the_depth() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let mut body = block![effect("deepest")];
    for _ in 0..17 {
        body = block![Statement::Try(block![child(body)])];
    }
    let run = api.start_program(&services, body).await;
    let output = api.settled(&run).await["output"].to_string();
    assert!(output.contains("child_depth"), "{output}");
    let mut database = host.database().await;
    let count: Vec<(i64,)> = database.rows("SELECT count(*) FROM forge_runs", &[]).await;
    assert_eq!(count[0].0, 17);
}

#[tokio::test]
async fn a_child_of_an_unknown_workflow_fails_the_call() {
    let (host, services) = (Host::with_interpreter().await, Services::start().await);
    let api = host.api();
    let unknown = Statement::ChildOf("nothing".to_owned(), Value::Null, None);
    let hasty = Statement::ChildOf(
        "program".to_owned(),
        services.program(block![Statement::Event("never".to_owned(), None)]),
        Some(50),
    );
    let body = block![Statement::Try(block![unknown]), Statement::Try(block![hasty])];
    let run = api.start_program(&services, body).await;
    let output = api.settled(&run).await["output"].take();
    assert!(output[0]["failed"].as_str().unwrap().contains("nothing"), "{output}");
    assert!(output[1]["failed"].as_str().unwrap().contains("failed (timeout)"), "{output}");
}

/// Returns the compensations that the services have performed, in order.
fn undone(services: &Services) -> Vec<String> {
    let entries = services.ledger.entries();
    let undone = entries.iter().filter(|entry| entry.performed && entry.effect.starts_with("undo-"));
    undone.map(|entry| entry.effect.clone()).collect()
}
