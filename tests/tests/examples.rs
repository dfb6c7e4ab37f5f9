//! The examples, for real: what a newcomer reads first does what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Host, Services, binary, component, example};
use reqwest::Method;
use serde_json::{Value, json};

/// The input that lies beside an example, for services that are elsewhere.
fn input(services: &Services, file: &str) -> Value {
    let mut input = input_of(file);
    input["services"] = json!(services.url());
    input
}

/// The input that lies beside an example.
fn input_of(file: &str) -> Value {
    let path = binary::root().join("examples").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Runs an example to its end.
async fn run(name: &str, workflow: &str, input: Value) -> Value {
    let host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
    let api = host.api();
    api.deploy(&example(name)).await;
    let run = api.start(workflow, input).await;
    api.settled(&run).await
}

#[tokio::test]
async fn a_payment_reserves_charges_and_confirms() {
    let services = Services::start().await;
    let record = run("payment", "payment_workflow", input(&services, "payment/input.json")).await;
    assert_eq!(record["output"], json!({"order_id": "ord_000001", "charge_id": "ch_000001"}), "{record:#}");
    assert_eq!(services.performed(), ["reserve_inventory", "charge_card", "send_mail"]);
}

#[tokio::test]
async fn a_payment_stands_although_the_mail_bounces() {
    let services = Services::start().await;
    let record = run("payment", "payment_workflow", input(&services, "payment/bounce.json")).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(services.performed(), ["reserve_inventory", "charge_card"]);
}

#[tokio::test]
async fn a_payment_that_must_be_confirmed_is_rolled_back_when_the_mail_bounces() {
    let services = Services::start().await;
    let before = services.inventory.stock("kettle-gooseneck-1l");
    let input = input(&services, "payment/bounce.json");
    let record = run("payment", "payment_with_confirmation", input).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert_eq!(
        services.performed(),
        ["reserve_inventory", "charge_card", "refund_charge", "release_inventory"]
    );
    assert_eq!(services.inventory.stock("kettle-gooseneck-1l"), before, "the items are back");
}

#[tokio::test]
async fn a_payment_with_a_card_that_is_declined_releases_the_reservation() {
    let services = Services::start().await;
    let mut input = input(&services, "payment/input.json");
    input["card_token"] = json!("tok_declined");
    let record = run("payment", "payment_workflow", input).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("compensated"), &json!("http")));
    assert!(record["error"].as_str().unwrap().contains("402"), "{record:#}");
    assert_eq!(services.performed(), ["reserve_inventory", "release_inventory"]);
}

#[tokio::test]
async fn onboarding_opens_accounts_and_says_hello() {
    let services = Services::start().await;
    let input = input(&services, "onboarding/input.json");
    let record = run("onboarding", "user_onboarding", input).await;
    let token = format!("welcome_{}", record["id"].as_str().unwrap());
    assert_eq!(record["output"], json!({"verified": false, "token": token}), "{record:#}");
    assert_eq!(services.performed(), ["create_user", "create_customer", "send_mail"]);
    assert!(services.mail.sent()[0].body.contains(&token));
}

#[tokio::test]
async fn onboarding_that_cannot_send_its_mail_deletes_the_accounts() {
    let services = Services::start().await;
    let mut input = input(&services, "onboarding/input.json");
    input["email"] = json!("bounce@example.com");
    let record = run("onboarding", "user_onboarding", input).await;
    assert_eq!(record["status"], "compensated", "{record:#}");
    assert_eq!(services.performed(), ["create_user", "create_customer", "delete_customer", "delete_user"]);
}

#[tokio::test]
async fn onboarding_version_2_knows_plans_and_verifies() {
    let services = Services::start().await;
    let input = input(&services, "onboarding-v2/input.json");
    let record = run("onboarding-v2", "user_onboarding", input).await;
    assert_eq!((&record["version"], &record["output"]["verified"]), (&json!(2), &json!(true)), "{record:#}");
    assert_eq!(services.performed(), ["create_user", "create_customer", "send_mail", "verify_user"]);
}

