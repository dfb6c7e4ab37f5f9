#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
#[version = 0]
async fn zero(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[version = "1.2"]
async fn text(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[version = 99999999999]
async fn large(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[version = -1]
async fn negative(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[version]
async fn missing(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
#[version = 1]
#[version = 2]
async fn twice(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

fn main() {}
