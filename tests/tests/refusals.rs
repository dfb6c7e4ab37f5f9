//! What is refused, with an error that says what to do, and leaves the host unharmed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Host, HostBuilder, Services, component, components, example};
use reqwest::Method;
use serde_json::json;

/// Checks that an upload is refused with these words.
async fn refused(host: &Host, upload: &[u8], words: &str) {
    let (code, message) = host.api().upload(upload).await.refused(422);
    assert_eq!(code, "invalid_component");
    assert!(message.contains(words), "`{words}` is not in: {message}");
    assert_eq!(host.api().health().await["status"], "ok");
}

#[tokio::test]
async fn what_is_no_workflow_component_is_refused_with_its_reason() {
    let host = Host::start().await;
    refused(&host, b"hello", "no WebAssembly: upload the file that `forge build` writes").await;
    refused(&host, b"", "no WebAssembly").await;
    refused(&host, &components::core_module(), "a core module, not a component").await;
    refused(&host, &components::importing_wasi(), "imports `wasi:clocks/").await;
    refused(&host, &components::of_another_version(), "this host has 0.1.0").await;
    refused(&host, &components::describing(&[]), "no workflows: name them in `forge::export!").await;
    refused(
        &host,
        &components::describing(&[("twice", 1), ("twice", 1)]),
        "version 1 of workflow `twice` twice",
    )
    .await;
    refused(&host, &components::describing(&[("9lives", 1)]), "`9lives` is no name").await;
    refused(&host, &components::describing_nothing(), "`describe` failed").await;
    refused(&host, &components::describing_forever(), "out of fuel").await;
    assert_eq!(host.api().get("/_api/workflows").await.ok()["workflows"], json!([]));
}

#[tokio::test]
async fn a_truncated_component_is_refused_wherever_it_is_cut() {
    let host = Host::start().await;
    let whole = component("greeting");
    for part in [9, 100, whole.len() / 2, whole.len() - 1] {
        let (code, _) = host.api().upload(&whole[..part]).await.refused(422);
        assert_eq!(code, "invalid_component", "cut at {part}");
    }
    host.api().deploy(&whole).await;
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused() {
    let host = Host::builder().flag(["--module-size", "64KiB"]).start().await;
    let (_, message) = host.api().upload(&vec![0; 65_537]).await.refused(413);
    assert!(message.contains("65536") || message.contains("64 KiB"), "{message}");
    let request = host.api().request(Method::POST, "/_api/workflows").await;
    let answer = request.header("content-type", "text/plain").body("x").send().await.unwrap();
    assert_eq!(answer.status(), 415);
}

#[tokio::test]
async fn starts_that_cannot_be_are_refused_and_start_nothing() {
    let host = Host::start().await;
    let api = host.api();
    api.deploy(&component("greeting")).await;
    let unknown = api.try_start("greetings", &json!({"input": "x"})).await.refused(404);
    assert_eq!(unknown.0, "unknown_workflow");
    assert!(unknown.1.contains("there is no workflow `greetings`; there are: greeting"), "{}", unknown.1);
    let unknown = api.try_start("greeting", &json!({"input": "x", "version": 9})).await.refused(404);
    assert_eq!(
        unknown,
        ("unknown_version".into(), "workflow `greeting` has no version 9; there are: 3, 2, 1".into())
    );
    let misspelt = api.try_start("greeting", &json!({"inputs": "x"})).await.refused(400);
    assert!(misspelt.1.contains("inputs"), "{}", misspelt.1);
    let request = api.request(Method::POST, "/_api/workflows/greeting/start").await;
    let answer = request.header("content-type", "application/json").body("{no json").send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let large = "x".repeat((1 << 20) + 1);
    api.try_start("greeting", &json!({ "input": large })).await.refused(413);
    assert_eq!(api.get("/_api/runs").await.ok()["runs"], json!([]));
}

#[tokio::test]
async fn an_input_that_does_not_fit_fails_the_run_and_says_where() {
    let host = Host::start().await;
    host.api().deploy(&component("greeting")).await;
    let run = host.api().start("greeting", json!({"name": 5})).await;
    let record = host.api().settled(&run).await;
    assert_eq!((&record["status"], &record["error_kind"]), (&json!("failed"), &json!("invalid-input")));
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("input of `greeting` version 3 does not fit `String`"), "{error}");
}

#[tokio::test]
async fn unknown_runs_and_bad_questions_are_refused() {
    let host = Host::start().await;
    let api = host.api();
    let nobody = "0190aaaa-0000-7000-8000-000000000000";
    for path in [format!("/_api/runs/{nobody}"), format!("/_api/runs/{nobody}/steps")] {
        assert_eq!(api.get(&path).await.refused(404).0, "unknown_run");
    }
    for action in ["cancel", "resume", "pause"] {
        assert_eq!(api.post(&format!("/_api/runs/{nobody}/{action}")).await.refused(404).0, "unknown_run");
    }
    api.get("/_api/runs/not-a-uuid").await.refused(400);
    api.get("/_api/runs?status=asleep").await.refused(400);
    api.get("/_api/runs?wait=1").await.refused(400);
    api.get(&format!("/_api/runs/{nobody}?wait=forever")).await.refused(400);
    api.get("/_api/nothing").await.refused(404);
    api.post("/_api/health").await.refused(405);
}

#[tokio::test]
async fn a_second_host_on_the_same_database_is_refused() {
    let host = Host::start().await;
    let url = format!("sqlite:{}", host.database_file().display());
    let cli = forge_tests::Cli::default();
    let said = cli.run(["serve", "--listen", "127.0.0.1:0", "--database", &url]).await.failed(1);
    let owner = format!("is in use by another forge process (pid {})", host.pid());
    assert!(said.contains(&owner), "{said}");
    assert_eq!(host.api().health().await["status"], "ok");
}

#[tokio::test]
async fn a_database_from_a_newer_version_is_refused_and_untouched() {
    let mut host = Host::start().await;
    host.terminate().await;
    let mut database = host.database().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'from the future', 1, x'00', 0)";
    database.change(sqlx::query(newer)).await;
    database.close().await;
    let url = format!("sqlite:{}", host.database_file().display());
    let cli = forge_tests::Cli::default();
    let said = cli.run(["serve", "--listen", "127.0.0.1:0", "--database", &url]).await.failed(1);
    assert!(said.contains("written by a newer version of Forge (schema version 9000"), "{said}");
}

#[tokio::test]
async fn a_host_that_cannot_open_its_database_says_why() {
    let cli = forge_tests::Cli::default();
    let said = cli.run(["serve", "--database", "sqlite:/no/such/folder/forge.db"]).await.failed(1);
    assert!(said.contains("there is no folder /no/such/folder"), "{said}");
    let said = cli.run(["serve", "--database", "mysql://x"]).await;
    assert!(said.code != 0 && said.stderr.contains("use sqlite:PATH"), "{said:?}");
}

#[tokio::test]
async fn a_refused_upload_disturbs_no_run() {
    let services = Services::start().await;
    let host = HostBuilder::default().start().await;
    let api = host.api();
    api.deploy(&example("payment")).await;
    let input = json!({
        "services": services.url(), "card_token": "tok_visa", "email": "ada@example.com",
        "items": [{"sku": "dripper-v60-02", "quantity": 1}],
    });
    services.hold("/payments/charges");
    let run = api.start("payment_workflow", input).await;
    services.until_held("/payments/charges").await;
    refused(&host, &components::describing_forever(), "out of fuel").await;
    services.release("/payments/charges");
    assert_eq!(api.settled(&run).await["status"], "completed");
}
