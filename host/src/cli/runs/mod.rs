mod change;
mod list;
mod show;
mod watch;

use clap::Subcommand;

use super::{CliError, Context};

/// The arguments of `forge runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    #[command(flatten)]
    list: list::Args,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Show a run as a tree of its steps
    Show(show::Args),
    /// Watch a run until it ends
    Watch(watch::Args),
    /// Cancel a run: what it did is compensated
    Cancel(change::CancelArgs),
    /// Let a paused run go on, or try again what could not be compensated
    Resume(change::ResumeArgs),
    /// Stop a run until somebody resumes or cancels it
    Pause(change::PauseArgs),
}

const EXAMPLES: &str = "\
Examples:
  forge runs                                         the newest
  forge runs --workflow payment --status failed
  forge runs --json --limit 500 | jq -r '.runs[].id'
  forge runs show 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        None => list::run(args.list, context).await,
        Some(RunsCommand::Show(args)) => show::run(args, context).await,
        Some(RunsCommand::Watch(args)) => watch::run(args, context).await,
        Some(RunsCommand::Cancel(args)) => change::run(args.id, "cancel", context).await,
        Some(RunsCommand::Resume(args)) => change::run(args.id, "resume", context).await,
        Some(RunsCommand::Pause(args)) => change::run(args.id, "pause", context).await,
    }
}
