use super::printable::Printable;
use super::{CliError, Context, output, parse};

/// The arguments of `forge deprecate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The name of the workflow.
    name: String,
    /// The version to deprecate.
    #[arg(value_parser = parse::number(1..=u32::MAX))]
    version: u32,
}

const EXAMPLES: &str = "\
New runs use this version only if they name it. Runs that have started keep it.

Examples:
  forge deprecate payment 1";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let info = client.change_version(&args.name, args.version, "deprecate").await?;
    if context.json {
        return output::print_json(&info);
    }
    let current = match client.workflow(&args.name).await?.current {
        Some(version) => format!("new runs take version {version}"),
        None => "no version is left that new runs take by themselves".to_owned(),
    };
    let name = Printable::line(&info.name);
    output::print(&format!("version {} of {name} is deprecated; {current}", info.version))
}
