//! The command line: one file per command, each with its `Args`, its `EXAMPLES` and its `run`.
//!
//! A result goes to the standard output, everything else to the standard error, so that output can be
//! piped. With `--json` both are JSON. Exit codes are in [`ExitStatus`].

mod activate;
mod audit;
mod build;
mod client;
mod compile_component;
mod deploy;
mod deprecate;
mod error;
mod follow;
mod input;
mod keys;
mod migrate;
mod new;
mod nodes;
mod output;
mod project;
mod runs;
mod secrets;
mod serve;
mod start;
mod tenants;
mod text;
pub mod tree;
mod usage;
mod workflows;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

pub use error::{CliError, ExitStatus};

use client::Client;

use crate::config::{Database, NodeConfig};
use forge_store::{self, Store};

/// Where `forge serve` listens unless it is told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// Durable workflows in a WebAssembly sandbox.
#[derive(Debug, Parser)]
#[command(
    name = "forge",
    version,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    after_long_help = AFTER_LONG_HELP
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
struct Global {
    /// The server to talk to.
    #[arg(long, global = true, value_name = "URL", env = "FORGE_SERVER", default_value = DEFAULT_SERVER)]
    #[arg(help_heading = "Global options")]
    server: String,
    /// The API key to present, if the server asks for one.
    #[arg(long, global = true, value_name = "KEY", env = "FORGE_TOKEN", hide_env_values = true)]
    #[arg(help_heading = "Global options")]
    token: Option<String>,
    /// The tenant to act for, with an API key of the host.
    #[arg(long, global = true, value_name = "NAME", env = "FORGE_TENANT", help_heading = "Global options")]
    tenant: Option<String>,
    /// Print JSON, for programs.
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  forge serve                                     the server, in a terminal of its own
  forge new hello && cd hello                     a workflow to begin with
  forge deploy .                                  compile and upload it
  forge start hello --input @input.json --wait    run it
  forge runs                                      what ran and runs";

const AFTER_LONG_HELP: &str = "\
Examples:
  forge serve                                     the server, in a terminal of its own
  forge new hello && cd hello                     a workflow to begin with
  forge deploy .                                  compile and upload it
  forge start hello --input @input.json --wait    run it
  forge runs                                      what ran and runs

Exit codes:
  0  done
  1  it went wrong
  2  the command line is wrong
  3  the run failed or was rolled back (start --wait, runs watch)
  4  there is no such workflow, version or run
  5  the server cannot be reached, or asks to try again later
  6  it conflicts with what is there: a version, a key, the status of a run
  7  the run is paused, or has not ended within the time given (start --wait, runs watch)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Args>),
    /// Make a workflow project
    New(new::Args),
    /// Compile a workflow project to a component
    Build(build::Args),
    /// Upload a component
    Deploy(deploy::Args),
    /// Start a workflow
    Start(start::Args),
    /// List workflows and their versions
    Workflows(workflows::Args),
    /// Let new runs take a version, also if another one is higher
    Activate(activate::Args),
    /// Let new runs take a version only if they ask for it
    Deprecate(deprecate::Args),
    /// List runs; show, watch, cancel, pause or resume one
    Runs(runs::Args),
    /// List, make, show and change tenants
    Tenants(tenants::Args),
    /// List, make and revoke API keys
    Keys(keys::Args),
    /// List, set and remove secrets, and the key that seals them
    Secrets(secrets::Args),
    /// Read who did what
    Audit(audit::Args),
    /// Show what was used
    Usage(usage::Args),
    /// List the hosts that share the server's database
    Nodes(nodes::Args),
    /// Bring a database's schema up to date
    Migrate(migrate::Args),
    /// Compile a component for the host that started this process
    #[command(hide = true)]
    CompileComponent(compile_component::Args),
}

/// What commands know beside their arguments.
struct Context {
    server: String,
    token: Option<String>,
    tenant: Option<String>,
    json: bool,
}

impl Context {
    fn client(&self) -> Result<Client, CliError> {
        Client::new(&self.server, self.token.as_deref(), self.tenant.as_deref())
    }
}

/// A database that this process looks at without being one of its hosts.
async fn open_aside(database: &Database) -> Result<Arc<dyn Store>, CliError> {
    let name = format!("forge {}", std::process::id());
    let node = NodeConfig { name, ..NodeConfig::default() };
    Ok(forge_store::open(database, &node).await.map_err(anyhow::Error::from)?)
}

impl Cli {
    /// The command line of this process.
    ///
    /// # Errors
    /// The exit code to end with, after the help or what is wrong was printed.
    pub fn from_command_line() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            let for_programs = std::env::args_os().any(|argument| argument == "--json");
            if error.use_stderr() && for_programs {
                let text = error.render().to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
                return CliError::Usage(text.to_owned()).report(true);
            }
            // It goes where nobody reads: there is nobody to tell.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done } as u8)
        })
    }

    /// Whether the output is for programs.
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// Does what was asked, if that must be done in a process without threads.
    pub fn run_alone(&self) -> Option<ExitCode> {
        match &self.command {
            Command::CompileComponent(args) => Some(compile_component::run(args)),
            _ => None,
        }
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// [`CliError`], which knows its exit code.
    pub async fn run(self) -> Result<(), CliError> {
        let Global { server, token, tenant, json } = self.global;
        let context = Context { server, token, tenant, json };
        match self.command {
            Command::Serve(args) => serve::run(*args, &context).await,
            Command::New(args) => new::run(args, &context),
            Command::Build(args) => build::run(args, &context).await,
            Command::Deploy(args) => deploy::run(args, &context).await,
            Command::Start(args) => start::run(args, &context).await,
            Command::Workflows(args) => workflows::run(args, &context).await,
            Command::Activate(args) => activate::run(args, &context).await,
            Command::Deprecate(args) => deprecate::run(args, &context).await,
            Command::Runs(args) => runs::run(args, &context).await,
            Command::Tenants(args) => tenants::run(args, &context).await,
            Command::Keys(args) => keys::run(args, &context).await,
            Command::Secrets(args) => secrets::run(args, &context).await,
            Command::Audit(args) => audit::run(args, &context).await,
            Command::Usage(args) => usage::run(args, &context).await,
            Command::Nodes(args) => nodes::run(args, &context).await,
            Command::Migrate(args) => migrate::run(args, &context).await,
            Command::CompileComponent(_) => Err(CliError::Usage("this command must run alone".to_owned())),
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
