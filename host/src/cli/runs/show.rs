use serde::Serialize;

use crate::cli::{CliError, Context, output, tree};
use crate::executor::{StepRecord, WorkflowRecord};
use forge_clock as clock;
use forge_journal::RunId;

/// The arguments of `forge runs show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The id of the run.
    id: RunId,
    /// Also show reads of the clock and the timers of timeouts.
    #[arg(long, short)]
    all: bool,
}

const EXAMPLES: &str = "\
✔ completed   ✘ failed   ↩ rolled back   ● running   · not started   – dropped by the workflow
! the response has an error status

Examples:
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 --json | jq '.steps[] | select(.error)'";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let run = client.run(args.id, std::time::Duration::ZERO).await?;
    let steps = client.steps(args.id, 0).await?;
    let style =
        tree::Style { color: output::has_color(), every_call: args.all, now: clock::now().to_datetime() };
    if context.json {
        return output::print_json(&RunWithSteps { run, steps });
    }
    output::print_rendered(&tree::render(&run, &steps, &style))
}

/// A run with its steps, as `--json` prints it.
#[derive(Serialize)]
struct RunWithSteps {
    run: WorkflowRecord,
    steps: Vec<StepRecord>,
}
