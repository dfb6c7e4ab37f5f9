use super::{CliError, Context, output, text};
use crate::tenants::AuditRecord;

/// The arguments of `forge audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Of all tenants and of the host, which takes an API key of the host.
    #[arg(long)]
    all: bool,
    /// At most so many lines, 500 at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Only those before this one: the `next_cursor` of the page before.
    #[arg(long, value_name = "NUMBER")]
    cursor: Option<i64>,
}

const EXAMPLES: &str = "\
Who uploaded, activated, cancelled, or changed API keys, secrets, limits and tenants; the newest first. Nothing
is ever removed from it.

Examples:
  forge audit
  forge audit --all --json | jq -r '.records[] | [.at, .actor, .action, .subject] | @tsv'";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let page = context.client()?.audit(args.all, args.limit, args.cursor).await?;
    if context.json {
        return output::print_json(&page);
    }
    if page.records.is_empty() {
        return output::print("nothing yet");
    }
    output::print(&table(&page.records))?;
    if let Some(cursor) = page.next_cursor {
        output::hint(&format!("there is more: --cursor {cursor}"));
    }
    Ok(())
}

fn table(records: &[AuditRecord]) -> String {
    let mut rows = vec![["TIME", "TENANT", "WHO", "WHAT", "WHICH", "MORE"].map(str::to_owned).to_vec()];
    for record in records {
        rows.push(vec![
            text::time(record.at),
            record.tenant.clone().unwrap_or_else(|| "(host)".to_owned()),
            record.actor.clone(),
            record.action.clone(),
            record.subject.clone(),
            record.detail.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    output::table(&rows)
}
