use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, text};
use forge_store::{MOST_COUNTED, Node};

/// The arguments of `forge nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

const EXAMPLES: &str = "\
RUNS counts the runs of a node that are neither final nor paused, up to 10,000.
A node whose lease expires counts as dead, and the other nodes take over its runs. It is listed for about \
another hour, or until none of its runs waits for a timer.

Examples:
  forge nodes
  forge nodes --json | jq -r '.nodes[] | select(.ended_at == null) | .name'";

pub(super) async fn run(_: Args, context: &Context) -> Result<(), CliError> {
    let nodes = context.client()?.nodes().await?;
    context.print(&nodes, |nodes| match nodes.nodes.as_slice() {
        [] => "this server has no other nodes: only a PostgreSQL database is shared by nodes".to_owned(),
        nodes => table(nodes),
    })
}

fn table(nodes: &[Node]) -> String {
    let rows = nodes.iter().map(|node| {
        [
            node.name.clone(),
            state(node).to_owned(),
            node.epoch.to_string(),
            runs(node.runs),
            node.version.clone(),
            text::time(node.ended_at.unwrap_or(node.started_at)),
        ]
    });
    let columns =
        [Cut("NODE"), Whole("STATE"), Whole("EPOCH"), Whole("RUNS"), Whole("VERSION"), Whole("SINCE")];
    Table::with(columns, rows).render()
}

fn runs(counted: u64) -> String {
    if counted < MOST_COUNTED.into() { counted.to_string() } else { format!("{counted}+") }
}

fn state(node: &Node) -> &'static str {
    match (node.ended_at, node.here) {
        (Some(_), _) => "ended",
        (None, true) => "lives (answers)",
        (None, false) => "lives",
    }
}
