use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::cli::client::Client;
use crate::cli::table::Column::{Cut, Whole};
use crate::cli::table::Table;
use crate::cli::{CliError, Context, output, parse, text, waits};
use crate::executor::{RunPage, RunSummary};
use crate::moments;
use forge_clock as clock;
use forge_journal::{InvalidPrefix, RunIdPrefix, WorkflowStatus};
use strum::VariantArray as _;

/// The arguments of `forge runs list` and of `forge runs` without a subcommand.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// List only runs of this workflow.
    #[arg(long, short, value_name = "NAME")]
    workflow: Option<String>,
    /// List only runs that are pinned to this version.
    #[arg(long, value_name = "N", value_parser = parse::number(1..=u32::MAX))]
    version: Option<u32>,
    /// List only runs that have this tag. Given several times: that have all of them.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse::tag)]
    tags: Vec<(String, String)>,
    /// List only runs with these statuses.
    #[arg(long, short, value_name = "STATUS,…", value_parser = status, value_delimiter = ',')]
    #[arg(help = format!("List only runs with one of these statuses: {}", statuses()))]
    status: Vec<WorkflowStatus>,
    /// List only runs that failed, also those that were rolled back.
    #[arg(long, conflicts_with = "status")]
    failed: bool,
    /// List only runs with a failure of this kind, such as timeout.
    #[arg(long, value_name = "KIND")]
    error_kind: Option<String>,
    /// List only runs that were started since then: a duration such as 2h, or a time such as 2026-01-31T08:30:00Z.
    #[arg(long, value_name = "DURATION|TIME", value_parser = moments::parse)]
    since: Option<DateTime<Utc>>,
    /// List only runs that were started before then: a duration or a time.
    #[arg(long, value_name = "DURATION|TIME", value_parser = moments::parse)]
    before: Option<DateTime<Utc>>,
    /// List only runs that have this idempotency key.
    #[arg(long)]
    key: Option<String>,
    /// List only runs whose id begins with these digits, 8 at least.
    #[arg(long, value_name = "DIGITS", value_parser = id_prefix)]
    id_prefix: Option<String>,
    /// The maximum number of runs, up to 500 [default: 50].
    #[arg(long, short = 'n', value_name = "N", value_parser = parse::number(1..=500))]
    limit: Option<u32>,
    /// List only runs after this one: the `next_cursor` of the previous page.
    #[arg(long)]
    cursor: Option<Uuid>,
    /// List only runs before this one: the `newer` of the next page.
    #[arg(long, conflicts_with = "cursor")]
    newer: Option<Uuid>,
}

/// The number of runs that are listed by default.
const DEFAULT_LIMIT: u32 = 50;

/// The statuses of runs that failed.
const FAILED: [WorkflowStatus; 2] = [WorkflowStatus::Failed, WorkflowStatus::Compensated];

fn status(word: &str) -> Result<WorkflowStatus, String> {
    word.parse().map_err(|_| format!("it must be one of {}", statuses()))
}

/// Checks the begin of an id.
fn id_prefix(digits: &str) -> Result<String, InvalidPrefix> {
    digits.parse::<RunIdPrefix>().map(|_| digits.to_owned())
}

fn statuses() -> String {
    WorkflowStatus::VARIANTS.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let page = read(args, &context.client()?).await?;
    if context.json {
        return output::print_json(&page);
    }
    if page.runs.is_empty() {
        output::note("no runs");
    } else {
        output::print(&table(&page.runs, clock::now().to_datetime()))?;
    }
    if let Some(newer) = page.newer {
        output::note(&format!("newer runs: --newer {newer}"));
    }
    if let Some(cursor) = page.next_cursor {
        output::note(&format!("older runs: --cursor {cursor}"));
    }
    Ok(())
}

/// Reads a page. A page of the server is shorter than asked for if several filters leave many runs out: then the next ones are
/// read, too.
async fn read(args: Args, client: &Client) -> Result<RunPage, CliError> {
    let statuses = if args.failed { FAILED.to_vec() } else { args.status };
    let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    let tags = parse::tags(args.tags)?;
    let tags: Vec<_> = tags.iter().map(|(name, value)| (format!("tag.{name}"), value)).collect();
    let mut query = vec![
        ("workflow", args.workflow),
        ("version", args.version.map(|version| version.to_string())),
        ("status", (!statuses.is_empty()).then(|| statuses.join(","))),
        ("error_kind", args.error_kind),
        ("since", args.since.map(|since| since.to_rfc3339())),
        ("started_before", args.before.map(|before| before.to_rfc3339())),
        ("key", args.key),
        ("id_prefix", args.id_prefix),
    ];
    query.extend(tags.iter().map(|(name, value)| (name.as_str(), Some((*value).to_owned()))));
    let position = query.len();
    let most = args.limit.unwrap_or(DEFAULT_LIMIT);
    let mut all = RunPage { runs: Vec::new(), next_cursor: args.cursor, newer: args.newer };
    let is_backwards = args.newer.is_some();
    let mut is_first = true;
    loop {
        query.truncate(position);
        query.push(("limit", Some((most as usize - all.runs.len()).to_string())));
        query.push(if is_backwards { ("newer", id(all.newer)) } else { ("cursor", id(all.next_cursor)) });
        let page = client.runs(&query).await?;
        // The end from which the list is read stays where the first page has it.
        if is_backwards || is_first {
            all.newer = page.newer;
        }
        if !is_backwards || is_first {
            all.next_cursor = page.next_cursor;
        }
        is_first = false;
        let place = if is_backwards { 0 } else { all.runs.len() };
        all.runs.splice(place..place, page.runs);
        let next = if is_backwards { all.newer } else { all.next_cursor };
        if next.is_none() || all.runs.len() >= most as usize {
            return Ok(all);
        }
    }
}

fn id(run: Option<Uuid>) -> Option<String> {
    run.map(|run| run.to_string())
}

fn table(runs: &[RunSummary], now: DateTime<Utc>) -> String {
    let columns = [Whole("RUN"), Cut("WORKFLOW"), Whole("V"), Whole("STATUS"), Whole("AGE"), Whole("TOOK")];
    let mut table = Table::new(columns);
    for run in runs {
        let took = run.completed_at.map(|end| text::short_duration(text::between(run.started_at, end)));
        table.row([
            run.id.to_string(),
            run.workflow_name.clone(),
            run.version.to_string(),
            run.status.to_string(),
            text::age(text::between(run.started_at, now)),
            took.unwrap_or_default(),
        ]);
        if !run.tags.is_empty() {
            let tags: Vec<_> = run.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
            table.note(&tags.join("  "));
        }
        let error = run.error.as_deref().map(|error| error.lines().next().unwrap_or_default().to_owned());
        if let Some(note) = error.or_else(|| waits::doing(&run.waits_for)) {
            table.note(&note);
        }
    }
    table.render()
}
