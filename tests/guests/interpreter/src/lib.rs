//! A workflow that executes the program it is given, and returns all that it observed.

mod digest;
mod interpreter;

use forge::prelude::serde_json::Value;
use forge::prelude::*;
use program::Program;

use interpreter::Interpreter;

/// Executes a program.
#[forge::workflow]
pub async fn program(ctx: &WorkflowContext, input: Program) -> Result<Value> {
    Interpreter::new(ctx, &input.services).run(&input.body).await
}

/// Executes a program that must not take longer than four seconds.
#[forge::workflow]
#[timeout = "4s"]
pub async fn hasty_program(ctx: &WorkflowContext, input: Program) -> Result<Value> {
    Interpreter::new(ctx, &input.services).run(&input.body).await
}

forge::export!(ProgramWorkflow, HastyProgramWorkflow);
