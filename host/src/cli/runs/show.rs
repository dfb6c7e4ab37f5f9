use serde::Serialize;

use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context, output, tree};
use crate::executor::{StepRecord, WorkflowRecord};
use forge_clock as clock;
use forge_journal::StepStatus;

/// The arguments of `forge runs show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
    /// Show every call: those that are alike one by one, reads of the clock and the timers of timeouts.
    #[arg(long, short)]
    all: bool,
    /// Show only what failed, and the steps that it is in.
    #[arg(long, short)]
    failed: bool,
}

const EXAMPLES: &str = "\
✔ completed   ✘ failed   ↩ rolled back   ● running   · not started   – dropped by the workflow
! the response has an error status

Five or more calls in a row that are alike are one line, with their number.

Examples:
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10
  forge runs show last --failed
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 --json | jq '.steps[] | select(.error)'";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    let run = client.run(id, std::time::Duration::ZERO).await?;
    let mut steps = client.steps(id, 0).await?;
    let style = tree::Style {
        color: output::has_color(),
        every_call: args.all,
        only_failed: args.failed,
        now: clock::now().to_datetime(),
    };
    if context.json {
        steps.retain(|step| !args.failed || step.status == StepStatus::Failed || step.error.is_some());
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
