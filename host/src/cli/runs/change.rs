use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context};

/// The arguments of `forge runs cancel`, `forge runs resume` and `forge runs pause`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
}

pub(super) const CANCEL_EXAMPLES: &str = "\
The completed steps are compensated in reverse order. The run ends as compensated, or as failed if a \
compensation fails.

Examples:
  forge runs cancel 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) const RESUME_EXAMPLES: &str = "\
A paused run continues where it stopped. If it would be paused again at once, it stays as it is. In a failed run, the compensations that failed are tried again.

Examples:
  forge runs resume 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) const PAUSE_EXAMPLES: &str = "\
Examples:
  forge runs pause 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) async fn run(args: Args, action: &str, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    let record = client.change_run(id, action).await?;
    context.print(&record, |record| format!("run {id} is {}", record.status))?;
    if !record.status.is_at_rest() {
        context.hint(&format!("see how it goes: forge runs watch {id}"));
    }
    Ok(())
}
