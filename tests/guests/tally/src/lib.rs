//! Counts two things in sequence.

use forge::prelude::*;

/// Counts the cups, waits for the gate, then counts the saucers. The input is the base URL of the services.
#[forge::workflow]
pub async fn tally(ctx: &WorkflowContext, services: String) -> Result<String> {
    ctx.step("count_cups", || count(&services, "cups")).run().await?;
    forge::http::post(format!("{services}/gate/tally")).send().await?.error_for_status()?;
    ctx.step("count_saucers", || count(&services, "saucers")).run().await?;
    Ok("cups, then saucers".to_owned())
}

async fn count(services: &str, what: &str) -> Result<()> {
    forge::http::post(format!("{services}/effects/{what}")).send().await?.error_for_status()?;
    Ok(())
}

forge::export!(TallyWorkflow);
