use super::table::Column::{Cut, Whole};
use super::table::Table;
use super::{CliError, Context, parse, text};
use crate::tenants::AuditRecord;

/// The arguments of `forge audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show the records of all tenants and of the host. Needs an API key of the host.
    #[arg(long)]
    all: bool,
    /// The maximum number of records, up to 500.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = parse::number(1..=500))]
    limit: u32,
    /// Show only records before this one: the `next_cursor` of the previous page.
    #[arg(long, value_name = "NUMBER")]
    cursor: Option<i64>,
}

const EXAMPLES: &str = "\
Shows who uploaded or activated components, cancelled runs, or changed API keys, secrets, limits and tenants. \
The newest records come first. Records are never removed.

Examples:
  forge audit
  forge audit --all --json | jq -r '.records[] | [.at, .actor, .action, .subject] | @tsv'";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let page = context.client()?.audit(args.all, args.limit, args.cursor).await?;
    context.print(&page, |page| match page.records.as_slice() {
        [] => "nothing yet".to_owned(),
        records => table(records),
    })?;
    if let Some(cursor) = page.next_cursor {
        context.hint(&format!("there is more: --cursor {cursor}"));
    }
    Ok(())
}

fn table(records: &[AuditRecord]) -> String {
    let mut table = Table::new([Whole("TIME (UTC)"), Cut("TENANT"), Cut("WHO"), Whole("WHAT")]);
    for record in records {
        let tenant = record.tenant.clone().unwrap_or_else(|| "(host)".to_owned());
        table.row([text::time_in_utc(record.at), tenant, record.actor.clone(), record.action.clone()]);
        table.note(&record.subject);
        if let Some(detail) = &record.detail {
            table.note(&detail.to_string());
        }
    }
    table.render()
}
