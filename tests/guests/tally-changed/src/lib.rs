//! The workflow of `tally` with the same name and version, but with its steps in the other order.

use forge::prelude::*;

/// Counts the saucers, waits for the gate, then counts the cups. The input is the base URL of the services.
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
