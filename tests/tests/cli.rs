//! The commands of `forge`, as a person and as a script use them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Cli, Host, Services, example};
use serde_json::{Value, json};
use tempfile::TempDir;

fn order(services: &Services, email: &str) -> String {
    json!({
        "services": services.url(), "card_token": "tok_visa", "email": email,
        "items": [{"sku": "dripper-v60-02", "quantity": 1}],
    })
    .to_string()
}

#[tokio::test]
async fn a_new_project_is_built_deployed_and_started() {
    let host = Host::start().await;
    let services = Services::start().await;
    let folder = TempDir::new().unwrap();
    let cli = Cli::default().server(&host.url()).folder(folder.path());
    cli.run(["new", "parcel-tracking"]).await.ok();
    let said = cli.run(["new", "parcel-tracking"]).await;
    assert!(
        said.code != 0 && said.stderr.contains("parcel-tracking"),
        "an existing folder is refused: {said:?}"
    );
    let built = cli.run(["build", "parcel-tracking", "-o", "parcel.wasm", "--json"]).await.json();
    assert!(folder.path().join("parcel.wasm").is_file(), "{built}");
    let deployed = cli.run(["deploy", "parcel.wasm", "--json"]).await.json();
    let workflow = deployed["workflows"][0]["name"].as_str().unwrap().to_owned();

    let mut input: Value = serde_json::from_str(
        &std::fs::read_to_string(folder.path().join("parcel-tracking/input.json")).unwrap(),
    )
    .unwrap();
    for value in input.as_object_mut().unwrap().values_mut() {
        if value.as_str().is_some_and(|text| text.starts_with("http://")) {
            *value = json!(services.url());
        }
    }
    let output = cli.run(["start", &workflow, "--input", &input.to_string(), "--wait", "--json"]).await;
    assert!(matches!(output.code, 0 | 3), "it runs to an end: {output:?}");
    let shown = cli.run(["workflows", &workflow]).await.ok();
    assert!(shown.contains("1        current  1h"), "{shown}");
}

#[tokio::test]
async fn exit_codes_say_how_it_went() {
    let host = Host::start().await;
    let services = Services::start().await;
    host.api().deploy(&example("payment")).await;
    let cli = host.cli();
    let (good, bad) = (order(&services, "ada@example.com"), order(&services, "bounce@example.com"));
    cli.run(["start", "payment_with_confirmation", "--input", &good, "--wait"]).await.ok();
    let said = cli.run(["start", "payment_with_confirmation", "--input", &bad, "--wait"]).await.failed(3);
    assert!(said.contains("rolled back") && said.contains("bounce@example.com does not exist"), "{said}");
    cli.run(["start", "refund"]).await.failed(4);
    cli.run(["start", "payment_workflow", "--input", "{"]).await.failed(2);
    cli.run(["start"]).await.failed(2);
    cli.run(["runs", "show", "0190aaaa-0000-7000-8000-000000000000"]).await.failed(4);
    let said = Cli::default().server("http://127.0.0.1:9").run(["runs"]).await.failed(5);
    assert!(said.contains("Is `forge serve` running there?"), "{said}");
}

#[tokio::test]
async fn runs_are_listed_shown_watched_and_steered() {
    let host = Host::start().await;
    let services = Services::start().await;
    host.api().deploy(&example("payment")).await;
    let cli = host.cli();
    services.hold("/payments/charges");
    let input = order(&services, "ada@example.com");
    let run = cli.run(["start", "payment_workflow", "--input", &input]).await.ok().trim().to_owned();
    services.until_held("/payments/charges").await;
    let shown = cli.run(["runs", "show", &run]).await.ok();
    assert!(shown.contains("charge_card") && shown.contains("running"), "{shown}");
    cli.run(["runs", "pause", &run]).await.ok();
    cli.run(["runs", "resume", &run]).await.ok();
    services.release("/payments/charges");
    let watched = cli.run(["runs", "watch", &run]).await.ok();
    assert!(watched.contains("payment_workflow v1: completed"), "{watched}");
    cli.run(["runs", "cancel", &run]).await.failed(6);

    let listed = cli.run(["runs", "--status", "completed", "--json"]).await.json();
    assert_eq!(listed["runs"][0]["id"], run.as_str());
    let shown = cli.run(["runs", "show", &run]).await.ok();
    for line in [
        "✔ payment_workflow v1  completed",
        "✔ reserve_inventory",
        "✔ charge_card",
        "payments/charges → 201",
        "output: ",
    ] {
        assert!(shown.contains(line), "`{line}` is not in:\n{shown}");
    }
}

#[tokio::test]
async fn errors_are_readable_in_the_record_the_api_and_the_cli() {
    let host = Host::start().await;
    let services = Services::start().await;
    let api = host.api();
    api.deploy(&example("payment")).await;
    // The confirmation of `payment_workflow` is optional: the run completes without it.
    let input: Value = serde_json::from_str(&order(&services, "bounce@example.com")).unwrap();
    let run = api.start("payment_workflow", input).await;
    assert_eq!(api.settled(&run).await["status"], "completed");
    let step = api.step(&run, "step", "send_confirmation").await;
    assert_eq!(
        (&step["status"], &step["optional"], &step["error_kind"]),
        (&json!("failed"), &json!(true), &json!("http"))
    );
    assert!(step["error"].as_str().unwrap().contains("answered 422 Unprocessable Entity"), "{step}");
    let shown = host.cli().run(["runs", "show", &run]).await.ok();
    assert!(
        shown.contains("✘ send_confirmation") && shown.contains("bounce@example.com does not exist"),
        "{shown}"
    );
}
