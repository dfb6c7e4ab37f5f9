#![allow(unused_variables)]

use forge::prelude::*;

#[forge::workflow]
async fn nothing(ctx: &WorkflowContext, input: u8) {}

#[forge::workflow]
async fn no_result(ctx: &WorkflowContext, input: u8) -> String {
    String::new()
}

fn main() {}
