use serde_json::json;

use crate::cli::confirm::confirm;
use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context};

/// The arguments of `forge runs delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

const EXAMPLES: &str = "\
Deletes a run that has ended, with its journal. A later start with its key starts a new run. `forge serve --retention` \
deletes runs by their age.

Examples:
  forge runs delete 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    confirm(&format!("Delete run {id} and its journal?"), args.yes)?;
    client.delete_run(id).await?;
    context.print(&json!({ "deleted": id }), |_| format!("run {id} is deleted"))
}
