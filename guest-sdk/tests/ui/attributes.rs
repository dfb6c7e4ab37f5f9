#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow(version = 2)]
async fn arguments(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[timout = "1h"]
async fn misspelt(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[deprecated = "use another"]
async fn deprecated_note(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[name = "1st order!"]
async fn name(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn _hidden(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
struct NoFunction;

fn main() {}
