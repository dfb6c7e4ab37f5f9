use std::time::Duration;

use crate::cli::confirm::confirm;
use crate::cli::printable::Printable;
use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context, text};
use crate::executor::StepRecord;
use forge_journal::{Kind, StepStatus};

/// The arguments of `forge runs terminate`.
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
The run ends as failed, and none of its code is executed: completed steps stay as they are. `forge runs show` lists the \
steps that are not compensated. Use `forge runs cancel` if the run can be rolled back.

Examples:
  forge runs terminate 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10
  forge runs terminate --yes 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    let run = client.run(id, Duration::ZERO).await?;
    // The journal of a run that is terminated because of its journal cannot be read.
    let steps = client.steps(id, 0).await.unwrap_or_default();
    let stays = steps.iter().filter(|step| is_to_compensate(step)).count();
    let stays = match stays {
        0 => String::new(),
        stays => format!(" {} will not be compensated.", text::count(stays, "completed step")),
    };
    confirm(&format!("Terminate run {id} of {}?{stays}", Printable::line(&run.workflow_name)), args.yes)?;
    let record = client.change_run(id, "terminate").await?;
    context.print(&record, |record| {
        let stays: Vec<_> =
            record.not_compensated.iter().map(|step| format!("\n  {}", Printable::line(step))).collect();
        let stays =
            if stays.is_empty() { String::new() } else { format!("; not compensated:{}", stays.concat()) };
        format!("run {id} is terminated{stays}")
    })?;
    if !record.not_compensated.is_empty() {
        context.hint(&format!("once a step is undone by hand: forge runs resolve {id} STEP --completed"));
    }
    Ok(())
}

fn is_to_compensate(step: &StepRecord) -> bool {
    step.kind == Kind::Step && step.compensable && step.status == StepStatus::Completed
}
