//! A workflow that executes the program in its input and returns the observations of its statements.

mod digest;
mod interpreter;

use forge::prelude::*;
use forge::serde_json::Value;
use program::Program;

use interpreter::Interpreter;

/// Executes a program.
#[forge::workflow]
pub async fn program(ctx: &WorkflowContext, input: Program) -> Result<Value> {
    Interpreter::new(ctx, &input.services).run(&input.body).await
}

/// Executes a program with a timeout of four seconds.
#[forge::workflow]
#[timeout = "4s"]
pub async fn hasty_program(ctx: &WorkflowContext, input: Program) -> Result<Value> {
    Interpreter::new(ctx, &input.services).run(&input.body).await
}

forge::export!(ProgramWorkflow, HastyProgramWorkflow);
