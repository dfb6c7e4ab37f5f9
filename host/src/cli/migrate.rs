use serde_json::json;

use super::{CliError, Context};
use crate::config::Database;
use forge_store as store;

/// The arguments of `forge migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The database: sqlite:FILE or postgres://USER@HOST/NAME.
    #[arg(long, value_name = "URL", env = "FORGE_DATABASE", default_value = "sqlite:forge.db")]
    database: Database,
}

const EXAMPLES: &str = "\
`forge serve` also does this when it starts. With PostgreSQL, a role that may change the schema can do it \
first, so that the role of `forge serve` does not need that right. Hosts of the previous version keep working \
with the new schema. They wait during the change, which may build indexes over all runs.

Examples:
  forge migrate --database postgres://owner@db/forge";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let applied = store::migrate(&args.database).await.map_err(anyhow::Error::from)?;
    let database = args.database.to_string();
    context.print(&json!({ "database": database, "applied": applied }), |_| {
        let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
        match applied.as_slice() {
            [] => format!("the schema of {database} is up to date"),
            applied => {
                format!("the schema of {database} is up to date now (applied: {})", applied.join(", "))
            }
        }
    })
}
