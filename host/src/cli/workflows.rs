use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, text};
use crate::registry::{WorkflowInfo, WorkflowVersions};

/// The arguments of `forge workflows`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show the versions of this workflow.
    name: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  forge workflows              all workflows
  forge workflows payment      the versions of one
  forge workflows --json | jq -r '.workflows[].name'

`forge activate` and `forge deprecate` change which version new runs use.";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    if let Some(name) = args.name {
        return context.print(&client.workflow(&name).await?, versions);
    }
    context.print(&client.workflows().await?, |list| match list.workflows.as_slice() {
        [] => "no workflows yet: `forge deploy` uploads some, `forge new` creates a project".to_owned(),
        workflows => table(workflows),
    })
}

fn table(workflows: &[WorkflowVersions]) -> String {
    let rows = workflows.iter().map(|workflow| {
        let current = workflow.current.map_or("none".to_owned(), |version| version.to_string());
        let versions: Vec<String> = workflow.versions.iter().map(|info| info.version.to_string()).collect();
        let shown = workflow.versions.iter().find(|info| Some(info.version) == workflow.current);
        let timeout = shown.map_or("", |info| info.timeout.as_str()).to_owned();
        [workflow.name.clone(), current, versions.join(", "), timeout]
    });
    Table::with([Cut("WORKFLOW"), Whole("CURRENT"), Cut("VERSIONS"), Cut("TIMEOUT")], rows).render()
}

fn versions(workflow: &WorkflowVersions) -> String {
    let rows = workflow.versions.iter().map(|info| {
        [
            info.version.to_string(),
            state(info, workflow.current).to_owned(),
            info.timeout.clone(),
            text::short_digest(&info.digest).to_owned(),
            text::time(info.created_at),
        ]
    });
    let columns = [Whole("VERSION"), Whole("STATE"), Cut("TIMEOUT"), Whole("DIGEST"), Whole("DEPLOYED")];
    Table::with(columns, rows).render()
}

fn state(info: &WorkflowInfo, current: Option<u32>) -> &'static str {
    match (current == Some(info.version), info.active, info.deprecated) {
        (true, true, _) => "current (activated)",
        (true, false, _) => "current",
        (false, _, true) => "deprecated",
        (false, _, false) => "",
    }
}
