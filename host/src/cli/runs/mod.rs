mod change;
mod children;
mod delete;
mod list;
mod logs;
mod resolve;
mod show;
mod terminate;
mod token;
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
    /// List runs, the newest first: the same as `forge runs`
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Show a run as a tree of its steps
    Show(show::Args),
    /// Show the lines that a run has logged
    Logs(logs::Args),
    /// Watch a run until it ends
    Watch(watch::Args),
    /// Cancel a run: its completed steps are compensated
    #[command(after_help = change::CANCEL_EXAMPLES)]
    Cancel(change::Args),
    /// Resume a paused run, or retry the failed compensations of a failed run
    #[command(after_help = change::RESUME_EXAMPLES)]
    Resume(change::Args),
    /// Pause a run until it is resumed or cancelled
    #[command(after_help = change::PAUSE_EXAMPLES)]
    Pause(change::Args),
    /// End a run without its code, whatever its state
    Terminate(terminate::Args),
    /// Say how a call in doubt or a compensation ended
    Resolve(resolve::Args),
    /// Delete a run that has ended
    Delete(delete::Args),
    /// Make a token with which a web page reads one run
    Token(token::Args),
}

const EXAMPLES: &str = "\
Examples:
  forge runs                                         the newest runs
  forge runs --workflow payment --failed --since 2h
  forge runs --key order-1041
  forge runs --tag customer=acme --error-kind timeout --before 1h
  forge runs --json --limit 500 | jq -r '.runs[].id'
  forge runs show last
  forge runs show 0199d1c4-7a3e

A command that takes a run takes its id, the first digits of its id (8 or more), or `last`: the run that was started last.";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        None => list::run(args.list, context).await,
        Some(RunsCommand::List(args)) => list::run(args, context).await,
        Some(RunsCommand::Show(args)) => show::run(args, context).await,
        Some(RunsCommand::Logs(args)) => logs::run(args, context).await,
        Some(RunsCommand::Watch(args)) => watch::run(args, context).await,
        Some(RunsCommand::Cancel(args)) => change::run(args, "cancel", context).await,
        Some(RunsCommand::Resume(args)) => change::run(args, "resume", context).await,
        Some(RunsCommand::Pause(args)) => change::run(args, "pause", context).await,
        Some(RunsCommand::Terminate(args)) => terminate::run(args, context).await,
        Some(RunsCommand::Resolve(args)) => resolve::run(args, context).await,
        Some(RunsCommand::Delete(args)) => delete::run(args, context).await,
        Some(RunsCommand::Token(args)) => token::run(args, context).await,
    }
}
