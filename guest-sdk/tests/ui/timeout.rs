#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
#[timeout = "2 weeks"]
async fn unit(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[timeout = "30"]
async fn no_unit(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[timeout = "30m1h"]
async fn order_of_units(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[timeout = "0s"]
async fn zero(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[timeout = 30]
async fn number(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[timeout("30s")]
async fn list(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

fn main() {}
