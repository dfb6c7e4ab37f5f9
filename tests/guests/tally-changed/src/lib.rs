//! Counts the same two things, in the other order, under the same name and version.

use forge::prelude::*;

/// Counts the saucers, waits for the gate, and counts the cups. The input is where the services are.
#[forge::workflow]
pub async fn tally(ctx: &WorkflowContext, services: String) -> Result<String> {
    ctx.step("count_saucers", || count(&services, "saucers")).run().await?;
    forge::http::post(format!("{services}/gate/tally")).send().await?.error_for_status()?;
    ctx.step("count_cups", || count(&services, "cups")).run().await?;
    Ok("saucers, then cups".to_owned())
}

async fn count(services: &str, what: &str) -> Result<()> {
    forge::http::post(format!("{services}/effects/{what}")).send().await?.error_for_status()?;
    Ok(())
}

forge::export!(TallyWorkflow);
