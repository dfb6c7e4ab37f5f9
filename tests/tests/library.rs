//! The host as a library: what the spec calls `WorkflowExecutor` and `WorkflowRegistry`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use forge_example_services::{Services, serve};
use forge_host::config::{Config, Database, Limits};
use forge_host::executor::{ExecutorError, WorkflowExecutor};
use forge_host::journal::{StepStatus, WorkflowStatus};
use forge_host::registry::RegistryError;
use forge_tests::example;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

struct Embedded {
    executor: WorkflowExecutor,
    services: String,
    directory: TempDir,
}

async fn embedded() -> Embedded {
    embedded_with(|_| {}).await
}

async fn embedded_with(change: impl FnOnce(&mut Limits)) -> Embedded {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let services = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, Services::default()));
    let directory = tempfile::tempdir().unwrap();
    let executor = open_with(&directory, change).await;
    executor.registry().register(example("payment").to_vec()).await.unwrap();
    executor.registry().register(example("onboarding").to_vec()).await.unwrap();
    Embedded { executor, services, directory }
}

async fn open_with(directory: &TempDir, change: impl FnOnce(&mut Limits)) -> WorkflowExecutor {
    let mut config = Config::new(Database::Sqlite(directory.path().join("forge.db")));
    change(&mut config.limits);
    WorkflowExecutor::open(config).await.unwrap()
}

impl Embedded {
    fn payment(&self) -> Value {
        json!({
            "services": self.services, "card_token": "tok_visa", "email": "ada@example.com",
            "items": [{"sku": "dripper-v60-02", "quantity": 1}],
        })
    }

    fn sleeper(&self) -> Value {
        json!({
            "services": self.services, "user_id": "1", "email": "ada@example.com",
            "welcome_after_seconds": 3_600,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_and_its_record_says_how_it_went() {
    let embedded = embedded().await;
    let run = embedded.executor.start("payment_workflow", embedded.payment()).await.unwrap();
    let record = embedded.executor.wait(run, PATIENCE).await.unwrap();
    assert_eq!(record.status, WorkflowStatus::Completed, "{:?}", record.error);
    assert_eq!(record.output.as_ref().unwrap().value()["order_id"], "ord_000001");
    assert_eq!(record.step_results["charge_card"].value()["charge_id"], "ch_000001");
    assert_eq!(embedded.executor.status(run).await.unwrap(), record);
    let cancelled = embedded.executor.cancel(run).await;
    assert!(matches!(cancelled, Err(ExecutorError::Conflict { status: WorkflowStatus::Completed, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_run_is_paused_resumed_and_cancelled() {
    let embedded = embedded().await;
    let executor = &embedded.executor;
    let run = executor.start("user_onboarding", embedded.sleeper()).await.unwrap();
    executor.pause(run).await.unwrap();
    assert_eq!(executor.status(run).await.unwrap().status, WorkflowStatus::Paused);
    executor.resume(run).await.unwrap();
    executor.cancel(run).await.unwrap();
    let record = executor.wait(run, PATIENCE).await.unwrap();
    assert_eq!(record.status, WorkflowStatus::Compensated);
    assert_eq!(record.error_kind.as_deref(), Some("cancelled"));
    let steps = executor.steps(run).await.unwrap();
    assert!(steps.iter().all(|step| step.status != StepStatus::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_names_what_there_is() {
    let embedded = embedded().await;
    let registry = embedded.executor.registry();
    let info = registry.get("payment_workflow").await.unwrap();
    assert_eq!((info.version, info.deprecated, info.timeout_ms), (1, false, 86_400_000));
    assert_eq!(registry.get_version("payment_workflow", 1).await.unwrap(), info);
    let unknown = registry.get_version("payment_workflow", 7).await;
    assert!(matches!(unknown, Err(RegistryError::UnknownVersion { version: 7, .. })));
    let unknown = embedded.executor.start("refund", json!({})).await.unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no workflow `refund`; there are: payment_with_confirmation, payment_workflow, user_onboarding"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_was_shut_down_takes_nothing_and_leaves_runs_to_the_next() {
    let embedded = embedded().await;
    let run = embedded.executor.start("user_onboarding", embedded.sleeper()).await.unwrap();
    embedded.executor.shutdown(Duration::from_secs(5)).await;
    let refused = embedded.executor.start("user_onboarding", embedded.sleeper()).await;
    assert!(matches!(refused, Err(ExecutorError::ShuttingDown)));
    let Embedded { executor, directory, .. } = embedded;
    drop(executor);

    let executor = open_with(&directory, |_| {}).await;
    executor.cancel(run).await.unwrap();
    let record = executor.wait(run, PATIENCE).await.unwrap();
    assert_eq!(record.status, WorkflowStatus::Compensated);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_beyond_the_places_in_memory_wait_and_sleepers_give_theirs_up() {
    let embedded = embedded_with(|limits| limits.live_instances = 1).await;
    let executor = &embedded.executor;
    let sleeper = executor.start("user_onboarding", embedded.sleeper()).await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(executor.start("payment_workflow", embedded.payment()).await.unwrap());
    }
    for run in runs {
        assert_eq!(executor.wait(run, PATIENCE).await.unwrap().status, WorkflowStatus::Completed);
    }
    assert_eq!(executor.status(sleeper).await.unwrap().status, WorkflowStatus::Waiting);
    executor.cancel(sleeper).await.unwrap();
    assert_eq!(executor.wait(sleeper, PATIENCE).await.unwrap().status, WorkflowStatus::Compensated);
}
