//! The command by which a host compiles a component in a process of its own. It is for the host alone.

use std::process::ExitCode;
use std::time::Duration;

use forge_sandbox as engine;

/// The arguments of `forge compile-component`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long it may take, in milliseconds.
    #[arg(long)]
    time_ms: u64,
    /// How many bytes of address space it may have.
    #[arg(long)]
    memory: u64,
}

/// Runs it. What it says goes to the host, which words it for people.
pub(super) fn run(args: &Args) -> ExitCode {
    match engine::compile_as_child(Duration::from_millis(args.time_ms), args.memory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
