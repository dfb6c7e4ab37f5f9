use std::time::Duration;

use crate::api::NewRunToken;
use crate::cli::printable::Printable;
use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context, parse, text};

/// The arguments of `forge runs token`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
    /// The time for which the token is valid, at most 24h [default: 15m].
    #[arg(long, value_name = "DURATION", value_parser = parse::some_time)]
    ttl: Option<Duration>,
    /// Make a token that reads no inputs, outputs, results and log lines.
    #[arg(long)]
    no_payloads: bool,
}

const EXAMPLES: &str = "\
The token only reads this run: its record, steps, logs and live view. It is for a web page that shows the run, and dies \
with the API key that made it.

Examples:
  forge runs token last
  forge runs token --ttl 2h --no-payloads 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    let ttl = args.ttl.map(|ttl| humantime::format_duration(ttl).to_string());
    let new = NewRunToken { ttl, payloads: args.no_payloads.then_some(false) };
    let made = client.create_run_token(id, &new).await?;
    context.hint(&format!("it is valid until {} (UTC)", text::time_in_utc(made.expires_at)));
    context.print(&made, |made| Printable::line(&made.token).to_string())
}
