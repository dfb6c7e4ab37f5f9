//! The binary `forge`: reads the command line, does what it says, and ends with an exit code.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use forge_host::cli::{Cli, CliError};

/// A start is some hundred small allocations on several threads, at which this one is faster than
/// the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long work on other threads, such as a compilation, may go on after all else has ended.
const LAST_WORK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let cli = match Cli::from_command_line() {
        Ok(cli) => cli,
        Err(exit_code) => return exit_code,
    };
    if let Some(exit_code) = cli.run_alone() {
        return exit_code;
    }
    let json = cli.json();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    // Which cryptography TLS uses. Another may only have been installed by ourselves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_WORK);
    result
}
