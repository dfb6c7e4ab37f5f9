#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
async fn none() -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn no_input(ctx: &WorkflowContext) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn too_many(ctx: &WorkflowContext, a: u8, b: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn no_context(a: u8, b: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn owned_context(ctx: WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
async fn mutable_context(ctx: &mut WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

struct Orders;

impl Orders {
    #[forge::workflow]
    async fn method(&self, ctx: &WorkflowContext, input: u8) -> Result<()> {
        Ok(())
    }
}

fn main() {}
