use bytesize::ByteSize;
use chrono::{DateTime, Utc};

use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, text};
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
time that components were compiled; and what their runs take in the database now. A host writes its counts every 5 s \
and when it stops. If it is killed, the counts of up to 5 s are lost; no run is.

Examples:
  forge usage
  forge usage --all --from 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --json";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let report = context.client()?.usage(args.all, args.from, args.until).await?;
    context.print(&report, table)
}

fn table(report: &UsageReport) -> String {
    let columns =
        [Whole("HOUR (UTC)"), Cut("TENANT"), Whole("FUEL"), Whole("RUNS"), Whole("STEPS"), Whole("REQUESTS")];
    let mut table = Table::new(columns);
    for hour in &report.hours {
        add(&mut table, text::time_in_utc(hour.hour), &hour.tenant, &hour.amounts);
    }
    add(&mut table, "in all".to_owned(), "", &report.total);
    let stored = ByteSize(report.storage_bytes);
    format!("{}\n\nstored by runs and their journals now: {stored}", table.render())
}

/// Adds the amounts of an hour.
fn add(table: &mut Table<6>, hour: String, tenant: &str, amounts: &Amounts) {
    table.row([
        hour,
        tenant.to_owned(),
        amounts.fuel.to_string(),
        amounts.runs.to_string(),
        amounts.steps.to_string(),
        amounts.http_requests.to_string(),
    ]);
    table.note(&format!(
        "HTTP {}, journal {}, log {}, in memory {}, compiled {}",
        ByteSize(amounts.http_bytes),
        ByteSize(amounts.journal_bytes),
        ByteSize(amounts.log_bytes),
        text::duration(amounts.run_ms),
        text::duration(amounts.compile_ms)
    ));
}
