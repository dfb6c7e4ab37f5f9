//! Returns what it gets.

use forge::prelude::*;
use forge::serde_json::Value;

/// Returns the input, which is also the result of the step `repeat`.
#[forge::workflow]
pub async fn echo(ctx: &WorkflowContext, input: Value) -> Result<Value> {
    ctx.step("repeat", || async { Ok(input.clone()) }).run().await
}

forge::export!(EchoWorkflow);
