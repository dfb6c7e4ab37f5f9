use crate::cli::client::RunWithSteps;
use crate::cli::{CliError, Context, output, tree};
use forge_clock as clock;
use forge_journal::RunId;

/// The arguments of `forge runs show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run.
    id: RunId,
    /// Show also readings of the time and the timers of timeouts.
    #[arg(long, short)]
    all: bool,
}

const EXAMPLES: &str = "\
✔ done   ✘ failed   ↩ rolled back   ● running   · not begun   – dropped by the workflow
! answered with an error status

Examples:
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 --json | jq '.steps[] | select(.error)'";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let run = client.run(args.id, std::time::Duration::ZERO).await?;
    let steps = client.steps(args.id).await?;
    if context.json {
        return output::print_json(&RunWithSteps { run, steps });
    }
    let style =
        tree::Style { color: output::has_color(), every_call: args.all, now: clock::now().to_datetime() };
    output::print(&tree::render(&run, &steps.steps, &style))
}
