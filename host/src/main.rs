//! The program `forge`: parses the command line, runs the command, and returns its exit code.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;
use forge_host::cli::{Cli, CliError};

/// A start makes some hundred small allocations on several threads. This allocator is faster at that than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The time that blocking work, such as a compilation, may continue after the command has ended.
const LAST_WORK: Duration = Duration::from_millis(200);

/// The time to report the error that the program ends with.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
        Err(error) => report(error, json),
    }
}

/// Reports an error and returns the exit code. Standard error may be a pipe that nobody reads: the program does not wait
/// for it.
fn report(error: CliError, json: bool) -> ExitCode {
    let (reported, exit_code) = mpsc::channel();
    // Without a thread, the channel is closed at once.
    let _ = std::thread::Builder::new().spawn(move || reported.send(error.report(json)));
    exit_code.recv_timeout(LAST_WORDS).unwrap_or(ExitCode::FAILURE)
}

fn run(cli: Cli) -> Result<(), CliError> {
    // The cryptography of TLS. It fails only if this program has installed another one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LAST_WORK);
    result
}
