//! The next deploy of `greeting`: a new version, and another version whose code has changed without its number.

use forge::prelude::*;

#[forge::workflow]
#[version = 3]
pub async fn greeting(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("3: changed {name}"))
}

#[forge::workflow]
#[name = "greeting"]
#[version = 4]
pub async fn newest_greeting(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("4: ahoy {name}"))
}

forge::export!(GreetingWorkflow, NewestGreetingWorkflow);
