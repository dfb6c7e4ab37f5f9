use super::{CliError, Context, output};

/// The arguments of `forge activate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The workflow.
    name: String,
    /// Its version.
    version: u32,
}

const EXAMPLES: &str = "\
New runs take this version from now on, also if another one is higher. Runs under way stay with theirs.

Examples:
  forge activate payment 1     back to version 1";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let info = context.client()?.change_version(&args.name, args.version, "activate").await?;
    if context.json {
        return output::print_json(&info);
    }
    output::print(&format!("new runs of {} take version {}", info.name, info.version))
}
