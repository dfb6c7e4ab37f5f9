//! The command line: one file per command, each with its `Args`, its `EXAMPLES` and its `run`.
//!
//! Results go to standard output, messages and errors to standard error, so that results can be piped.
//! With `--json` both are JSON. [`ExitStatus`] lists the exit codes.

mod activate;
mod audit;
mod build;
mod client;
mod compile_component;
mod completions;
mod confirm;
mod db;
mod deploy;
mod deprecate;
mod dev;
mod environment;
mod error;
mod follow;
mod input;
mod keys;
mod migrate;
mod new;
mod nodes;
mod output;
mod parse;
mod progress;
mod project;
mod run_ref;
mod runs;
mod secrets;
mod send;
mod serve;
mod start;
mod table;
mod tenants;
mod text;
pub mod tree;
mod usage;
mod waits;
mod workflows;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

pub use error::{CliError, ExitStatus};

use client::Client;

use crate::config::{Database, LogLimits, NodeConfig};
use crate::printable;
use forge_store::{self, Store};

/// The address at which `forge serve` listens by default.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// Durable workflows in a WebAssembly sandbox.
#[derive(Debug, Parser)]
#[command(
    name = "forge",
    version,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}")
)]
pub struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Context {
    /// The address of the server.
    #[arg(long, global = true, value_name = "URL", env = "FORGE_SERVER", default_value = DEFAULT_SERVER)]
    server: String,
    /// The API key to send. Needed if the server has API keys.
    #[arg(long, global = true, value_name = "KEY", env = "FORGE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The tenant to act for, with an API key of the host.
    #[arg(long, global = true, value_name = "NAME", env = "FORGE_TENANT")]
    tenant: Option<String>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  forge new hello && cd hello                     create a workflow project
  forge dev                                       run it, and again whenever a file is saved
  forge serve                                     run a server, in its own terminal
  forge deploy .                                  compile and upload it
  forge start hello --input @input.json --wait    run it
  forge runs                                      list runs";

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  error
  2  the command line is wrong
  3  the run failed or was rolled back (start --wait, runs watch)
  4  the workflow, version, run or key does not exist
  5  the server cannot be reached, or asks to try again later
  6  conflict with an existing version, key or entry, or the status of a run
  7  the run is paused, or has not ended within the given time (start --wait, runs watch)
  8  the request may have taken effect, and its answer was lost: send it again, a start or an event with the same --key
  130  Ctrl-C ended the command while it waited for a run, which goes on (start --wait, runs watch)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Args>),
    /// Run, and compile, deploy and run a project whenever it changes
    Dev(dev::Args),
    /// Create a workflow project
    New(new::Args),
    /// Compile a workflow project to a component
    Build(build::Args),
    /// Upload a component
    Deploy(deploy::Args),
    /// Start a workflow
    Start(start::Args),
    /// Send an event to a run
    Send(send::Args),
    /// List workflows and their versions
    Workflows(workflows::Args),
    /// Use a version for new runs, even if a higher one exists
    Activate(activate::Args),
    /// Use a version for new runs only if they ask for it
    Deprecate(deprecate::Args),
    /// List runs; show, watch, cancel, pause, resume, terminate, resolve or delete one
    Runs(Box<runs::Args>),
    /// List, create, show and change tenants
    Tenants(tenants::Args),
    /// List, create and revoke API keys
    Keys(keys::Args),
    /// List, set and remove secrets, and generate the key that encrypts them
    Secrets(secrets::Args),
    /// List, read, store and delete entries of the tenant's store
    Db(db::Args),
    /// Show the audit log
    Audit(audit::Args),
    /// Show usage by the hour
    Usage(usage::Args),
    /// List the hosts that share the server's database
    Nodes(nodes::Args),
    /// Update the schema of a database
    Migrate(migrate::Args),
    /// Print a script with which a shell completes commands and options
    Completions(completions::Args),
    /// Compile a component for the host that started this process
    #[command(hide = true)]
    CompileComponent(compile_component::Args),
}

impl Context {
    fn client(&self) -> Result<Client, CliError> {
        Client::new(&self.server, self.token.as_deref(), self.tenant.as_deref())
    }

    /// Prints a result: as JSON with `--json`, otherwise as the text that `text` makes of it.
    fn print<T: Serialize>(&self, result: &T, text: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        if self.json { output::print_json(result) } else { output::print(&text(result)) }
    }

    /// Prints a message for people: not with `--json`, and only if standard error is a terminal.
    fn hint(&self, text: &str) {
        if !self.json {
            output::hint(text);
        }
    }
}

/// Opens a database without running workflows in this process.
async fn open_store(database: &Database) -> Result<Arc<dyn Store>, CliError> {
    let name = format!("forge {}", std::process::id());
    let node = NodeConfig { name, ..NodeConfig::default() };
    Ok(forge_store::open(database, &node, LogLimits::default()).await.map_err(anyhow::Error::from)?)
}

impl Cli {
    /// Parses the command line of this process, and wipes secrets from its environment. Call it before the process has other
    /// threads.
    ///
    /// # Errors
    /// Returns the exit code of the process, after the help or the error was printed.
    pub fn from_command_line() -> Result<Self, ExitCode> {
        let parsed = Self::try_parse();
        environment::wipe();
        parsed.map_err(|error| {
            let json = std::env::args_os().any(|argument| argument == "--json");
            if error.use_stderr() && json {
                let text = error.render().to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
                return CliError::Usage(text.to_owned()).report(true);
            }
            // If printing fails, there is no other place to report it.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done } as u8)
        })
    }

    /// Returns whether `--json` is set.
    pub fn json(&self) -> bool {
        self.context.json
    }

    /// Runs the command if it needs a process without other threads. Otherwise returns `None`.
    pub fn run_alone(&self) -> Option<ExitCode> {
        match &self.command {
            Command::CompileComponent(args) => Some(compile_component::run(args)),
            _ => None,
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Returns a [`CliError`], which has an exit code.
    pub async fn run(self) -> Result<(), CliError> {
        let context = self.context;
        match self.command {
            Command::Serve(args) => serve::run(*args, &context).await,
            Command::Dev(args) => dev::run(args, &context).await,
            Command::New(args) => new::run(args, &context),
            Command::Build(args) => build::run(args, &context).await,
            Command::Deploy(args) => deploy::run(args, &context).await,
            Command::Start(args) => start::run(args, &context).await,
            Command::Send(args) => send::run(args, &context).await,
            Command::Workflows(args) => workflows::run(args, &context).await,
            Command::Activate(args) => activate::run(args, &context).await,
            Command::Deprecate(args) => deprecate::run(args, &context).await,
            Command::Runs(args) => runs::run(*args, &context).await,
            Command::Tenants(args) => tenants::run(args, &context).await,
            Command::Keys(args) => keys::run(args, &context).await,
            Command::Secrets(args) => secrets::run(args, &context).await,
            Command::Db(args) => db::run(args, &context).await,
            Command::Audit(args) => audit::run(args, &context).await,
            Command::Usage(args) => usage::run(args, &context).await,
            Command::Nodes(args) => nodes::run(args, &context).await,
            Command::Migrate(args) => migrate::run(args, &context).await,
            Command::Completions(args) => completions::run(&args),
            Command::CompileComponent(_) => {
                Err(CliError::Usage("this command needs a process without other threads".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
