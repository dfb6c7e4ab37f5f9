use serde::Serialize;

use super::children;
use crate::cli::run_ref::RunRef;
use crate::cli::tree::Child;
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
    /// Show the calls of the runs that it has started, and of those that these have started.
    #[arg(long, short)]
    deep: bool,
}

const EXAMPLES: &str = "\
✔ completed   ✘ failed   ↩ rolled back   ● running   · not started   – dropped by the workflow
! the response has an error status

Five or more calls in a row that are alike are one line, with their number.

Below a call that has started a run are the id and the status of that run; of at most 100 runs.

Examples:
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10
  forge runs show last --failed
  forge runs show last --deep
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 --json | jq '.steps[] | select(.error)'";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    let run = client.run(id, std::time::Duration::ZERO).await?;
    let mut steps = client.steps(id, 0).await?;
    let children = match args.deep || !context.json {
        true => children::below(&client, &steps, args.deep).await?,
        false => tree::Children::new(),
    };
    let style = tree::Style {
        color: output::has_color(),
        every_call: args.all,
        only_failed: args.failed,
        now: clock::now().to_datetime(),
    };
    if context.json {
        let is_shown =
            |step: &StepRecord| !args.failed || step.status == StepStatus::Failed || step.error.is_some();
        steps.retain(is_shown);
        let children = children.into_values().filter_map(|Child { record, mut steps }| {
            steps.retain(is_shown);
            Some(RunWithSteps { run: record?, steps, children: Vec::new() })
        });
        let children = children.collect();
        return output::print_json(&RunWithSteps { run, steps, children });
    }
    output::print_rendered(&tree::render(&run, &steps, &children, &style))
}

/// A run with its steps, as `--json` prints it.
#[derive(Serialize)]
struct RunWithSteps {
    run: WorkflowRecord,
    steps: Vec<StepRecord>,
    /// With `--deep`: the runs that the run, and the runs below it, have started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<RunWithSteps>,
}
