use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, CliError, output};

/// The arguments of `forge completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

const EXAMPLES: &str = "\
Prints a script with which the shell completes commands and options.

Examples:
  forge completions bash > ~/.local/share/bash-completion/completions/forge
  forge completions zsh > \"${fpath[1]}/_forge\"
  forge completions fish > ~/.config/fish/completions/forge.fish";

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let mut script = Vec::new();
    // The generators also complete hidden commands.
    let all = Cli::command();
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut shown = Command::new("forge").args(all.get_arguments().cloned()).subcommands(commands);
    generate(args.shell, &mut shown, "forge", &mut script);
    output::print_rendered(String::from_utf8_lossy(&script).trim_end())
}
