use bytesize::ByteSize;
use chrono::{DateTime, Utc};

use super::{CliError, Context, output, text};
use crate::tenants::UsageReport;
use forge_store::directory::Amounts;

/// The arguments of `forge usage`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show the usage of all tenants. Needs an API key of the host.
    #[arg(long)]
    all: bool,
    /// Start with the hour of this time, such as 2026-01-31T00:00:00Z [default: a day ago].
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// End before the hour of this time [default: now].
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

const EXAMPLES: &str = "\
Shows what a tenant used in each hour, for billing: fuel (about one unit for each instruction), runs, journaled \
calls, HTTP requests and their bytes, bytes of journals, the time that runs spent in memory, bytes of their logs, and the \
time that components were compiled; and what their runs take in the database now.

Examples:
  forge usage
  forge usage --all --from 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --json";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let report = context.client()?.usage(args.all, args.from, args.until).await?;
    context.print(&report, table)
}

fn table(report: &UsageReport) -> String {
    let hours = report.hours.iter().map(|hour| row(text::time(hour.hour), &hour.tenant, &hour.amounts));
    let table = output::table(
        [
            "HOUR",
            "TENANT",
            "FUEL",
            "RUNS",
            "STEPS",
            "REQUESTS",
            "HTTP BYTES",
            "JOURNAL",
            "IN MEMORY",
            "LOGGED",
            "COMPILED",
        ],
        hours.chain([row("in all".to_owned(), "", &report.total)]),
    );
    format!("{table}\n\nstored by runs and their journals now: {}", ByteSize(report.storage_bytes))
}

fn row(hour: String, tenant: &str, amounts: &Amounts) -> [String; 11] {
    [
        hour,
        tenant.to_owned(),
        amounts.fuel.to_string(),
        amounts.runs.to_string(),
        amounts.steps.to_string(),
        amounts.http_requests.to_string(),
        ByteSize(amounts.http_bytes).to_string(),
        ByteSize(amounts.journal_bytes).to_string(),
        text::duration(amounts.run_ms),
        ByteSize(amounts.log_bytes).to_string(),
        text::duration(amounts.compile_ms),
    ]
}
