#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
#[name = "order"]
async fn one(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[name = "order"]
async fn other(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

forge::export!(OneWorkflow, OtherWorkflow);

fn main() {}
