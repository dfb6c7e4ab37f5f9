//! The low-level step API, with the specification's own example.
#![allow(missing_docs)]
// The lint is for the host. In a component, `Uuid::new_v4` is deterministic.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use forge::prelude::*;
use forge::testing::{StepStatus, TestResponse, TestRun};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct VerificationInput {
    email: String,
}

#[derive(Debug, Serialize)]
pub struct VerificationOutput {
    token: String,
    verified: bool,
}

async fn store_token_in_db(db: &Db, token: &str) -> Result<()> {
    db.put(format!("tokens/{token}"), &json!({ "verified": false })).await?;
    Ok(())
}

async fn send_verification_email(email: &str, token: &str) -> Result<()> {
    let mail = json!({ "to": email, "token": token });
    forge::http::post("http://mail/send").json(&mail).send().await?.error_for_status()?;
    Ok(())
}

// Verbatim from the specification, hence its unused variable.
#[allow(unused_variables)]
#[rustfmt::skip]
#[forge::workflow]
pub async fn verification_workflow(
    ctx: &WorkflowContext,
    input: VerificationInput,
) -> Result<VerificationOutput> {
    // Step 1: Generate token (with resume support)
    let token = if ctx.is_step_completed("generate_token") {
        // Workflow was resumed - use cached result
        ctx.get_step_result::<String>("generate_token")
            .unwrap_or_else(|| format!("verify_{}", Uuid::new_v4()))
    } else {
        ctx.record_step_start("generate_token");

        let token = format!("verify_{}", Uuid::new_v4());

        ctx.record_step_complete("generate_token", serde_json::json!(token));
        token
    };

    // Step 2: Store token (with manual retry)
    if !ctx.is_step_completed("store_token") {
        ctx.record_step_start("store_token");

        let mut attempts = 0;
        loop {
            match store_token_in_db(ctx.db(), &token).await {
                Ok(_) => break,
                Err(e) if attempts < 3 => {
                    attempts += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(e) => {
                    ctx.record_step_failure("store_token", e.to_string());
                    return Err(e);
                }
            }
        }

        ctx.record_step_complete("store_token", serde_json::json!({"stored": true}));
    }

    // Step 3: Send email
    if !ctx.is_step_completed("send_email") {
        ctx.record_step_start("send_email");

        send_verification_email(&input.email, &token).await?;

        ctx.record_step_complete("send_email", serde_json::json!({"sent": true}));
    }

    Ok(VerificationOutput { token, verified: false })
}

const INPUT: &str = r#"{"email": "mia@example.com"}"#;

fn input() -> serde_json::Value {
    serde_json::from_str(INPUT).unwrap()
}

#[test]
fn calls_belong_to_the_step_that_was_started() {
    let run = TestRun::new(VerificationWorkflow).http(|_| TestResponse::status(200)).run(input());
    let output = run.output();
    assert!(output.token.starts_with("verify_") && !output.verified);
    let by: Vec<_> = run.requests.iter().map(|request| request.step.as_deref().unwrap()).collect();
    assert_eq!(by, ["send_email"]);
    assert_eq!(run.db, BTreeMap::from([(format!("tokens/{}", output.token), json!({ "verified": false }))]));
    assert!(run.steps.iter().all(|step| step.status == StepStatus::Completed));
    assert_eq!(run.step("store_token").result, Some(json!({"stored": true})));
}

#[test]
fn a_resumed_workflow_skips_what_is_recorded() {
    let run = TestRun::new(VerificationWorkflow)
        .complete_step("generate_token", "verify_1")
        .complete_step("store_token", json!({"stored": true}))
        .http(|_| TestResponse::status(200))
        .run(input());
    assert_eq!(run.output().token, "verify_1");
    assert_eq!(run.requests.len(), 1);
    assert_eq!(
        run.requests[0].json::<serde_json::Value>(),
        json!({"to": "mia@example.com", "token": "verify_1"})
    );
}

#[test]
fn the_manual_retry_waits_durably_and_gives_up() {
    let run = TestRun::new(VerificationWorkflow).fail_db(4, "the store is full").run(input());
    assert_eq!(run.failure().message, "the store is full");
    assert_eq!((run.db.len(), run.elapsed), (0, Duration::from_secs(3)));
    assert_eq!(run.step("store_token").status, StepStatus::Failed);
}

#[forge::workflow]
async fn nested(ctx: &WorkflowContext, _input: ()) -> Result<Option<u8>> {
    ctx.step("outer", || async {
        ctx.record_step_start("inner");
        forge::http::get("http://inner").send().await?;
        ctx.record_step_complete("inner", json!(300));
        forge::http::get("http://outer").send().await?;
        Ok(())
    })
    .run()
    .await?;
    forge::http::get("http://body").send().await?;
    Ok(ctx.get_step_result("inner"))
}

#[test]
fn a_manual_step_ends_where_it_is_completed() {
    let run = TestRun::new(NestedWorkflow).http(|_| TestResponse::status(200)).run(());
    let by: Vec<_> = run.requests.iter().map(|request| request.step.as_deref()).collect();
    assert_eq!(by, [Some("inner"), Some("outer"), None]);
    assert_eq!(*run.output(), None, "300 is not a u8");
}

#[forge::workflow]
async fn unstarted(ctx: &WorkflowContext, _input: ()) -> Result<bool> {
    ctx.record_step_complete("done", json!(1));
    ctx.record_step_failure("failed", anyhow!("why"));
    Ok(ctx.is_step_completed("done") && !ctx.is_step_completed("failed") && !ctx.is_step_completed("never"))
}

#[test]
fn a_step_that_was_never_started_can_be_ended() {
    let run = TestRun::new(UnstartedWorkflow).run(());
    assert!(run.output());
    assert_eq!(run.step("failed").error, Some(Failure::new("error", "why")));
}
