use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, output, text};
use crate::registry::{WorkflowInfo, WorkflowVersions};

/// The arguments of `forge workflows`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<WorkflowsCommand>,
    /// Show the versions of this workflow.
    name: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum WorkflowsCommand {
    /// Show the JSON Schema of a workflow's input
    Schema(SchemaArgs),
}

#[derive(Debug, clap::Args)]
struct SchemaArgs {
    /// The name of the workflow.
    name: String,
    /// The version; the current one by default.
    #[arg(long)]
    version: Option<u32>,
}

const EXAMPLES: &str = "\
Examples:
  forge workflows              all workflows
  forge workflows payment      the versions of one
  forge workflows schema payment > payment.schema.json
  forge workflows --json | jq -r '.workflows[].name'

`forge activate` and `forge deprecate` change which version new runs use.";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    if let Some(WorkflowsCommand::Schema(SchemaArgs { name, version })) = args.command {
        let schema = client.input_schema(&name, version).await?;
        return match context.json {
            true => output::print_json(&schema),
            false => output::print_document(&format!("{schema:#}")),
        };
    }
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
