//! Secrets: workflows use them and never have them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Statement, block};
use forge_tests::{Host, Services, component};
use serde_json::json;

const VALUE: &str = "sk_live_51Hq0sVerySecretValue";

fn get(path: &str, header: &str) -> Statement {
    Statement::GetWith(path.to_owned(), ("x-test".to_owned(), header.to_owned()))
}

#[tokio::test]
async fn a_secret_reaches_its_server_and_nothing_else() {
    let services = Services::start().await;
    let keys = Host::start().await.cli().run(["secrets", "generate-key"]).await.ok();
    let mut host = Host::builder().variable("FORGE_SECRETS_KEY", keys.trim()).start().await;
    let api = host.api();
    api.deploy(&component("interpreter")).await;
    let set = ["secrets", "set", "STRIPE_KEY", "--server-rule", services.url()];
    host.cli().stdin(&format!("{VALUE}\n")).run(set).await.ok();
    let run = api.start_program(&services, block![get("/headers", "Bearer {{secret:STRIPE_KEY}}")]).await;
    let record = api.settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(services.echoed()[0]["x-test"], format!("Bearer {VALUE}"), "the server has it");
    let steps = api.steps(&run).await;
    for (what, text) in [
        ("the record", record.to_string()),
        ("the journal", json!(steps).to_string()),
        ("the list of secrets", host.cli().run(["secrets", "list", "--json"]).await.ok()),
        ("the audit log", api.get("/_api/audit").await.ok().to_string()),
        ("the host's log", host.log()),
    ] {
        assert!(!text.contains(VALUE), "{what} has it: {text}");
    }
    assert!(json!(steps).to_string().contains("[secret:STRIPE_KEY]"), "{steps:#?}");

    let nowhere = api.start_program(&services, block![get("/headers", "{{secret:OTHER}}")]).await;
    let record = api.settled(&nowhere).await;
    assert_eq!(record["error_kind"], "denied", "{record:#}");
    let elsewhere = ["secrets", "set", "STRIPE_KEY", "--server-rule", "https://api.stripe.com"];
    host.cli().stdin(VALUE).run(elsewhere).await.ok();
    let run = api.start_program(&services, block![get("/headers", "{{secret:STRIPE_KEY}}")]).await;
    let record = api.settled(&run).await;
    assert_eq!(record["error_kind"], "denied", "{record:#}");
    assert!(record["error"].as_str().unwrap().contains("STRIPE_KEY"), "{record:#}");
    assert_eq!(services.echoed().len(), 1, "nobody else was asked");

    let database = host.database_file();
    host.terminate().await;
    for file in [database.clone(), database.with_extension("db-wal")] {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        assert!(
            !bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()),
            "{} has it",
            file.display()
        );
    }
}

#[tokio::test]
async fn a_secret_is_never_in_the_memory_of_a_workflow() {
    let services = Services::start().await;
    let keys = forge_tests::Cli::default().run(["secrets", "generate-key"]).await.ok();
    let host = Host::builder().variable("FORGE_SECRETS_KEY", keys.trim()).start().await;
    host.api().deploy(&component("hostile")).await;
    host.cli().stdin(VALUE).run(["secrets", "set", "STRIPE_KEY", "--server-rule", services.url()]).await.ok();
    let backwards: String = VALUE.chars().rev().collect();
    let run = host.api().start("look_for_a_secret", json!(format!("{} {backwards}", services.url()))).await;
    let record = host.api().settled(&run).await;
    assert_eq!(services.echoed()[0]["x-test"], format!("Bearer {VALUE}"), "the server has it");
    assert_eq!(record["output"][0], 0, "{record:#}");
    assert!(record["output"][1].as_u64().unwrap() > 0, "what stands in its place is found: {record:#}");
}

#[tokio::test]
async fn keys_are_rotated_and_a_secret_without_its_key_is_denied() {
    let services = Services::start().await;
    let cli = forge_tests::Cli::default();
    let [old, new] =
        [cli.run(["secrets", "generate-key"]).await.ok(), cli.run(["secrets", "generate-key"]).await.ok()];
    let (old, new) = (old.trim().to_owned(), new.trim().to_owned());
    let start = async |folder: Option<tempfile::TempDir>, keys: &str| {
        let builder = Host::builder().variable("FORGE_SECRETS_KEY", keys);
        match folder {
            Some(folder) => builder.folder(folder).start().await,
            None => builder.start().await,
        }
    };
    let uses_it = async |host: &Host| {
        let run = host.api().start_program(&services, block![get("/headers", "{{secret:KEY}}")]).await;
        host.api().settled(&run).await["status"] == "completed"
    };
    let mut host = start(None, &old).await;
    host.api().deploy(&component("interpreter")).await;
    host.cli().stdin(VALUE).run(["secrets", "set", "KEY", "--server-rule", services.url()]).await.ok();
    assert!(uses_it(&host).await);
    host.terminate().await;
    let mut host = start(Some(host.into_folder()), &format!("{new},{old}")).await;
    assert!(uses_it(&host).await);
    let resealed = host.cli().run(["secrets", "reseal", "--json"]).await.json();
    assert_eq!(resealed["resealed"], 1);
    assert_eq!(host.cli().run(["secrets", "reseal", "--json"]).await.json()["resealed"], 0);
    host.terminate().await;
    let mut host = start(Some(host.into_folder()), &new).await;
    assert!(uses_it(&host).await, "the old key is not needed any more");
    host.terminate().await;
    let host = start(Some(host.into_folder()), &old).await;
    assert!(!uses_it(&host).await, "the new one is");
    assert!(host.log().contains("a secret cannot be decrypted"), "{}", host.log());
    let error = host
        .cli()
        .stdin("short")
        .run(["secrets", "set", "S", "--server-rule", "https://a.example"])
        .await
        .failed(1);
    assert!(error.contains("fewer than 8"), "{error}");
}

#[tokio::test]
async fn without_a_key_there_are_no_secrets_and_the_error_says_how_to_make_one() {
    let host = Host::start().await;
    let set = ["secrets", "set", "KEY", "--server-rule", "https://a.example"];
    let error = host.cli().stdin(VALUE).run(set).await.failed(6);
    assert!(error.contains("forge secrets generate-key"), "{error}");
    let refused = Host::builder().variable("FORGE_SECRETS_KEY", "not a key").try_start().await.err().unwrap();
    assert!(
        refused.log.contains("32 bytes in base64") && !refused.log.contains("not a key"),
        "{}",
        refused.log
    );
}
