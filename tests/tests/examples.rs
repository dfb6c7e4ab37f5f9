//! The spec's four workflows, as `examples/` has them, on the real host.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use forge_tests::{Host, Services, example};
use serde_json::{Value, json};

async fn run(example_name: &str, workflow: &str, input: Value) -> (Value, Services) {
    let host = Host::start().await;
    let services = Services::start().await;
    host.api().deploy(&example(example_name)).await;
    let mut input = input;
    input["services"] = services.url().into();
    let run = host.api().start(workflow, input).await;
    (host.api().settled(&run).await, services)
}

#[tokio::test]
async fn user_onboarding_version_1_runs() {
    let (record, services) =
        run("onboarding", "user_onboarding", json!({"user_id": "1", "email": "ada@example.com"})).await;
    assert_eq!((&record["status"], &record["version"]), (&json!("completed"), &json!(1)), "{record:#}");
    assert_eq!(services.performed(), ["create_user", "create_customer", "send_mail"]);
}

#[tokio::test]
async fn user_onboarding_version_2_runs() {
    let input = json!({"user_id": "1", "email": "ada@example.com", "plan": "pro"});
    let (record, services) = run("onboarding-v2", "user_onboarding", input).await;
    assert_eq!((&record["status"], &record["version"]), (&json!("completed"), &json!(2)), "{record:#}");
    assert_eq!(services.performed(), ["create_user", "create_customer", "send_mail", "verify_user"]);
}

#[tokio::test]
async fn payment_workflow_runs_and_rolls_back() {
    let order = json!({
        "card_token": "tok_visa", "email": "ada@example.com", "items": [{"sku": "dripper-v60-02", "quantity": 1}],
    });
    let (record, services) = run("payment", "payment_workflow", order.clone()).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(services.performed(), ["reserve_inventory", "charge_card", "send_mail"]);
    let keys: BTreeSet<_> = services.asked("charge_card").into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, [Some(format!("{}:1:0", record["id"].as_str().unwrap()))].into());

    let declined = json!({"card_token": "tok_declined", "email": order["email"], "items": order["items"]});
    let (record, services) = run("payment", "payment_workflow", declined).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert_eq!(services.performed(), ["reserve_inventory", "release_inventory"]);
}

#[tokio::test]
async fn verification_workflow_runs_with_the_low_level_api() {
    let (record, services) =
        run("verification", "verification_workflow", json!({"email": "ada@example.com"})).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    let token = record["output"]["token"].as_str().unwrap();
    assert!(token.starts_with("verify_") && token.len() == "verify_".len() + 36, "{token}");
    assert_eq!(record["step_results"]["generate_token"], token);
    assert_eq!(services.performed(), ["store_token", "send_mail"]);
}

#[tokio::test]
async fn verification_workflow_keeps_its_token_over_a_crash() {
    let mut host = Host::start().await;
    let services = Services::start().await;
    host.api().deploy(&example("verification")).await;
    services.hold("/mail");
    let run = host
        .api()
        .start("verification_workflow", json!({"email": "ada@example.com", "services": services.url()}))
        .await;
    services.until_held("/mail").await;
    let token = host.api().step(&run, "step", "generate_token").await["result"].clone();
    host.kill();
    services.release("/mail");
    host.restart().await;
    let record = host.api().settled(&run).await;
    assert_eq!((&record["status"], &record["output"]["token"]), (&json!("completed"), &token), "{record:#}");
    assert_eq!(services.asked("store_token").len(), 1, "a completed step does not run again");
}
