use super::{CliError, Context, output, text};
use crate::registry::{WorkflowInfo, WorkflowVersions};

/// The arguments of `forge workflows`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only this one, with its versions.
    name: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  forge workflows              all workflows
  forge workflows payment      the versions of one
  forge workflows --json | jq -r '.workflows[].name'

`forge activate` and `forge deprecate` say which version new runs take.";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    if let Some(name) = args.name {
        let workflow = client.workflow(&name).await?;
        if context.json { output::print_json(&workflow) } else { output::print(&versions(&workflow)) }
    } else {
        let workflows = client.workflows().await?;
        if context.json {
            output::print_json(&workflows)
        } else if workflows.workflows.is_empty() {
            output::print("no workflows yet: `forge deploy` uploads some, `forge new` makes a project")
        } else {
            output::print(&list(&workflows.workflows))
        }
    }
}

fn list(workflows: &[WorkflowVersions]) -> String {
    let mut rows = vec![heads(["WORKFLOW", "CURRENT", "VERSIONS", "TIMEOUT"])];
    for workflow in workflows {
        let current = workflow.current.map_or("none".to_owned(), |version| version.to_string());
        let versions: Vec<String> = workflow.versions.iter().map(|info| info.version.to_string()).collect();
        let shown = workflow.versions.iter().find(|info| Some(info.version) == workflow.current);
        let timeout = shown.map_or("", |info| info.timeout.as_str()).to_owned();
        rows.push(vec![workflow.name.clone(), current, versions.join(", "), timeout]);
    }
    output::table(&rows)
}

fn versions(workflow: &WorkflowVersions) -> String {
    let mut rows = vec![heads(["VERSION", "STATE", "TIMEOUT", "DIGEST", "DEPLOYED"])];
    for info in &workflow.versions {
        rows.push(vec![
            info.version.to_string(),
            state(info, workflow.current).to_owned(),
            info.timeout.clone(),
            text::short_digest(&info.digest).to_owned(),
            text::time(info.created_at),
        ]);
    }
    output::table(&rows)
}

fn state(info: &WorkflowInfo, current: Option<u32>) -> &'static str {
    match (current == Some(info.version), info.active, info.deprecated) {
        (true, true, _) => "current (activated)",
        (true, false, _) => "current",
        (false, _, true) => "deprecated",
        (false, _, false) => "",
    }
}

fn heads<const N: usize>(heads: [&str; N]) -> Vec<String> {
    heads.map(str::to_owned).to_vec()
}
