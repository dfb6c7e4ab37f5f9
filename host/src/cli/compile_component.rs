//! The hidden command that the host runs in a child process to compile a component.

use std::process::ExitCode;
use std::time::Duration;

use super::output;
use forge_sandbox::{self as engine, ChildFailed, CompilerUser};

/// The arguments of `forge compile-component`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The time limit, in milliseconds.
    #[arg(long)]
    time_ms: u64,
    /// The limit on address space, in bytes.
    #[arg(long)]
    memory: u64,
    /// The user to become, as UID:GID.
    #[arg(long)]
    user: Option<CompilerUser>,
    /// Compile nothing, and print the measures that confine this process and that the machine lacks.
    #[arg(long)]
    check: bool,
}

/// Compiles the component. The host reads the error from standard error and explains it to the user.
pub(super) fn run(args: &Args) -> ExitCode {
    match compile(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn compile(args: &Args) -> Result<(), ChildFailed> {
    let time = Duration::from_millis(args.time_ms);
    if !args.check {
        return engine::compile_as_child(time, args.memory, args.user);
    }
    for missing in engine::check_as_child(time, args.memory, args.user)? {
        // A host that is gone needs no answer.
        let _ = output::print(&missing.to_string());
    }
    Ok(())
}
