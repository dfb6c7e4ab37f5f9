#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
fn order(ctx: &WorkflowContext, input: String) -> Result<String> {
    Ok(input)
}

fn main() {}
