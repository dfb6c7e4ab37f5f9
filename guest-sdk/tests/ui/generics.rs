#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
async fn generic<T>(ctx: &WorkflowContext, input: T) -> Result<T> {
    Ok(input)
}

#[forge::workflow]
async unsafe fn dangerous(ctx: &WorkflowContext, input: u8) -> Result<()> {
    Ok(())
}

#[forge::workflow]
fn all_at_once<'a>(input: &'a str) -> &'a str {
    input
}

fn main() {}
