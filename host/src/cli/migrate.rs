use serde_json::json;

use super::{CliError, Context, output};
use crate::config::Database;
use forge_store as store;

/// The arguments of `forge migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where everything is kept.
    #[arg(long, value_name = "URL", env = "FORGE_DATABASE", default_value = "sqlite:forge.db")]
    database: Database,
}

const EXAMPLES: &str = "\
`forge serve` does this, too, when it starts. With PostgreSQL it can be done before by a role that may change
the schema, so that the one that serves needs no such right. Hosts of the version before go on with the new schema;
while a change is under way, which may index all runs, they wait.

Examples:
  forge migrate --database postgres://owner@db/forge";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let applied = store::migrate(&args.database).await.map_err(anyhow::Error::from)?;
    let database = args.database.to_string();
    if context.json {
        return output::print_json(&json!({ "database": database, "applied": applied }));
    }
    let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
    output::print(&match applied.as_slice() {
        [] => format!("the schema of {database} is up to date"),
        applied => format!("the schema of {database} is up to date now (applied: {})", applied.join(", ")),
    })
}
