use crate::cli::{CliError, Context, output, text};
use crate::executor::RunSummary;
use forge_journal::WorkflowStatus;
use strum::VariantArray as _;

/// The maximum number of characters of an error. `runs show` shows the whole error.
const ERROR_WIDTH: usize = 60;

/// The arguments of `forge runs` without a subcommand.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// List only runs of this workflow.
    #[arg(long, short, value_name = "NAME")]
    workflow: Option<String>,
    /// List only runs with this status.
    #[arg(long, short, value_parser = status)]
    #[arg(help = format!("List only runs with this status: {}", statuses()))]
    status: Option<WorkflowStatus>,
    /// The maximum number of runs, up to 500 [default: 50].
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: Option<u32>,
    /// List only runs after this one: the `next_cursor` of the previous page.
    #[arg(long)]
    cursor: Option<uuid::Uuid>,
}

fn status(word: &str) -> Result<WorkflowStatus, String> {
    word.parse().map_err(|_| format!("it must be one of {}", statuses()))
}

fn statuses() -> String {
    WorkflowStatus::VARIANTS.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let query = [
        ("workflow", args.workflow),
        ("status", args.status.map(|status| status.to_string())),
        ("limit", args.limit.map(|limit| limit.to_string())),
        ("cursor", args.cursor.map(|cursor| cursor.to_string())),
    ];
    let page = context.client()?.runs(&query).await?;
    if context.json {
        return output::print_json(&page);
    }
    if page.runs.is_empty() {
        output::note("no runs");
        return Ok(());
    }
    output::print(&table(&page.runs))?;
    if let Some(cursor) = page.next_cursor {
        output::hint(&format!("there are more: --cursor {cursor}"));
    }
    Ok(())
}

fn table(runs: &[RunSummary]) -> String {
    let rows = runs.iter().map(|run| {
        let took = run.completed_at.map(|end| text::duration(text::between(run.started_at, end)));
        [
            run.id.to_string(),
            format!("{} v{}", run.workflow_name, run.version),
            run.status.to_string(),
            text::time(run.started_at),
            took.unwrap_or_default(),
            run.error.as_deref().map(shortened).unwrap_or_default(),
        ]
    });
    output::table(["RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK", "ERROR"], rows)
}

fn shortened(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match line.char_indices().nth(ERROR_WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
