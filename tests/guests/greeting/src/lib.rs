//! Three versions of a workflow in one component.

use forge::prelude::*;

/// Version 1, deprecated.
#[forge::workflow]
#[name = "greeting"]
#[deprecated]
pub async fn greeting_v1(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("1: hello {name}"))
}

/// Version 2.
#[forge::workflow]
#[name = "greeting"]
#[version = 2]
pub async fn greeting_v2(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("2: good day {name}"))
}

/// Version 3.
#[forge::workflow]
#[name = "greeting"]
#[version = 3]
pub async fn greeting_v3(_ctx: &WorkflowContext, name: String) -> Result<String> {
    Ok(format!("3: welcome {name}"))
}

forge::export!(GreetingV1Workflow, GreetingV2Workflow, GreetingV3Workflow);
