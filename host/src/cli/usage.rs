use chrono::{DateTime, Utc};

use super::{CliError, Context, output, text};
use crate::tenants::UsageReport;
use forge_store::directory::Amounts;

/// The arguments of `forge usage`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Of all tenants, which takes an API key of the host.
    #[arg(long)]
    all: bool,
    /// From the hour of this time on, such as 2026-01-31T00:00:00Z [default: since a day ago].
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Until before the hour of this time [default: now].
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

const EXAMPLES: &str = "\
What a tenant used, by the hour, for billing: fuel (about one unit for each instruction), runs, journaled
calls, HTTP requests and their bytes, bytes of journals, and the time for which runs were in memory.

Examples:
  forge usage
  forge usage --all --from 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --json";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let report = context.client()?.usage(args.all, args.from, args.until).await?;
    if context.json { output::print_json(&report) } else { output::print(&table(&report)) }
}

fn table(report: &UsageReport) -> String {
    let heads = ["HOUR", "TENANT", "FUEL", "RUNS", "STEPS", "REQUESTS", "HTTP BYTES", "JOURNAL", "IN MEMORY"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for hour in &report.hours {
        rows.push(row(&text::time(hour.hour), &hour.tenant, &hour.amounts));
    }
    rows.push(row("in all", "", &report.total));
    output::table(&rows)
}

fn row(hour: &str, tenant: &str, amounts: &Amounts) -> Vec<String> {
    let size = |bytes: u64| text::size(usize::try_from(bytes).unwrap_or(usize::MAX));
    vec![
        hour.to_owned(),
        tenant.to_owned(),
        amounts.fuel.to_string(),
        amounts.runs.to_string(),
        amounts.steps.to_string(),
        amounts.http_requests.to_string(),
        size(amounts.http_bytes),
        size(amounts.journal_bytes),
        text::duration(amounts.run_ms),
    ]
}
