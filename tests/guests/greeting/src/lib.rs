//! Three versions of a workflow in one component.

use forge::prelude::*;

/// How it began.
#[forge::workflow]
#[name = "greeting"]
#[deprecated]
pub async fn greeting_v1(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("1: hello {name}"))
}

/// How it went on.
#[forge::workflow]
#[name = "greeting"]
#[version = 2]
pub async fn greeting_v2(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("2: good day {name}"))
}

/// How it is.
#[forge::workflow]
#[name = "greeting"]
#[version = 3]
pub async fn greeting_v3(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("3: welcome {name}"))
}

forge::export!(GreetingV1Workflow, GreetingV2Workflow, GreetingV3Workflow);
