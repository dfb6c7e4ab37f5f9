//! Sending a verification link, with the low-level step API.
//!
//! Shows a workflow that does itself what the fluent API does: it checks which steps have completed, records
//! the start and the end of each step, and retries in a loop with durable waits. `Uuid::new_v4()` returns the
//! same value on every replay, and `tokio::time::sleep` is a durable timer. The token is kept in the tenant's
//! store, `ctx.db()`.
//!
//! ```console
//! $ cargo run -p forge-example-services &      # the services that the workflow calls
//! $ forge serve &
//! $ forge build examples/verification
//! $ forge deploy examples/verification
//! $ forge start verification_workflow --input @examples/verification/input.json --wait
//! ```

mod services;

use forge::prelude::*;
use serde::{Deserialize, Serialize};

use services::{send_verification_email, store_token_in_db};

/// The address to verify.
#[derive(Debug, Deserialize, Serialize)]
pub struct VerificationInput {
    /// The address.
    pub email: String,
    /// The base URL of the services.
    #[serde(default = "services::default_url")]
    pub services: String,
}

/// The result of sending the link.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub struct VerificationOutput {
    /// The token in the link.
    pub token: String,
    /// Whether the user has followed the link. Always `false` when the workflow ends.
    pub verified: bool,
}

/// Generates a token, stores it and sends a link with it.
#[forge::workflow]
pub async fn verification_workflow(
    ctx: &WorkflowContext,
    input: VerificationInput,
) -> Result<VerificationOutput> {
    services::set_url(&input.services);

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
                Err(_) if attempts < 3 => {
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

forge::export!(VerificationWorkflow);

#[cfg(test)]
mod tests {
    use forge::testing::{StepStatus, TestResponse, TestRun};

    use super::*;

    fn ada() -> VerificationInput {
        VerificationInput { email: "ada@example.com".to_owned(), services: "http://shop".to_owned() }
    }

    fn run() -> TestRun<VerificationWorkflow> {
        TestRun::new(VerificationWorkflow).http(|_| TestResponse::status(200))
    }

    #[test]
    fn the_token_is_stored_and_mailed() {
        let run = run().run(ada());
        let token = &run.output().token;
        assert_eq!(run.db[&format!("tokens/{token}")], json!({ "verified": false }));
        let mail: serde_json::Value = run.requests[0].json();
        assert!(mail["body"].as_str().is_some_and(|body| body.contains(token)));
    }

    #[test]
    fn a_store_that_recovers_is_tried_again() {
        let run = run().fail_db(3, "not now").run(ada());
        assert_eq!((run.db.len(), run.elapsed), (1, Duration::from_secs(3)));
    }

    #[test]
    fn a_store_that_stays_down_fails_its_step_and_the_run() {
        let run = run().fail_db(4, "not now").run(ada());
        assert_eq!(run.failure().message, "not now");
        assert_eq!(run.step("store_token").status, StepStatus::Failed);
        assert!(run.requests.is_empty() && run.db.is_empty());
    }

    #[test]
    fn a_resumed_run_keeps_its_token() {
        let run = run().complete_step("generate_token", "verify_before").run(ada());
        assert_eq!(run.output().token, "verify_before");
        assert!(run.db.contains_key("tokens/verify_before"));
    }
}
