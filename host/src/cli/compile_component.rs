//! The hidden command that the host runs in a child process to compile a component.

use std::process::ExitCode;
use std::time::Duration;

use super::output;
use forge_sandbox as engine;

/// The arguments of `forge compile-component`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The time limit, in milliseconds.
    #[arg(long)]
    time_ms: u64,
    /// The limit on address space, in bytes.
    #[arg(long)]
    memory: u64,
}

/// Compiles the component. The host reads the error from standard error and explains it to the user.
pub(super) fn run(args: &Args) -> ExitCode {
    match engine::compile_as_child(Duration::from_millis(args.time_ms), args.memory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
