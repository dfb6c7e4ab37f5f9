use super::{CliError, Context, output, text};
use forge_store::Node;

/// The arguments of `forge nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

const EXAMPLES: &str = "\
A node that was not heard of for longer than its lease is declared dead, and the others take its runs
over. It stays in the list for about an hour, or for as long as runs of it wait for their time.

Examples:
  forge nodes
  forge nodes --json | jq -r '.nodes[] | select(.ended_at == null) | .name'";

pub(super) async fn run(_: Args, context: &Context) -> Result<(), CliError> {
    let nodes = context.client()?.nodes().await?;
    if context.json {
        output::print_json(&nodes)
    } else if nodes.nodes.is_empty() {
        output::print("the server's database is its own: nodes share one that is PostgreSQL's")
    } else {
        output::print(&table(&nodes.nodes))
    }
}

fn table(nodes: &[Node]) -> String {
    let heads = ["NODE", "STATE", "EPOCH", "RUNS", "VERSION", "SINCE"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for node in nodes {
        rows.push(vec![
            node.name.clone(),
            state(node).to_owned(),
            node.epoch.to_string(),
            node.runs.to_string(),
            node.version.clone(),
            text::time(node.ended_at.unwrap_or(node.started_at)),
        ]);
    }
    output::table(&rows)
}

fn state(node: &Node) -> &'static str {
    match (node.ended_at, node.here) {
        (Some(_), _) => "ended",
        (None, true) => "lives (answers)",
        (None, false) => "lives",
    }
}