#[tokio::test]
async fn onboarding_version_2_takes_the_input_of_version_1() {
    let services = Services::start().await;
    let input = input(&services, "onboarding/input.json");
    let record = run("onboarding-v2", "user_onboarding", input).await;
    assert_eq!(record["output"]["customer_id"], Value::Null, "{record:#}");
    assert_eq!(services.performed(), ["create_user", "send_mail", "verify_user"]);
}

#[tokio::test]
async fn verification_stores_the_token_that_it_mails() {
    let services = Services::start().await;
    let input = input(&services, "verification/input.json");
    let record = run("verification", "verification_workflow", input).await;
    let token = record["output"]["token"].as_str().unwrap_or_else(|| panic!("{record:#}"));
    assert!(token.starts_with("verify_"), "{token}");
    assert_eq!(record["step_results"]["generate_token"], token);
    assert!(services.mail.sent()[0].body.contains(token));
}

#[tokio::test]
async fn verification_makes_the_same_token_after_a_kill() {
    let services = Services::start().await;
    let mut host = Host::start().await;
    let api = host.api();
    api.deploy(&example("verification")).await;
    services.hold("/mail");
    let run = api.start("verification_workflow", input(&services, "verification/input.json")).await;
    services.until_held("/mail").await;
    let token = api.record(&run).await["step_results"]["generate_token"].take();
    host.kill();
    host.restart().await;
    services.release("/mail");
    let record = api.settled(&run).await;
    assert_eq!(record["output"]["token"], token, "{record:#}");
    let stored = api.get(&format!("/_api/db/tokens/{}", token.as_str().unwrap())).await.ok();
    assert_eq!(stored, json!({ "verified": false }));
}

#[tokio::test]
async fn an_order_is_shipped_by_a_child_once_it_is_approved() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&example("approval")).await;
    api.send(Method::PUT, "/_api/db/stock/mug", Some(&json!(3))).await.ok();
    let run = api.start("approved_order", input_of("approval/input.json")).await;
    let record = api.until_status(&run, "waiting").await;
    assert_eq!(record["waits_for"][0]["name"], "approval", "{record:#}");
    api.send_event(&run, "approval", &json!({"by": "ada", "approved": true}), None).await;
    let record = api.settled(&run).await;
    assert_eq!(record["output"]["approved_by"], "ada", "{record:#}");
    let stored = api.get("/_api/db").await.ok();
    let stored: Vec<_> =
        stored["entries"].as_array().unwrap().iter().map(|entry| (&entry["key"], &entry["value"])).collect();
    let shipped = json!(format!("shipped/{run}"));
    let mugs = json!({"sku": "mug", "quantity": 2});
    assert_eq!(stored, [(&shipped, &mugs), (&json!("stock/mug"), &json!(1))]);
}

#[tokio::test]
async fn an_order_that_nobody_approves_in_time_gives_its_units_back() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&example("approval")).await;
    api.send(Method::PUT, "/_api/db/stock/mug", Some(&json!(3))).await.ok();
    let mut input = input_of("approval/input.json");
    input["approve_within_ms"] = json!(50);
    let record = api.settled(&api.start("approved_order", input).await).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("compensated"), &json!("timeout")));
    assert_eq!(api.get("/_api/db/stock/mug").await.ok(), 3);
}

#[tokio::test]
async fn a_workflow_uses_the_crates_that_people_use() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&component("popular")).await;
    let run = api.start("popular", json!("sku,count\nlamp,2\nchair,1\nX-9,4\n")).await;
    let output = api.settled(&run).await["output"].take();
    assert_eq!((&output["total"], &output["articles"]), (&json!("7"), &json!("chair+lamp")), "{output:#}");
    assert_eq!(output["numbers"], json!([1, 2, 3, 4]));
    let random: std::collections::BTreeSet<&str> =
        output["random"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(random.len(), 3, "{output:#}");
}
