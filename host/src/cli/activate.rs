use super::printable::Printable;
use super::{CliError, Context, parse};

/// The arguments of `forge activate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The name of the workflow.
    name: String,
    /// The version to activate.
    #[arg(value_parser = parse::number(1..=u32::MAX))]
    version: u32,
}

const EXAMPLES: &str = "\
New runs use this version from now on, even if a higher version exists. Runs that have started keep theirs.

Examples:
  forge activate payment 1     back to version 1";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let info = context.client()?.change_version(&args.name, args.version, "activate").await?;
    context.print(&info, |info| {
        format!("new runs of {} take version {}", Printable::line(&info.name), info.version)
    })
}
