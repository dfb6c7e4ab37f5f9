use crate::cli::{CliError, Context, output};
use forge_journal::RunId;

/// The arguments of `forge runs cancel`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Its completed steps are compensated in reverse order, and it ends compensated, or failed if that could
not be done.

Examples:
  forge runs cancel 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10")]
pub(super) struct CancelArgs {
    /// The run.
    pub(super) id: RunId,
}

/// The arguments of `forge runs resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A paused run goes on where it stopped. Of a failed run whose compensation is stuck, exactly what is
stuck is tried again.

Examples:
  forge runs resume 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10")]
pub(super) struct ResumeArgs {
    /// The run.
    pub(super) id: RunId,
}

/// The arguments of `forge runs pause`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  forge runs pause 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10")]
pub(super) struct PauseArgs {
    /// The run.
    pub(super) id: RunId,
}

pub(super) async fn run(id: RunId, action: &str, context: &Context) -> Result<(), CliError> {
    let record = context.client()?.change_run(id, action).await?;
    if context.json {
        return output::print_json(&record);
    }
    output::print(&format!("run {id} is {}", record.status))?;
    if !record.status.is_final() {
        output::hint(&format!("see how it goes: forge runs watch {id}"));
    }
    Ok(())
}
