//! Shows the lines that a run has logged.

use std::time::Duration;

use chrono::SecondsFormat;

use crate::cli::client::Client;
use crate::cli::printable::Printable;
use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context, follow, output, parse};
use crate::executor::{LogRecord, Logs};
use forge_journal::{LogLevel, RunId};

/// The polling interval of `--follow`.
const INTERVAL: Duration = Duration::from_millis(300);

/// The level from which on a server keeps lines by default.
const KEPT: LogLevel = LogLevel::Info;

/// Is said to who asks for less severe lines.
const NOT_KEPT: &str = "a server keeps lines of info and of more severe levels, unless `forge serve --kept-log-level` says otherwise";

/// The arguments of `forge runs logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
    /// Show further lines as they come, until the run ends or is paused.
    #[arg(long, short)]
    follow: bool,
    /// Show only lines of the steps with this name, of later passes of them in a loop (NAME#2), and of their compensations.
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Show only lines of this level and of more severe ones: trace, debug, info, warn or error.
    #[arg(long, value_name = "LEVEL", value_parser = parse::log_level)]
    level: Option<LogLevel>,
}

const EXAMPLES: &str = "\
Lines of a step begin with its name, and with the attempt if it is not the \
first. `forge serve --kept-log-level` decides which lines are kept.

Examples:
  forge runs logs last --follow
  forge runs logs 0199d1c4-7a3e --step charge_card --level warn
  forge runs logs last --json | jq -r .message     one JSON document per line";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = client.find(&args.id).await?;
    let mut lines = Lines { client: &client, run: id, step: args.step, level: args.level, last: 0 };
    if !context.json && args.level.is_some_and(|level| level < KEPT) {
        output::note(NOT_KEPT);
    }
    if args.follow {
        return follow::unless_interrupted(id, follow_lines(lines, context.json)).await;
    }
    if lines.show_new(&mut follow::Connection::new(), context.json).await? == 0 && !context.json {
        output::note(&none(lines.step.as_deref(), id));
    }
    Ok(())
}

/// Says that there are no lines, and where the names of steps are if one was asked for.
fn none(step: Option<&str>, run: RunId) -> String {
    let steps = |step| {
        format!("no lines of step {}: `forge runs show {run} --all` has its steps", Printable::line(step))
    };
    step.map_or("no lines".to_owned(), steps)
}

/// Shows lines until the run is final or paused.
async fn follow_lines(mut lines: Lines<'_>, json: bool) -> Result<(), CliError> {
    let mut connection = follow::Connection::new();
    let mut at_most = Duration::ZERO;
    loop {
        // Before the lines, so that none comes after the last look.
        let record = lines.client.run(lines.run, at_most).await;
        let Some(record) = connection.check(record).await? else { continue };
        lines.show_new(&mut connection, json).await?;
        if record.status.is_at_rest() {
            return Ok(());
        }
        at_most = INTERVAL;
    }
}

/// The lines of a run that are shown, in their order.
struct Lines<'c> {
    client: &'c Client,
    run: RunId,
    step: Option<String>,
    level: Option<LogLevel>,
    /// The position of the last line that was shown.
    last: u64,
}

impl Lines<'_> {
    /// Shows the lines that were not shown before, page by page. Returns their number.
    async fn show_new(&mut self, connection: &mut follow::Connection, json: bool) -> Result<usize, CliError> {
        let mut shown = 0;
        loop {
            let Some(page) = connection.check(self.page().await).await? else { continue };
            for line in &page.lines {
                if json { output::print_json(line) } else { output::print(&text(line)) }?;
                self.last = line.seq;
            }
            shown += page.lines.len();
            match page.next_cursor {
                Some(cursor) => self.last = cursor,
                None => return Ok(shown),
            }
        }
    }

    async fn page(&self) -> Result<Logs, CliError> {
        let query = [
            ("cursor", Some(self.last.to_string())),
            ("step", self.step.clone()),
            ("level", self.level.map(|level| level.to_string())),
        ];
        self.client.logs(self.run, &query).await
    }
}

/// Returns a line as text.
fn text(line: &LogRecord) -> String {
    let time = line.at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let level = line.level.as_str().to_uppercase();
    let step = line.step.as_deref().map(|step| match line.attempt {
        Some(attempt) if attempt > 1 => format!("{} (attempt {attempt}): ", Printable::line(step)),
        _ => format!("{}: ", Printable::line(step)),
    });
    format!("{time} {level:5} {}{}", step.unwrap_or_default(), Printable::lines(&line.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_and_where_it_was_logged_and_cannot_control_the_terminal() {
        let mut line = LogRecord {
            seq: 1,
            at: "2026-01-31T08:30:00.120Z".parse().unwrap(),
            level: LogLevel::Warn,
            step: None,
            step_seq: None,
            attempt: None,
            message: "slow\n2026 ERROR forged\u{1b}[2J \u{202e}".to_owned(),
        };
        let in_body = "2026-01-31T08:30:00.120Z WARN  slow\n  2026 ERROR forged\\u{1b}[2J \\u{202e}";
        assert_eq!(text(&line), in_body);
        line.message = "declined".to_owned();
        line.step = Some("charge\n".to_owned());
        line.attempt = Some(1);
        assert_eq!(text(&line), "2026-01-31T08:30:00.120Z WARN  charge\\n: declined");
        line.attempt = Some(2);
        assert_eq!(text(&line), "2026-01-31T08:30:00.120Z WARN  charge\\n (attempt 2): declined");
    }
}
